#include "ReferenceModel.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

using namespace quantc::test;
using nlohmann::json;

ReferenceModel::ReferenceModel(const std::filesystem::path &directory,
                               const std::function<void(const std::string &, std::vector<float> &, int64_t)> &change) {
  std::ifstream(directory / "config.json") >> config;
  std::ifstream file(directory / "model.safetensors", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  const json header = json::parse(bytes.substr(8, length));
  for (const auto &[name, entry] : header.items()) {
    if (entry.at("dtype") != "F32")
      throw std::runtime_error("the reference reads F32 only");
    size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    std::vector<float> &values = tensors[name];
    values.resize((end - begin) / 4);
    std::memcpy(values.data(), bytes.data() + 8 + length + begin, end - begin);
    if (change && entry["shape"].size() == 2)
      change(name, values, entry["shape"][1]);
  }
  hidden = config["hidden_size"];
  layers = config["num_hidden_layers"];
  heads = config["num_attention_heads"];
  kvHeads = config["num_key_value_heads"];
  headDim = config.value("head_dim", hidden / heads);
  window = config.value("sliding_window", int64_t(0));
}

const std::vector<float> *ReferenceModel::find(const std::string &name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

ReferenceModel::Vector ReferenceModel::linear(const Vector &x, const std::string &name) const {
  if (watch)
    watch(name, x);
  const std::vector<float> &w = tensors.at(name + ".weight");
  const std::vector<float> *bias = find(name + ".bias");
  Vector y(w.size() / x.size());
  for (size_t n = 0; n < y.size(); ++n) {
    y[n] = bias ? (*bias)[n] : 0;
    for (size_t k = 0; k < x.size(); ++k)
      y[n] += w[n * x.size() + k] * x[k];
  }
  return y;
}

/// Runs of as many features as the weight has.
ReferenceModel::Vector ReferenceModel::norm(const Vector &x, const std::string &name) const {
  const std::vector<float> &w = tensors.at(name + ".weight");
  Vector y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += w.size()) {
    double squares = 0;
    for (size_t i = 0; i < w.size(); ++i)
      squares += x[begin + i] * x[begin + i];
    double scale = 1 / std::sqrt(squares / w.size() + config["rms_norm_eps"].get<double>());
    for (size_t i = 0; i < w.size(); ++i)
      y[begin + i] = x[begin + i] * scale * w[i];
  }
  return y;
}

/// Pairs (i, i + D/2) of each head.
void ReferenceModel::rotate(Vector &x, int64_t position) const {
  for (size_t head = 0; head < x.size(); head += headDim)
    for (int64_t i = 0; i < headDim / 2; ++i) {
      double angle = position * std::pow(config["rope_theta"].get<double>(), -2.0 * i / headDim);
      double &a = x[head + i], &b = x[head + i + headDim / 2], old = a;
      a = old * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + old * std::sin(angle);
    }
}

ReferenceModel::Vector ReferenceModel::attention(const Vector &q, size_t layer, int64_t position) const {
  Vector y(heads * headDim);
  int64_t first = window ? std::max<int64_t>(0, position - window + 1) : 0;
  for (int64_t head = 0; head < heads; ++head) {
    int64_t from = head / (heads / kvHeads) * headDim;
    Vector weights;
    double largest = -INFINITY, sum = 0;
    for (int64_t p = first; p <= position; ++p) {
      double score = 0;
      for (int64_t d = 0; d < headDim; ++d)
        score += q[head * headDim + d] * keys[layer][p][from + d];
      weights.push_back(score / std::sqrt(double(headDim)));
      largest = std::max(largest, weights.back());
    }
    for (double &weight : weights)
      sum += weight = std::exp(weight - largest);
    for (int64_t p = first; p <= position; ++p)
      for (int64_t d = 0; d < headDim; ++d)
        y[head * headDim + d] += weights[p - first] / sum * values[layer][p][from + d];
  }
  return y;
}

static std::vector<double> toHalf(std::vector<double> x) {
  for (double &v : x)
    v = static_cast<_Float16>(static_cast<float>(v));
  return x;
}

static void add(std::vector<double> &x, const std::vector<double> &y) {
  for (size_t i = 0; i < x.size(); ++i)
    x[i] += y[i];
}

ReferenceModel::Vector ReferenceModel::step(int32_t token, int64_t position) {
  const std::vector<float> &table = tensors.at("model.embed_tokens.weight");
  Vector x(table.begin() + token * hidden, table.begin() + (token + 1) * hidden);
  for (int64_t layer = 0; layer < layers; ++layer) {
    std::string name = "model.layers." + std::to_string(layer) + ".", attn = name + "self_attn.", mlp = name + "mlp.";
    Vector normed = norm(x, name + "input_layernorm");
    Vector q = linear(normed, attn + "q_proj"), k = linear(normed, attn + "k_proj");
    if (find(attn + "q_norm.weight")) {
      q = norm(q, attn + "q_norm");
      k = norm(k, attn + "k_norm");
    }
    rotate(q, position);
    rotate(k, position);
    keys[layer].push_back(toHalf(k));
    values[layer].push_back(toHalf(linear(normed, attn + "v_proj")));
    add(x, linear(attention(q, layer, position), attn + "o_proj"));
    normed = norm(x, name + "post_attention_layernorm");
    Vector gate = linear(normed, mlp + "gate_proj"), up = linear(normed, mlp + "up_proj");
    for (size_t i = 0; i < gate.size(); ++i)
      gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    add(x, linear(gate, mlp + "down_proj"));
  }
  x = norm(x, "model.norm");
  return linear(x, find("lm_head.weight") ? "lm_head" : "model.embed_tokens");
}

std::vector<std::vector<double>> ReferenceModel::logits(const std::vector<int32_t> &tokens) {
  keys.assign(layers, {});
  values.assign(layers, {});
  std::vector<Vector> result;
  for (size_t i = 0; i < tokens.size(); ++i)
    result.push_back(step(tokens[i], i));
  return result;
}
