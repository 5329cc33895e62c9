//===- Quantize.h - a model quantized into another checkpoint ---------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Support/Result.h"
#include <filesystem>
#include <functional>
#include <vector>

namespace quantc {

struct QuantizeOptions {
  std::filesystem::path model, output;
  /// The format of every matrix, or a policy by name or file. Both empty: each tensor keeps its own.
  std::string format, policy;
  std::vector<std::filesystem::path> formatFiles;
  unsigned threads = 0;
  bool allowRequantize = false; ///< take the decoded values of tensors that are quantized already
  /// Called after each tensor.
  std::function<void(uint64_t doneBytes, uint64_t totalBytes, const std::string &tensor)> progress;
};

struct QuantizedTensor {
  std::string name, format;
  std::vector<int64_t> shape;
  uint64_t bytes;
  double nmse; ///< squared error over squared size; 0 where the tensor was kept
};

struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;
  uint64_t bytes = 0; ///< of all tensors
};

/// Writes a GGUF file: tensors quantized by round-to-nearest with the search of each format, all metadata, tensors in
/// the order of llama-quantize. The file appears whole or not at all; needs memory for one tensor.
Result<QuantizeReport> quantizeToGguf(const QuantizeOptions &options);

} // namespace quantc
