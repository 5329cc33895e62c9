//===- WeightEvaluator.h - executes what methods made of weights -------------------------------------------------===//
#pragma once

#include "quantc/Methods/Gptq.h"
#include "quantc/Transforms/Materialize.h"
#include "llvm/ADT/DenseMap.h"

namespace quantc {

/// Row-major; shared, since factors are used several times.
using Floats = std::shared_ptr<const std::vector<float>>;

/// Rows and columns; a vector is one row.
std::pair<int64_t, int64_t> extents(mlir::Value weight);
nn::WeightOp weightNamed(nn::GetOp get);

/// What became of a weight.
struct QuantizedWeight {
  std::vector<std::byte> packed; ///< fields (PackedFields.h)
  double nmse = 0;               ///< of the weights: squared error over squared size
  std::string method;            ///< that was used: the one that won where several were tried
  std::vector<int32_t> order;    ///< the weight's column at each place of the fields; empty: its own order
};

/// One weight at a time, windows of its rows in memory; factors of columns are kept.
class WeightEvaluator {
public:
  /// Without statistics in `options` only constants are some.
  WeightEvaluator(const WeightStore &store, const MaterializeOptions &options)
      : store(store), source(options.statistics), spool(options.spool), threads(options.threads),
        memory(options.memory), window(options.window) {}

  /// A weight, or one that `qf` ops changed.
  Result<Floats> value(mlir::Value weight);
  Result<QuantizedWeight> quantize(qf::QuantizeOp op);
  /// The same; the spool keeps it under the name of its weight.
  Result<QuantizedWeight> quantizeOnce(qf::QuantizeOp op);
  /// The values of a quantized weight as they would stand in the graph before factors were folded. Reads `quantized`.
  Result<ReadRows> unscaled(qf::QuantizeOp op, const QuantizedWeight &quantized);

private:
  /// Rows [row, row + count) of a weight.
  Result<std::vector<float>> rowsOf(mlir::Value weight, int64_t row, int64_t count);
  /// Multiplies these rows by what a qf.scale says, or divides them again.
  Status scaleRows(qf::ScaleOp op, int64_t row, std::span<float> values, bool back = false);
  Result<Floats> searchScales(qf::SearchScalesOp op);
  Result<Floats> searchScalesOnce(qf::SearchScalesOp op);
  /// Statistics, of inputs that were divided by `scales` (may be null) since.
  Result<std::shared_ptr<const InputStatistics>> statistics(mlir::ValueRange values, mlir::Value scales);
  Result<std::shared_ptr<const InputStatistics>> constants(mlir::ValueRange values);
  Result<std::shared_ptr<const InputStatistics>> observed(llvm::StringRef observer, bool hessian);
  using Statistics = std::shared_ptr<const InputStatistics>;
  /// Those of inputs that are held out to judge methods by, divided likewise.
  Result<Statistics> heldOut(mlir::Value value, mlir::Value scales);

  Result<GptqResult> fieldsBy(const std::string &method, qf::QuantizeOp op, std::span<const float> w, int64_t N,
                              const Statistics &known);
  /// `judge` (may be null): statistics by which `error`, that of the outputs, is measured.
  Result<QuantizedWeight> quantizeBy(const std::string &method, qf::QuantizeOp op, const Statistics &known,
                                     const InputStatistics *judge = nullptr, double *error = nullptr);
  Result<QuantizedWeight> quantizeByBest(qf::QuantizeOp op, const Statistics &known);
  int64_t windowRows(const Format &format, int64_t N, int64_t K) const;

  /// What is known of one input: the linears that read it come one after the other.
  struct Input {
    std::string observer;
    std::shared_ptr<const InputStatistics> statistics, divided; ///< `divided` by `scales`
    Floats scales;
    std::shared_ptr<const InputStatistics> factored; ///< what `gptq` was made of, by `options`
    GptqOptions options;
    GptqInputsRef gptq;
  };
  Result<GptqInputsRef> factored(const std::shared_ptr<const InputStatistics> &statistics, const GptqOptions &options);

  const WeightStore &store;
  StatisticsSource *source;
  Spool *spool;
  unsigned threads;
  std::pmr::memory_resource *memory;
  int64_t window;
  llvm::DenseMap<mlir::Value, Floats> factors;
  Input input;
  /// The weight whose windows are read: some are computed as a whole first.
  struct {
    nn::WeightOp weight;
    ReadRows rows;
  } reading;
};

} // namespace quantc
