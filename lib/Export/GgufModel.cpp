//===- GgufModel.cpp - models as GGUF files ---------------------------------------------------------------------===//

#include "quantc/Export/GgufModel.h"
#include "quantc/Artifact/Gguf.h"
#include "quantc/Support/Json.h"
#include <cmath>

using namespace quantc;
using json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// What the architecture is called in GGUF: its own name, or that of the one whose graph it shares.
static Result<const Architecture *> ggufArchitecture(const Architectures &all, const Architecture &own) {
  if (!own.gguf.empty())
    return &own;
  for (const Architecture &other : all.all())
    if (!other.gguf.empty() && other.ropePairs[0] == own.ropePairs[0] && other.ropePairs[1] == own.ropePairs[1] &&
        other.qkNorm == own.qkNorm)
      return &other;
  return fail("architecture '{}' has no name in GGUF", own.name);
}

/// The name that GGUF gives to a way of cutting text: the first in the file, which lists the usual ones first.
static Result<std::string> preTokenizerName(const TokenizerModel &tokenizer, const fs::path &data) {
  const fs::path path = data / "tokenizers" / "pretokenizers.json";
  QUANTC_ASSIGN(const json known, readJsonObject(path));
  for (auto &[name, entry] : known.items())
    if (entry.at("splits") == json(tokenizer.splits) && entry.value("ignore_merges", false) == tokenizer.ignoreMerges)
      return name;
  return fail("the tokenizer cuts text in a way that has no name in GGUF; add it to {}", path.string());
}

static Status addTokenizer(GgufMetadata &out, const TokenizerModel &tokenizer, const fs::path &data) {
  const bool isSentencePiece = tokenizer.kind == TokenizerKind::SentencePiece;
  QUANTC_TRY(out.add("tokenizer.ggml.model", GgufValue::of(isSentencePiece ? "llama" : "gpt2")));
  std::string cut = "default";
  if (!isSentencePiece) {
    QUANTC_ASSIGN(cut, preTokenizerName(tokenizer, data));
  }
  QUANTC_TRY(out.add("tokenizer.ggml.pre", GgufValue::of(cut)));
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Token &token : tokenizer.tokens) {
    texts.push_back(token.text);
    scores.push_back(token.score);
    types.push_back(static_cast<int32_t>(token.type));
  }
  QUANTC_TRY(out.add("tokenizer.ggml.tokens", GgufValue::array(std::move(texts))));
  if (isSentencePiece)
    QUANTC_TRY(out.add("tokenizer.ggml.scores", GgufValue::array<float>(scores)));
  QUANTC_TRY(out.add("tokenizer.ggml.token_type", GgufValue::array<int32_t>(types)));
  if (!isSentencePiece) {
    std::vector<std::string> merges;
    for (auto &[left, right] : tokenizer.merges)
      merges.push_back(left + " " + right);
    QUANTC_TRY(out.add("tokenizer.ggml.merges", GgufValue::array(std::move(merges))));
  }
  if (tokenizer.bos)
    QUANTC_TRY(out.add("tokenizer.ggml.bos_token_id", GgufValue::of(static_cast<uint32_t>(*tokenizer.bos))));
  if (tokenizer.eos)
    QUANTC_TRY(out.add("tokenizer.ggml.eos_token_id", GgufValue::of(static_cast<uint32_t>(*tokenizer.eos))));
  QUANTC_TRY(out.add("tokenizer.ggml.add_bos_token", GgufValue::of(!tokenizer.prefix.empty())));
  QUANTC_TRY(out.add("tokenizer.ggml.add_eos_token", GgufValue::of(!tokenizer.suffix.empty())));
  if (isSentencePiece)
    QUANTC_TRY(out.add("tokenizer.ggml.add_space_prefix", GgufValue::of(tokenizer.spacePrefix)));
  if (!tokenizer.chatTemplate.empty())
    QUANTC_TRY(out.add("tokenizer.chat_template", GgufValue::of(tokenizer.chatTemplate)));
  return {};
}

static Result<GgufMetadata> fromDirectory(const Checkpoint &checkpoint, const fs::path &data) {
  QUANTC_ASSIGN(Architectures all, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(const Architecture *own, all.find(checkpoint.kind(), checkpoint.architecture()));
  QUANTC_ASSIGN(const Architecture *target, ggufArchitecture(all, *own));
  QUANTC_ASSIGN(ModelConfig config, readModelConfig(*own, checkpoint.kind(), checkpoint.metadata()));
  GgufMetadata out;
  std::string name = fs::absolute(checkpoint.path()).lexically_normal().filename().string();
  if (name.empty())
    name = fs::absolute(checkpoint.path()).lexically_normal().parent_path().filename().string();
  QUANTC_TRY(out.add("general.architecture", GgufValue::of(target->gguf)));
  QUANTC_TRY(out.add("general.type", GgufValue::of("model")));
  QUANTC_TRY(out.add("general.name", GgufValue::of(name)));
  auto integer = [&](const char *role, int64_t value) -> Status {
    return out.add(target->parameterName(ModelKind::Gguf, role), GgufValue::of(static_cast<uint32_t>(value)));
  };
  QUANTC_TRY(integer("context", config.context));
  QUANTC_TRY(integer("hidden", config.hidden));
  QUANTC_TRY(integer("layers", config.layers));
  QUANTC_TRY(integer("ffn", config.ffn));
  QUANTC_TRY(integer("heads", config.heads));
  QUANTC_TRY(integer("kv_heads", config.kvHeads));
  QUANTC_TRY(integer("head_dim", config.headDim));
  QUANTC_TRY(integer("value_dim", config.headDim));
  QUANTC_TRY(integer("rotary_dim", static_cast<int64_t>(config.frequencies.size()) * 2));
  if (config.vocab > 0)
    QUANTC_TRY(integer("vocab", config.vocab));
  QUANTC_TRY(out.add(target->parameterName(ModelKind::Gguf, "eps"), GgufValue::of(static_cast<float>(config.eps))));
  QUANTC_TRY(
      out.add(target->parameterName(ModelKind::Gguf, "rope_base"), GgufValue::of(static_cast<float>(config.ropeBase))));
  for (int64_t window : config.windows)
    if (window > 0) {
      QUANTC_TRY(integer("window", window));
      break;
    }
  QUANTC_ASSIGN(TokenizerModel tokenizer, TokenizerModel::fromHuggingFace(checkpoint.path()));
  if (config.vocab > 0)
    if (const Status fits = tokenizer.checkVocabulary(config.vocab); !fits)
      return failAt(checkpoint.path().string(), fits.error());
  // Rows of the embedding beyond the tokens get names, as llama.cpp wants one for each.
  for (int64_t id = static_cast<int64_t>(tokenizer.tokens.size()); id < config.vocab; id++)
    tokenizer.tokens.push_back({fmt::format("[PAD{}]", id), 0, TokenType::Unused});
  QUANTC_TRY(addTokenizer(out, tokenizer, data));
  return out;
}

std::vector<ExtraTensor> quantc::extraTensors(const ModelConfig &config) {
  // GGUF has the unscaled base, and the scaling as divisors of the frequencies.
  std::vector<float> factors;
  bool scaled = false;
  const auto pairs = static_cast<double>(config.frequencies.size());
  for (size_t i = 0; i < config.frequencies.size(); i++) {
    factors.push_back(
        static_cast<float>(std::pow(config.ropeBase, -static_cast<double>(i) / pairs) / config.frequencies[i]));
    scaled |= std::fabs(factors.back() - 1) > 1e-6f;
  }
  if (!scaled)
    return {};
  return {{"rope_freqs.weight", std::move(factors)}};
}

Result<GgufMetadata> quantc::ggufMetadata(const Checkpoint &checkpoint, const fs::path &data) {
  if (checkpoint.kind() == ModelKind::HuggingFace)
    return fromDirectory(checkpoint, data);
  QUANTC_ASSIGN(auto file, Gguf::open(checkpoint.path()));
  return file->metadata();
}
