//===- WeightStore.h - the bytes of weights ---------------------------------------------------------------------===//
//
// IR names weights; this holds them: sources where their files are mapped, encoded ones in kernel storage in a scratch
// file. No whole tensor is ever in anonymous memory: everything goes by tiles of rows.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/KernelStorage.h"
#include "quantc/Format/Layout.h"
#include "quantc/Import/Checkpoint.h"
#include "quantc/Transforms/ScratchFile.h"
#include "llvm/ADT/StringMap.h"
#include <functional>

namespace quantc {

class WeightStore {
public:
  /// `rows`: of a block of kernel storage. `scratch`: a folder with room for the encoded weights. `threads`: 0, as many
  /// as the machine has.
  static Result<std::unique_ptr<WeightStore>> create(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows,
                                                     const std::filesystem::path &scratch, unsigned threads = 0);

  /// Executes `weight` = quantized(source) by rounding to nearest, and keeps the result under the weight's name.
  Status encode(nn::WeightOp weight, qf::ElemType format);

  /// Keeps a quantized weight: `fields` of its rows and columns in the format `format`.
  Status keep(nn::WeightOp weight, qf::ElemType format, const FieldValues &fields);
  /// Keeps other values of a weight that stays f32.
  Status keep(nn::WeightOp weight, std::span<const float> values);

  /// Rows [row, row + count) of a weight as its source has it, as f32; of a vector or a table, all of it. Thread-safe.
  Status read(nn::WeightOp weight, int64_t row, int64_t count, float *out) const;

  /// Bytes that a weight has in an artifact: matrices of `!qf.elem` in kernel storage, all others as row-major f32.
  Result<uint64_t> bytes(nn::WeightOp weight) const;
  /// Calls `sink` with these bytes, in order, in pieces.
  Status write(nn::WeightOp weight, const std::function<Status(std::span<const std::byte>)> &sink) const;
  /// Where the values come from, "file#tensor", and the content hash of their bytes, "blake3:…"; empty for constants.
  std::pair<std::string, std::string> provenance(nn::WeightOp weight) const;

private:
  WeightStore(std::shared_ptr<const Checkpoint> checkpoint, unsigned rows, std::unique_ptr<ScratchFile> scratch,
              unsigned threads)
      : checkpoint(std::move(checkpoint)), rows(rows), scratch(std::move(scratch)), threads(threads) {}

  /// The part of a tensor that a weight names.
  struct Source {
    std::string format;
    std::span<const std::byte> bytes;
  };
  Result<Source> source(nn::WeightOp weight) const;
  Status encodeSlices(int64_t N, int64_t slice, const std::function<Status(int64_t row, int64_t count)> &body) const;
  Status writeRepacked(nn::WeightOp weight, qf::ElemType elem,
                       const std::function<Status(std::span<const std::byte>)> &sink) const;
  Result<std::vector<float>> floats(nn::WeightOp weight) const;

  std::shared_ptr<const Checkpoint> checkpoint;
  unsigned rows;
  std::unique_ptr<ScratchFile> scratch;
  unsigned threads;
  llvm::StringMap<std::span<const std::byte>> encoded; ///< kernel storage by the name of the weight
};

/// Reads rows of a matrix from the bytes of a file: blocks of a format, row-major.
class RowReader {
public:
  /// `bytes` holds rows of `columns` numbers in the format's blocks. Fails where the format has fields outside of its
  /// blocks.
  static Result<RowReader> create(std::shared_ptr<const Format> format, std::span<const std::byte> bytes,
                                  int64_t columns);
  /// Rows [row, row + count) as f32. Thread-safe.
  Status read(int64_t row, int64_t count, float *out) const;

private:
  RowReader(std::shared_ptr<const Format> format, BlockLayout layout, std::span<const std::byte> bytes,
            int64_t columns);
  std::shared_ptr<const Format> format;
  BlockLayout layout;
  std::span<const std::byte> data;
  int64_t columns, rowBytes;
};

} // namespace quantc
