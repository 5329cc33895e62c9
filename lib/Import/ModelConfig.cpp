//===- ModelConfig.cpp - reads and validates the parameters of a model ------------------------------------------===//

#include "quantc/Import/ModelConfig.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

using namespace quantc;
using nlohmann::json;

namespace {

// Larger than any model there is, small enough that no product of three of them overflows.
constexpr int64_t maxFeatures = int64_t(1) << 20, maxLayers = 1 << 12, maxVocab = int64_t(1) << 24,
                  maxContext = int64_t(1) << 24;

/// Parameters by role, each read once with its bounds.
class Reader {
public:
  Reader(const Architecture &architecture, ModelKind kind, const json &metadata)
      : architecture(architecture), kind(kind), metadata(metadata) {}

  /// The value under a key, or what its absence stands for, or null; JSON's null counts as none.
  const json *at(const std::string &key) const {
    const json *from = &metadata;
    if (kind == ModelKind::HuggingFace && !metadata.contains(key))
      from = &architecture.defaults;
    auto found = key.empty() ? from->end() : from->find(key);
    return found == from->end() || found->is_null() ? nullptr : &*found;
  }
  std::string key(const std::string &role) const { return architecture.parameterName(kind, role); }

  Result<int64_t> integer(const std::string &role, int64_t limit, std::optional<int64_t> absent = {}) const {
    const json *value = at(key(role));
    if (!value)
      return absent ? Result<int64_t>(*absent) : fail("'{}' is missing", key(role));
    return integerFrom(key(role), *value, 1, limit);
  }
  Result<double> number(const std::string &role, std::optional<double> absent = {}) const {
    const json *value = at(key(role));
    if (!value)
      return absent ? Result<double>(*absent) : fail("'{}' is missing", key(role));
    return numberFrom(key(role), *value);
  }

  static Result<int64_t> integerFrom(const std::string &key, const json &value, int64_t least, int64_t limit) {
    // GGUF may have one value for each layer: accepted where all are equal.
    if (value.is_array() && !value.empty()) {
      for (const json &element : value)
        if (element != value.front())
          return fail("'{}' differs between layers, which is not supported", key);
      return integerFrom(key, value.front(), least, limit);
    }
    if (!value.is_number_integer())
      return fail("'{}' must be an integer, found {}", key, shown(value));
    bool large = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(limit);
    if (large || value.get<int64_t>() < least || value.get<int64_t>() > limit)
      return fail("'{}' is {}, expected {} to {}", key, shown(value), least, limit);
    return value.get<int64_t>();
  }
  /// A positive finite number.
  static Result<double> numberFrom(const std::string &key, const json &value) {
    if (!value.is_number())
      return fail("'{}' must be a number, found {}", key, shown(value));
    double number = value.get<double>();
    if (!(number > 0) || !std::isfinite(number))
      return fail("'{}' is {}, expected a positive number", key, shown(value));
    return number;
  }
  /// A value as text for messages, shortened.
  static std::string shown(const json &value) {
    std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }

  const Architecture &architecture;
  ModelKind kind;
  const json &metadata;
};

//===- Rotary embedding -----------------------------------------------------------------------------------------===//

/// Llama 3: long waves are slowed down by `factor`, short ones kept, those between blended.
Status scaleAsLlama3(std::vector<double> &frequencies, const json &scaling) {
  auto read = [&](const char *key, double absent) -> Result<double> {
    auto found = scaling.find(key);
    return found == scaling.end() ? Result<double>(absent)
                                  : Reader::numberFrom(std::string("rope_scaling.") + key, *found);
  };
  QUANTC_ASSIGN(double factor, read("factor", 8));
  QUANTC_ASSIGN(double low, read("low_freq_factor", 1));
  QUANTC_ASSIGN(double high, read("high_freq_factor", 4));
  QUANTC_ASSIGN(double original, read("original_max_position_embeddings", 8192));
  if (!(high > low))
    return fail("rope_scaling: high_freq_factor {} must exceed low_freq_factor {}", high, low);
  for (double &frequency : frequencies) {
    double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < original / high)
      continue;
    double blend = wavelength > original / low ? 0 : (original / wavelength - low) / (high - low);
    frequency = (1 - blend) * frequency / factor + blend * frequency;
  }
  return {};
}

Status scaleRope(std::vector<double> &frequencies, const json &scaling) {
  json type = scaling.value("rope_type", scaling.value("type", json("default")));
  if (type == "default" || type == "none")
    return {};
  if (type == "llama3")
    return scaleAsLlama3(frequencies, scaling);
  if (type != "linear")
    return fail("rope_scaling of type {} is not supported; default, linear and llama3 are", Reader::shown(type));
  auto factor = scaling.find("factor");
  if (factor == scaling.end())
    return fail("'rope_scaling.factor' is missing");
  QUANTC_ASSIGN(double divisor, Reader::numberFrom("rope_scaling.factor", *factor));
  for (double &frequency : frequencies)
    frequency /= divisor;
  return {};
}

/// Newer files of Hugging Face keep all that concerns the rotary embedding in `rope_parameters`, older ones the scaling
/// in `rope_scaling` and the rest beside it.
Result<json> rotaryParameters(const Reader &reader) {
  const json *scaling = reader.at("rope_scaling"), *parameters = reader.at("rope_parameters");
  if (scaling && parameters && *scaling != *parameters)
    return fail("'rope_scaling' and 'rope_parameters' are both there and differ");
  json all = parameters ? *parameters : scaling ? *scaling : json::object();
  if (!all.is_object())
    return fail("'{}' must be an object, found {}", parameters ? "rope_parameters" : "rope_scaling",
                Reader::shown(all));
  for (auto &[key, value] : all.items())
    if (value.is_object())
      return fail("'rope_parameters.{}' is an object: a rotary embedding that differs between layers is not supported",
                  key);
  for (const char *key : {"rope_theta", "partial_rotary_factor"})
    if (const json *beside = reader.at(key); beside && !all.contains(key))
      all[key] = *beside;
  return all;
}

Status readRope(const Reader &reader, ModelConfig &config) {
  json scaling = json::object();
  QUANTC_ASSIGN(config.ropeBase, reader.number("rope_base", 10000.0));
  int64_t rotated = config.headDim;
  if (reader.kind == ModelKind::Gguf) {
    QUANTC_ASSIGN(rotated, reader.integer("rotary_dim", config.headDim, config.headDim));
    std::string prefix = reader.architecture.gguf + ".rope.scaling.";
    for (const char *key : {"type", "factor"})
      if (const json *value = reader.at(prefix + key))
        scaling[key] = *value;
  } else {
    QUANTC_ASSIGN(scaling, rotaryParameters(reader));
    if (const json base = scaling.value("rope_theta", json()); !base.is_null()) {
      QUANTC_ASSIGN(config.ropeBase, Reader::numberFrom("rope_theta", base));
    }
    if (const json share = scaling.value("partial_rotary_factor", json()); !share.is_null()) {
      QUANTC_ASSIGN(double factor, Reader::numberFrom("partial_rotary_factor", share));
      if (factor > 1)
        return fail("'partial_rotary_factor' is {}, expected at most 1", factor);
      rotated = static_cast<int64_t>(config.headDim * factor);
    }
  }
  if (rotated < 2 || rotated % 2)
    return fail("{} features of a head are rotated, expected an even number", rotated);
  for (int64_t i = 0; i < rotated / 2; ++i)
    config.frequencies.push_back(std::pow(config.ropeBase, -2.0 * i / rotated));
  return scaleRope(config.frequencies, scaling);
}

//===- Other parts ----------------------------------------------------------------------------------------------===//

/// Whether each layer has a window, where the file says so layer by layer.
Result<std::optional<std::vector<bool>>> windowedLayers(const Reader &reader, int64_t layers) {
  const std::string key = reader.key("windowed");
  const json *list = reader.at(key);
  if (!list)
    return std::nullopt;
  if (!list->is_array() || list->size() != size_t(layers))
    return fail("'{}' must be a list of {} layers, found {}", key, layers, Reader::shown(*list));
  const bool gguf = reader.kind == ModelKind::Gguf;
  std::vector<bool> windowed;
  for (const json &layer : *list) {
    if (layer != (gguf ? json(true) : json("sliding_attention")) &&
        layer != (gguf ? json(false) : json("full_attention")))
      return fail("'{}' has a layer of the type {}, which is not supported", key, Reader::shown(layer));
    windowed.push_back(layer == (gguf ? json(true) : json("sliding_attention")));
  }
  return windowed;
}

/// The same by the rules of the architecture.
Result<std::vector<bool>> windowedByRule(const Reader &reader, int64_t layers) {
  int64_t first = 0;
  if (reader.kind == ModelKind::HuggingFace) {
    const json *flag = reader.at("use_sliding_window");
    const bool flagged = reader.architecture.window == WindowUse::Flagged;
    if (reader.architecture.window == WindowUse::Never || (flagged && (!flag || *flag != json(true))))
      return std::vector<bool>(layers, false);
    if (const json *value = flagged ? reader.at("max_window_layers") : nullptr) {
      QUANTC_ASSIGN(first, Reader::integerFrom("max_window_layers", *value, 0, maxLayers));
    }
  }
  std::vector<bool> windowed(layers, true);
  std::fill_n(windowed.begin(), std::min(first, layers), false);
  return windowed;
}

Status readWindows(const Reader &reader, ModelConfig &config) {
  config.windows.assign(config.layers, 0);
  QUANTC_ASSIGN(const std::vector<bool> byRule, windowedByRule(reader, config.layers));
  QUANTC_ASSIGN(const auto listed, windowedLayers(reader, config.layers));
  const json *value = reader.at(reader.key("window"));
  const bool none = !value || *value == json(0);
  if (listed && std::count(listed->begin(), listed->end(), true) > 0) {
    if (reader.kind == ModelKind::HuggingFace && reader.architecture.window == WindowUse::Never)
      return fail("'{}' has layers with a sliding window, which {} models do not have", reader.key("windowed"),
                  reader.architecture.name);
    if (none || (reader.architecture.window == WindowUse::Flagged && reader.at("use_sliding_window") &&
                 *reader.at("use_sliding_window") == json(false)))
      return fail("'{}' has layers with a sliding window, but {}", reader.key("windowed"),
                  none ? fmt::format("'{}' gives none", reader.key("window")) : "'use_sliding_window' is false");
  }
  if (none)
    return {};
  const std::vector<bool> &windowed = listed ? *listed : byRule;
  if (std::count(windowed.begin(), windowed.end(), true) == 0)
    return {};
  QUANTC_ASSIGN(int64_t window, Reader::integerFrom(reader.key("window"), *value, 1, maxContext));
  for (int64_t layer = 0; layer < config.layers; ++layer)
    config.windows[layer] = windowed[layer] ? window : 0;
  return {};
}

/// A token id, or a list of them.
Status readTokenIds(const Reader &reader, const std::string &key, std::vector<int32_t> &ids) {
  const json *value = reader.at(key);
  if (!value)
    return {};
  json list = value->is_array() ? *value : json::array({*value});
  for (const json &element : list) {
    QUANTC_ASSIGN(int64_t id, Reader::integerFrom(key, element, 0, maxVocab));
    ids.push_back(static_cast<int32_t>(id));
  }
  return {};
}

/// Parameters that other models have and that would change what is computed.
Status checkFixed(const Reader &reader) {
  for (auto &[names, right] : reader.architecture.fixed) {
    std::string key = names.in(reader.kind);
    if (size_t at = key.find("{a}"); at != std::string::npos)
      key.replace(at, 3, reader.architecture.gguf);
    if (const json *value = reader.at(key); value && *value != right && (!right.is_null() || *value != json(false)))
      return fail("'{}' is {}, which is not supported in {} models{}", key, Reader::shown(*value),
                  reader.architecture.name,
                  right.is_null() ? std::string() : fmt::format("; only {} is", Reader::shown(right)));
  }
  return {};
}

Status checkFeatures(const Reader &reader) {
  QUANTC_TRY(checkFixed(reader));
  if (reader.kind == ModelKind::Gguf)
    return {};
  if (const json *value = reader.at("hidden_act"); value && *value != "silu" && *value != "swish") // one function
    return fail("'hidden_act' is {}, only silu is supported", Reader::shown(*value));
  return {};
}

/// Biases that the configuration speaks of.
Status readBiases(const Reader &reader, ModelConfig &config) {
  if (reader.kind == ModelKind::Gguf)
    return {};
  for (const char *key : {"attention_bias", "mlp_bias"}) {
    const json *value = reader.at(key);
    if (!value)
      continue;
    if (!value->is_boolean())
      return fail("'{}' must be true or false, found {}", key, Reader::shown(*value));
    bool known = false;
    for (auto &[role, flag] : reader.architecture.biasFlags)
      if (flag == key) {
        config.biases[role] = value->get<bool>();
        known = true;
      }
    if (!known && value->get<bool>())
      return fail("'{}' is true, but {} models have no such biases", key, reader.architecture.name);
  }
  return {};
}

Result<ModelConfig> readConfig(const Reader &reader) {
  QUANTC_TRY(checkFeatures(reader));
  ModelConfig config;
  config.architecture = reader.architecture.name;
  QUANTC_ASSIGN(config.hidden, reader.integer("hidden", maxFeatures));
  QUANTC_ASSIGN(config.layers, reader.integer("layers", maxLayers));
  QUANTC_ASSIGN(config.ffn, reader.integer("ffn", maxFeatures));
  QUANTC_ASSIGN(config.heads, reader.integer("heads", maxFeatures));
  QUANTC_ASSIGN(config.kvHeads, reader.integer("kv_heads", maxFeatures, config.heads));
  QUANTC_ASSIGN(config.context, reader.integer("context", maxContext));
  QUANTC_ASSIGN(config.eps, reader.number("eps"));
  bool gguf = reader.kind == ModelKind::Gguf;
  QUANTC_ASSIGN(config.vocab, reader.integer("vocab", maxVocab, gguf ? std::optional<int64_t>(0) : std::nullopt));

  if (config.heads % config.kvHeads)
    return fail("'{}' {} is no multiple of '{}' {}", reader.key("heads"), config.heads, reader.key("kv_heads"),
                config.kvHeads);
  if (!reader.at(reader.key("head_dim")) && config.hidden % config.heads)
    return fail("'{}' {} is no multiple of '{}' {}, and '{}' is missing", reader.key("hidden"), config.hidden,
                reader.key("heads"), config.heads, reader.key("head_dim"));
  QUANTC_ASSIGN(config.headDim, reader.integer("head_dim", maxFeatures, config.hidden / config.heads));
  QUANTC_ASSIGN(int64_t valueDim, reader.integer("value_dim", maxFeatures, config.headDim));
  if (valueDim != config.headDim)
    return fail("heads of keys have {} features but those of values {}, which is not supported", config.headDim,
                valueDim);
  if (config.heads * config.headDim > maxFeatures)
    return fail("{} heads of {} features are more than {}", config.heads, config.headDim, maxFeatures);

  QUANTC_TRY(readRope(reader, config));
  QUANTC_TRY(readWindows(reader, config));
  QUANTC_TRY(readBiases(reader, config));
  QUANTC_TRY(readTokenIds(reader, gguf ? "tokenizer.ggml.bos_token_id" : "bos_token_id", config.bos));
  QUANTC_TRY(readTokenIds(reader, gguf ? "tokenizer.ggml.eos_token_id" : "eos_token_id", config.eos));
  if (gguf)
    QUANTC_TRY(readTokenIds(reader, "tokenizer.ggml.eot_token_id", config.eos));
  if (const json *tied = gguf ? nullptr : reader.at("tie_word_embeddings")) {
    if (!tied->is_boolean())
      return fail("'tie_word_embeddings' must be true or false, found {}", Reader::shown(*tied));
    config.tied = tied->get<bool>();
  }
  return config;
}

} // namespace

Result<ModelConfig> quantc::readModelConfig(const Architecture &architecture, ModelKind kind, const json &metadata) {
  return readConfig(Reader(architecture, kind, metadata));
}

Status quantc::scaleFrequencies(ModelConfig &config, const std::vector<float> &factors) {
  if (factors.size() != config.frequencies.size())
    return fail("{} factors of the rotary embedding, expected {}", factors.size(), config.frequencies.size());
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0) || !std::isfinite(factors[i]))
      return fail("factor {} of the rotary embedding is {}, expected a positive number", i, factors[i]);
    config.frequencies[i] /= factors[i];
  }
  return {};
}
