//===- ModelShape.h - how large the tensors of a model are ------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <vector>

namespace quantc {

struct MatrixShape {
  std::string name;
  int64_t rows, columns;
  bool isTable; ///< a token reads one row of it
};

struct ModelShape {
  std::vector<MatrixShape> matrices;
  double vectors = 0;   ///< numbers in norms and biases
  double kvNumbers = 0; ///< in the KV cache, for each position
  int64_t context = 0;  ///< positions that the model was trained for
};

/// Of a model by its tensors, or of a config.json by what its architecture says.
Result<ModelShape> shapeOfModel(const std::filesystem::path &model);

} // namespace quantc
