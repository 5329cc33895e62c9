//===- WeightStore.h - the bytes of weights ---------------------------------------------------------------------===//
//
// IR names weights; this holds them: sources where their files are mapped, encoded ones in kernel storage in a scratch
// file. Everything goes by tiles of rows.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Encode/WeightError.h"
#include "quantc/Format/Decode.h"
#include "quantc/Format/KernelStorage.h"
#include "quantc/Import/Checkpoint.h"
#include "quantc/Support/ScratchFile.h"
#include "llvm/ADT/StringMap.h"
#include <functional>
#include <optional>

namespace quantc {

/// Rows [row, row + count) of a weight as f32, row-major; a vector is one row.
using ReadRows = std::function<Status(int64_t row, int64_t count, float *out)>;

/// How quantized weights are kept: as kernels read them, or field by field, for files of other programs.
enum class KeepAs { KernelStorage, Fields };

class WeightStore {
public:
  /// `rows`: of a block of kernel storage. `scratch`: a folder with room for the encoded weights. `threads`: 0, as many
  /// as the machine has.
  static Result<std::unique_ptr<WeightStore>> create(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows,
                                                     const std::filesystem::path &scratch, unsigned threads = 0,
                                                     KeepAs keepAs = KeepAs::KernelStorage);

  /// Executes `weight` = quantized(source) by rounding to nearest, and keeps the result under the weight's name.
  Result<WeightError> encode(nn::WeightOp weight, qf::ElemType format);

  /// Keeps a quantized weight: the packed fields of its rows and columns in the format `format`. `order`: the weight's
  /// column at each place of the fields, empty where that is its own order, as it must be in kernel storage.
  Status keep(nn::WeightOp weight, qf::ElemType format, std::span<const std::byte> packed,
              std::span<const int32_t> order = {});
  /// Keeps other values of a weight that stays f32.
  Status keep(nn::WeightOp weight, std::span<const float> values);

  /// The packed fields of a weight that was kept as such; nothing where it was not.
  std::optional<std::span<const std::byte>> packedFields(nn::WeightOp weight) const;
  /// The order that it was kept in.
  std::vector<int64_t> order(nn::WeightOp weight) const { return orders.lookup(weight.getSymName()); }
  /// The other values of a weight that stays f32; nothing where it has its own.
  std::optional<std::vector<float>> values(nn::WeightOp weight) const;

  /// Rows [row, row + count) of a weight as its source has it, as f32; of a vector or a table, all of it. Thread-safe.
  Status read(nn::WeightOp weight, int64_t row, int64_t count, float *out) const;
  /// The same for who reads in parts, which may be cheaper: a rotation of rows is computed once. Thread-safe.
  Result<ReadRows> reader(nn::WeightOp weight) const;

  /// Bytes that a weight has in an artifact: matrices of `!qf.elem` in kernel storage, tables of columns as i32, all
  /// others as row-major f32.
  Result<uint64_t> bytes(nn::WeightOp weight) const;
  /// Calls `sink` with these bytes, in order, in pieces.
  Status write(nn::WeightOp weight, const std::function<Status(std::span<const std::byte>)> &sink) const;
  /// Where the values come from, "file#tensor", and the content hash of their bytes, "blake3:…"; empty for constants.
  std::pair<std::string, std::string> provenance(nn::WeightOp weight) const;

private:
  WeightStore(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows, std::unique_ptr<ScratchFile> scratch,
              unsigned threads, KeepAs keepAs)
      : checkpoint(std::move(checkpoint)), rows(rows), scratch(std::move(scratch)), threads(threads), keepAs(keepAs) {}

  /// The rows of a tensor that a weight names.
  struct Source {
    const CheckpointTensor *tensor;
    int64_t row;
  };
  Result<Source> source(nn::WeightOp weight) const;
  Result<Source> source(nn::SourceAttr from, int64_t rows) const;
  Result<std::vector<double>> leaf(mlir::MLIRContext *context, mlir::Attribute from, int64_t row, int64_t count) const;
  Result<ReadRows> derivedReader(nn::WeightOp weight) const;
  Status encodeSlices(int64_t N, int64_t slice, const std::function<Status(int64_t row, int64_t count)> &body) const;
  Status writeRepacked(nn::WeightOp weight, qf::ElemType elem,
                       const std::function<Status(std::span<const std::byte>)> &sink) const;
  Result<std::vector<float>> floats(nn::WeightOp weight) const;
  Result<std::vector<int32_t>> columns(nn::WeightOp weight) const;

  std::shared_ptr<const Checkpoint> checkpoint;
  unsigned rows;
  std::unique_ptr<ScratchFile> scratch;
  unsigned threads;
  KeepAs keepAs;
  llvm::StringMap<std::span<const std::byte>> encoded; ///< kernel storage by the name of the weight
  llvm::StringMap<std::vector<int64_t>> orders;
};

} // namespace quantc
