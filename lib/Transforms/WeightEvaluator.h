//===- WeightEvaluator.h - executes what methods made of weights -------------------------------------------------===//
#pragma once

#include "quantc/Methods/Gptq.h"
#include "quantc/Support/Spool.h"
#include "quantc/Transforms/StatisticsSource.h"
#include "quantc/Transforms/WeightStore.h"
#include "llvm/ADT/DenseMap.h"

namespace quantc {

/// Row-major; shared, since factors are used several times.
using Floats = std::shared_ptr<const std::vector<float>>;

/// A quantized weight, and what it came from.
struct QuantizedWeight {
  FieldValues fields;
  std::vector<float> decoded;
  double nmse = 0;    ///< of the weights: squared error over squared size
  std::string method; ///< that was used: the one that won where several were tried
};

/// Whole weights in memory, one at a time; factors of columns are kept.
class WeightEvaluator {
public:
  /// `source` may be null: then only constants are statistics. `spool` (may be null) has, and keeps, what is finished.
  WeightEvaluator(const WeightStore &store, StatisticsSource *source, Spool *spool, unsigned threads)
      : store(store), source(source), spool(spool), threads(threads) {}

  /// A weight, or one that `qf` ops changed.
  Result<Floats> value(mlir::Value weight);
  Result<QuantizedWeight> quantize(qf::QuantizeOp op);
  /// The same; the spool keeps it under the name of its weight.
  Result<QuantizedWeight> quantizeOnce(qf::QuantizeOp op);
  /// `values` of a quantized weight as they would stand in the graph before factors were folded.
  Result<std::vector<float>> unscaled(mlir::Value weight, std::vector<float> values);

private:
  Result<Floats> evaluate(mlir::Value weight);
  Result<Floats> scale(qf::ScaleOp op);
  Result<Floats> searchScales(qf::SearchScalesOp op);
  Result<Floats> searchScalesOnce(qf::SearchScalesOp op);
  Result<Floats> clip(qf::ClipOp op);
  /// Statistics, of inputs that were divided by `scales` (may be null) since.
  Result<std::shared_ptr<const InputStatistics>> statistics(mlir::ValueRange values, mlir::Value scales);
  Result<std::shared_ptr<const InputStatistics>> constants(mlir::ValueRange values);
  Result<std::shared_ptr<const InputStatistics>> observed(llvm::StringRef observer, bool hessian);
  /// Those of inputs that are held out to judge methods by, divided likewise.
  Result<InputStatistics> heldOut(mlir::Value value, mlir::Value scales);

  using Statistics = std::shared_ptr<const InputStatistics>;
  Result<QuantizedWeight> quantizeBy(const std::string &method, qf::QuantizeOp op, std::span<const float> w,
                                     const Statistics &known);
  Result<QuantizedWeight> quantizeByBest(qf::QuantizeOp op, std::span<const float> w, const Statistics &known);

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
  llvm::DenseMap<mlir::Value, Floats> factors;
  Input input;
};

} // namespace quantc
