//===- HuggingFaceModel.cpp - what a GGUF file says, as config.json ---------------------------------------------===//

#include "HuggingFaceModel.h"
#include <algorithm>
#include <cmath>

using namespace quantc;
using nlohmann::json;
using nlohmann::ordered_json;

Result<const Architecture *> quantc::huggingFaceArchitecture(const Architectures &all, const Architecture &own,
                                                             const ModelConfig &config) {
  const bool windowed = std::ranges::count(config.windows, 0) < static_cast<int64_t>(config.windows.size());
  for (const Architecture &other : all.all()) {
    const bool same = other.name == own.name || (other.ropePairs[0] == own.ropePairs[0] &&
                                                 other.ropePairs[1] == own.ropePairs[1] && other.qkNorm == own.qkNorm);
    if (same && !other.huggingFace.empty() && (!windowed || other.window != WindowUse::Never) &&
        (windowed || other.window != WindowUse::Always))
      return &other;
  }
  return fail("architecture '{}' has no name in Hugging Face's directories", own.name);
}

/// GGUF has single-precision numbers: the shortest decimal that is the same one.
static double shortest(double value) {
  return std::stod(fmt::format("{}", static_cast<float>(value)));
}

static bool sameFrequencies(const std::vector<double> &a, const std::vector<double> &b) {
  return std::ranges::equal(a, b, [](double x, double y) { return std::fabs(x - y) <= 1e-6 * std::fabs(x); });
}

/// What config.json may say of the scaling of the rotary embedding, by how much its longest wave is slowed down.
static std::vector<json> scalings(const ModelConfig &config) {
  const double pairs = static_cast<double>(config.frequencies.size());
  const double slowest = std::pow(config.ropeBase, -(pairs - 1) / pairs) / config.frequencies.back();
  const double near = std::round(slowest * 1000) / 1000;
  const double factor = std::fabs(near - slowest) <= 1e-6 * slowest ? near : shortest(slowest);
  std::vector<json> all = {nullptr, {{"rope_type", "linear"}, {"factor", factor}}};
  for (int64_t original = 1024; original <= config.context; original *= 2)
    all.push_back({{"rope_type", "llama3"},
                   {"factor", factor},
                   {"low_freq_factor", 1.0},
                   {"high_freq_factor", 4.0},
                   {"original_max_position_embeddings", original}});
  return all;
}

Result<ordered_json> quantc::huggingFaceConfig(const Architecture &target, const ModelConfig &config,
                                               const std::string &dtype) {
  auto key = [&](const char *role) { return target.parameterName(ModelKind::HuggingFace, role); };
  ordered_json out = {{"architectures", {target.huggingFace.front()}},
                      {"model_type", target.name},
                      {key("hidden"), config.hidden},
                      {key("layers"), config.layers},
                      {key("ffn"), config.ffn},
                      {key("heads"), config.heads},
                      {key("kv_heads"), config.kvHeads},
                      {key("head_dim"), config.headDim},
                      {key("vocab"), config.vocab},
                      {key("context"), config.context},
                      {key("eps"), shortest(config.eps)},
                      {key("rope_base"), shortest(config.ropeBase)},
                      {"hidden_act", "silu"},
                      {"tie_word_embeddings", config.tied.value_or(false)},
                      {"torch_dtype", dtype}};
  for (auto &[name, ids] : {std::pair("bos_token_id", config.bos), std::pair("eos_token_id", config.eos)})
    if (!ids.empty())
      out[name] = ids.size() == 1 ? ordered_json(ids[0]) : ordered_json(ids);
  for (auto &[role, present] : config.biases)
    if (auto flag = target.biasFlags.find(role); flag != target.biasFlags.end())
      out[flag->second] = present;
  if (const auto rotated = static_cast<int64_t>(config.frequencies.size()) * 2; rotated != config.headDim)
    out["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(config.headDim);
  if (const int64_t window = std::ranges::max(config.windows); window > 0) {
    out[key("window")] = window;
    out["layer_types"] = ordered_json::array();
    for (int64_t each : config.windows)
      out["layer_types"].push_back(each ? "sliding_attention" : "full_attention");
    if (target.window == WindowUse::Flagged)
      out["use_sliding_window"] = true;
  } else if (target.window == WindowUse::Always) {
    out[key("window")] = nullptr;
  }
  for (const json &scaling : scalings(config)) {
    out["rope_scaling"] = scaling;
    const auto again = readModelConfig(target, ModelKind::HuggingFace, json(out));
    if (again && sameFrequencies(again->frequencies, config.frequencies) && again->windows == config.windows)
      return out;
  }
  return fail("the frequencies of the rotary embedding are scaled in a way that config.json has no words for");
}
