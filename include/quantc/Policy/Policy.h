//===- Policy.h - which format each tensor of a model gets ------------------------------------------------------===//
//
// A policy is a file in policies/: a format for all matrices, and rules for some of them. The first rule that fits a
// tensor wins:
//
//   { "format": "F", "rules": [ {"tensor": "attn_v", "layers": "more_bits", "format": "G"} ], "fallbacks":
//   "fallbacks.json" }
//
// Conditions of a rule: `name` (of one tensor, without ".weight"), `tensor` (the role, below), `layers` (a set of
// layers, below), `first_layers` (a number of them), `heads_per_kv` (at least as many query heads for each KV head).
// Where a format's block does not divide the columns of a tensor, the file of fallbacks says what takes its place.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"

namespace quantc {

/// What policies know of a model.
struct PolicyModel {
  int64_t layers = 0, heads = 1, kvHeads = 1;
  bool tied = false; ///< the token embedding is also the output matrix
};

/// A matrix by its name in GGUF terms: "blk.3.attn_v.weight", "output.weight", "token_embd.weight".
struct PolicyTensor {
  std::string name;
  int64_t rows, columns;
  /// "attn_v"; "output" for what the logits are computed by (the embedding of a tied model); "token_embd".
  std::string role(const PolicyModel &model) const;
  /// -1 outside of the layers.
  int64_t layer() const;
};

/// Named sets of layers: "more_bits" (the first and last eighth, and every third between), "first_eighth",
/// "first_sixteenth", as llama-quantize computes them.
Result<bool> inLayerSet(std::string_view set, int64_t layer, int64_t layers);

class Policy {
public:
  /// A name in `data`/policies, or a file. Fails with the names that are known.
  static Result<Policy> load(const std::string &nameOrFile, const std::filesystem::path &data);
  /// One format for every matrix, and no fallback: a tensor that cannot hold it is refused.
  static Policy uniform(std::string format);

  /// The format of a matrix. Fails where it cannot hold the tensor, and says which formats can.
  Result<std::string> formatOf(const PolicyTensor &tensor, const PolicyModel &model, Catalog &catalog) const;
  /// `general.file_type` of GGUF files that follow this policy.
  std::optional<uint32_t> fileType() const { return ggufFileType; }

private:
  struct Rule {
    std::string name, tensor, layers, format;
    int64_t firstLayers = -1, headsPerKv = 0;
  };
  Result<bool> fits(const Rule &rule, const PolicyTensor &tensor, const PolicyModel &model) const;

  std::string base;
  std::vector<Rule> rules;
  std::map<std::string, std::string> fallbacks;
  std::optional<uint32_t> ggufFileType;
};

} // namespace quantc
