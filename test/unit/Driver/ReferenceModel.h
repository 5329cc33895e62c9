//===- ReferenceModel.h - the forward pass of a decoder in f64, one token at a time -----------------------------===//
//
// Written from the papers and transformers' modelling code, without anything of the compiler: what compiled models are
// compared with. Only the KV cache is rounded to f16, which is part of the contract of kernels.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quantc::test {

class ReferenceModel {
public:
  /// Reads config.json and model.safetensors (F32). `change` may replace a matrix: [rows, columns], row-major.
  explicit ReferenceModel(
      const std::filesystem::path &directory,
      const std::function<void(const std::string &name, std::vector<float> &, int64_t columns)> &change = {});

  /// Called with the name and the input of each linear.
  std::function<void(const std::string &name, const std::vector<double> &input)> watch;

  /// Logits after each of the tokens.
  std::vector<std::vector<double>> logits(const std::vector<int32_t> &tokens);

private:
  using Vector = std::vector<double>;
  const std::vector<float> *find(const std::string &name) const;
  Vector linear(const Vector &x, const std::string &name) const;
  Vector norm(const Vector &x, const std::string &name) const;
  void rotate(Vector &x, int64_t position) const;
  Vector attention(const Vector &q, size_t layer, int64_t position) const;
  Vector step(int32_t token, int64_t position);

  nlohmann::json config;
  std::map<std::string, std::vector<float>> tensors;
  int64_t hidden, layers, heads, kvHeads, headDim, window;
  std::vector<std::vector<Vector>> keys, values; ///< by layer and position
};

} // namespace quantc::test
