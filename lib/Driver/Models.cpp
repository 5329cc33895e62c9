//===- Models.cpp - what a user's MODEL argument may be ---------------------------------------------------------===//

#include "quantc/Driver/Models.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Artifact/Gguf.h"

using namespace quantc;
namespace fs = std::filesystem;

Result<InputKind> quantc::kindOf(const fs::path &model) {
  std::error_code ignored;
  if (fs::is_directory(model, ignored)) {
    if (!fs::exists(model / "config.json", ignored))
      return fail("{}: no Hugging Face model: config.json is missing", model.string());
    return InputKind::HuggingFace;
  }
  if (!fs::exists(model, ignored)) {
    // A hub id has one slash and is no path: say how to get it.
    const std::string name = model.string();
    if (std::count(name.begin(), name.end(), '/') == 1 && name.front() != '.' && name.front() != '/' &&
        model.extension().empty())
      return fail("{0}: no such file; if it is a model of the hub, fetch it first: hf download {0} --local-dir {1}",
                  name, model.filename().string());
    return fail("{}: no such file or directory", name);
  }
  QUANTC_ASSIGN(auto file, MappedFile::open(model));
  const auto bytes = file->bytes();
  const std::string_view head(reinterpret_cast<const char *>(bytes.data()), std::min<size_t>(bytes.size(), 9));
  if (head.starts_with("GGUF"))
    return InputKind::Gguf;
  if (head.size() == 9 && head[8] == '{')
    return InputKind::Artifact;
  return fail("{}: neither a GGUF file nor a .qm artifact", model.string());
}

Result<bool> quantc::hasTokenizer(const fs::path &model) {
  QUANTC_ASSIGN(InputKind kind, kindOf(model));
  std::error_code ignored;
  if (kind == InputKind::HuggingFace)
    return fs::exists(model / "tokenizer.json", ignored) || fs::exists(model / "tokenizer.model", ignored);
  if (kind == InputKind::Gguf) {
    QUANTC_ASSIGN(auto gguf, Gguf::open(model));
    return gguf->metadata().find("tokenizer.ggml.model") != nullptr;
  }
  QUANTC_ASSIGN(auto artifact, Artifact::open(model));
  return !artifact->tokenizer().empty();
}

static Result<TokenizerModel> readTokenizer(const fs::path &model) {
  QUANTC_ASSIGN(InputKind kind, kindOf(model));
  if (kind == InputKind::HuggingFace)
    return TokenizerModel::fromHuggingFace(model);
  if (kind == InputKind::Gguf) {
    QUANTC_ASSIGN(auto gguf, Gguf::open(model));
    QUANTC_ASSIGN(fs::path data, dataDirectory());
    return TokenizerModel::fromGguf(gguf->metadata(), data / "tokenizers" / "pretokenizers.json");
  }
  QUANTC_ASSIGN(auto artifact, Artifact::open(model));
  if (artifact->tokenizer().empty())
    return fail("the artifact has no tokenizer");
  return TokenizerModel::parse(artifact->tokenizer());
}

Result<std::unique_ptr<Tokenizer>> quantc::loadTokenizer(const fs::path &model) {
  auto load = [&]() -> Result<std::unique_ptr<Tokenizer>> {
    QUANTC_ASSIGN(TokenizerModel tokenizer, readTokenizer(model));
    return Tokenizer::create(std::move(tokenizer));
  };
  auto tokenizer = load();
  if (!tokenizer && !tokenizer.error().message.starts_with(model.string()))
    return failAt(model.string(), tokenizer.error());
  return tokenizer;
}
