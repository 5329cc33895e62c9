//===- GgufModel.cpp - models as GGUF files ---------------------------------------------------------------------===//

#include "quantc/Export/GgufModel.h"
#include "GgufTokenizer.h"
#include "quantc/Artifact/Gguf.h"
#include <algorithm>
#include <cmath>
#include <memory>

using namespace quantc;
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

/// The window, and which layers have it where not all do.
static Status addWindows(GgufMetadata &out, const Architecture &target, const std::vector<int64_t> &windows) {
  const int64_t window = std::ranges::max(windows);
  if (window == 0)
    return {};
  QUANTC_TRY(out.add(target.parameterName(ModelKind::Gguf, "window"), GgufValue::of(static_cast<uint32_t>(window))));
  if (std::ranges::min(windows) == window)
    return {};
  std::unique_ptr<bool[]> windowed(new bool[windows.size()]);
  std::ranges::transform(windows, windowed.get(), [](int64_t each) { return each > 0; });
  return out.add(target.parameterName(ModelKind::Gguf, "windowed"),
                 GgufValue::array<bool>({windowed.get(), windows.size()}));
}

static Result<GgufMetadata> fromDirectory(const Checkpoint &checkpoint, const fs::path &data) {
  QUANTC_ASSIGN(Architectures all, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(const Architecture *own, all.find(checkpoint.kind(), checkpoint.architecture()));
  QUANTC_ASSIGN(const Architecture *target, ggufArchitecture(all, *own));
  QUANTC_ASSIGN(ModelConfig config, readModelConfig(*own, checkpoint.kind(), checkpoint.metadata()));
  if (own->permutesQueriesAndKeys() && static_cast<int64_t>(config.frequencies.size()) * 2 != config.headDim)
    return fail("{} of {} features of a head are rotated: for {} models GGUF has no order of rows for that",
                config.frequencies.size() * 2, config.headDim, own->name);
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
  QUANTC_TRY(addWindows(out, *target, config.windows));
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
