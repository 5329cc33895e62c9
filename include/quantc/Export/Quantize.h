//===- Quantize.h - a model quantized into another checkpoint ---------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Support/Result.h"
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

namespace quantc {

/// A weight that a method quantized.
struct MadeWeight {
  /// The fields of rows [row, row + rows), which begin and end where cells do; rows and columns in the order of the
  /// model's own files.
  std::function<FieldValues(int64_t row, int64_t rows)> fields;
  double nmse;                     ///< squared error over squared size
  std::string method;              ///< that made it; empty: it was quantized already
  std::vector<int64_t> order = {}; ///< which of the model's columns is the j-th of the fields; empty: the same
};

/// Bytes that writing a Hugging Face directory takes for each number of its largest matrix, and for how many at most.
struct DirectoryMemory {
  static constexpr int64_t bytes = 16, numbers = int64_t(1) << 22;
};

/// What methods made of a model, by the role of its tensors ("blk.0.attn_q.weight").
struct MadeWeights {
  /// Nothing: the weight is rounded to nearest. Null: so are all.
  std::function<Result<std::optional<MadeWeight>>(const std::string &role, const Format &format)> quantized;
  /// Other values of what is not quantized: norms and biases that were divided by factors. Null or nothing: its own.
  std::function<std::optional<std::vector<float>>(const std::string &role)> changed;
  /// The model has a head of its own ("output.weight"), though its files have the embedding in place of it.
  bool ownHead = false;

  Result<std::optional<MadeWeight>> quantizedAs(const std::string &role, const Format &format) const {
    return quantized ? quantized(role, format) : Result<std::optional<MadeWeight>>(std::nullopt);
  }
  std::optional<std::vector<float>> valuesOf(const std::string &role) const {
    return changed ? changed(role) : std::nullopt;
  }
};

struct QuantizeOptions {
  std::filesystem::path model, output;
  /// What is written: a container of a Hugging Face directory, by its name or an alias; "gguf" or empty: a GGUF file.
  std::string container;
  /// The format of every matrix, or a policy by name or file. Both empty: each tensor keeps its own.
  std::string format, policy;
  MadeWeights made; ///< by methods other than rounding to nearest
  std::vector<std::filesystem::path> formatFiles;
  unsigned threads = 0;
  bool allowRequantize = false; ///< take the decoded values of tensors that are quantized already
  /// Where no format is given and requantizing is allowed: what becomes of matrices that the container cannot hold as
  /// they are. Empty: the first format that the container carries, if it holds one format.
  std::string otherwise;
  /// Called after each tensor; its error: squared error over squared size.
  std::function<void(uint64_t doneBytes, uint64_t totalBytes, const std::string &tensor, double nmse)> progress;
};

struct QuantizedTensor {
  std::string name, format;
  std::vector<int64_t> shape;
  uint64_t bytes;
  double nmse;             ///< squared error over squared size; 0 where the tensor was kept
  std::string method = {}; ///< that chose its codes; empty where it was kept
};

struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;
  uint64_t bytes = 0; ///< of all tensors
};

/// The one container of Hugging Face directories that carries a format, by the name that users give it; fails with
/// those that there are where it is none or not one.
Result<std::string> containerOf(const std::string &format, const std::vector<std::filesystem::path> &formatFiles);

/// Writes the container that the options name.
Result<QuantizeReport> quantizeModel(const QuantizeOptions &options);

/// Writes a GGUF file: tensors quantized, by round-to-nearest with the search of each format where no method made them,
/// all metadata, tensors in the order of llama-quantize. The file appears whole or not at all; needs memory for one
/// tensor.
Result<QuantizeReport> quantizeToGguf(const QuantizeOptions &options);

/// Writes a Hugging Face directory: the linear layers of the blocks in the container, all other tensors as they are,
/// `quantization_config` in config.json, the tokenizer's files. Without a format the layers keep the fields that they
/// have, which the container has to carry. The folder appears whole or not at all; needs memory for the fields of one
/// weight, and room for the quantized weights a second time beside the output.
Result<QuantizeReport> quantizeToDirectory(const QuantizeOptions &options);

/// Writes a Hugging Face directory of plain numbers: every matrix decoded and written in `format` (f32, f16, bf16),
/// vectors as they are, the configuration without `quantization_config`, the tokenizer's files. Of a GGUF file
/// configuration and tokenizer are made from its metadata; fails where that says what these files have no words for.
/// The folder appears whole or not at all; needs memory for a part of one tensor.
Result<QuantizeReport> dequantizeToDirectory(const QuantizeOptions &options);

} // namespace quantc
