//===- Quantize.h - a model quantized into another checkpoint ---------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Support/Result.h"
#include <filesystem>
#include <functional>
#include <vector>

namespace quantc {

/// The fields of a weight from elsewhere than rounding to nearest, by the role of its tensor ("blk.0.attn_q.weight");
/// rows and columns in the order of the model's own files.
using FieldSource = std::function<Result<FieldValues>(const std::string &role, const Format &format)>;

struct QuantizeOptions {
  std::filesystem::path model, output;
  /// What is written: a container of a Hugging Face directory, by its name or an alias; "gguf" or empty: a GGUF file.
  std::string container;
  /// The format of every matrix, or a policy by name or file. Both empty: each tensor keeps its own.
  std::string format, policy;
  FieldSource fields; ///< empty: rounded to nearest; for directories
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

/// Writes the container that the options name.
Result<QuantizeReport> quantizeModel(const QuantizeOptions &options);

/// Writes a GGUF file: tensors quantized by round-to-nearest with the search of each format, all metadata, tensors in
/// the order of llama-quantize. The file appears whole or not at all; needs memory for one tensor.
Result<QuantizeReport> quantizeToGguf(const QuantizeOptions &options);

/// Writes a Hugging Face directory: the linear layers of the blocks in the container, all other tensors as they are,
/// `quantization_config` in config.json, the tokenizer's files. Without a format the layers keep the fields that they
/// have, which the container has to carry. The folder appears whole or not at all; needs memory for the fields of one
/// weight, and room for the quantized weights a second time beside the output.
Result<QuantizeReport> quantizeToDirectory(const QuantizeOptions &options);

} // namespace quantc
