//===- FloatWeights.cpp - f32 weights as the kernels of calibration read them ------------------------------------===//

#include "quantc/Calibrate/FloatWeights.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Repack.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>

using namespace mlir;
using namespace quantc;

/// Rows that are converted at a time are a multiple of those of a block of kernel storage.
static constexpr int64_t rowsAtOnce = 256;

/// Null where the weight is a vector, which is plain f32.
static Result<std::shared_ptr<const KernelStorage>> storageOf(nn::WeightOp weight, unsigned blockRows) {
  auto elem = dyn_cast<qf::ElemType>(cast<RankedTensorType>(weight.getType()).getElementType());
  if (!elem)
    return std::shared_ptr<const KernelStorage>();
  return weight.getContext()->getOrLoadDialect<qf::QFDialect>()->kernelStorage(elem.getSpec(), blockRows);
}

Result<uint64_t> quantc::floatWeightBytes(nn::WeightOp weight, unsigned blockRows) {
  auto type = cast<RankedTensorType>(weight.getType());
  QUANTC_ASSIGN(const auto storage, storageOf(weight, blockRows));
  return static_cast<uint64_t>(storage ? storage->bytes(type.getDimSize(0), type.getDimSize(1))
                                       : type.getNumElements() * static_cast<int64_t>(sizeof(float)));
}

Status quantc::writeFloatWeight(nn::WeightOp weight, unsigned blockRows, unsigned threads, const ReadRows &read,
                                std::span<std::byte> place) {
  QUANTC_ASSIGN(const auto storage, storageOf(weight, blockRows));
  if (!storage)
    return read(0, 1, reinterpret_cast<float *>(place.data()));
  auto type = cast<RankedTensorType>(weight.getType());
  const int64_t N = type.getDimSize(0), K = type.getDimSize(1);
  QUANTC_ASSIGN(const Repacker repacker, Repacker::create(storage));
  std::vector<Status> results((N + rowsAtOnce - 1) / rowsAtOnce);
  parallelFor(results.size(), threads, [&](size_t i) {
    results[i] = [&]() -> Status {
      const int64_t row = static_cast<int64_t>(i) * rowsAtOnce, count = std::min(rowsAtOnce, N - row);
      std::vector<float> values(count * K);
      QUANTC_TRY(read(row, count, values.data()));
      std::span<std::byte> part = place.subspan(storage->bytes(row, K), storage->bytes(count, K));
      return repacker.fromBlocks(std::as_bytes(std::span(values)), count, K, part, /*threads=*/1);
    }();
  });
  for (const Status &result : results)
    QUANTC_TRY(result);
  return {};
}
