//===- DivergenceMeter.h - how far other weights carry a model from itself --------------------------------------===//
#pragma once

#include "OpenModel.h"
#include "quantc/Calibrate/FloatProgram.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Support/ScratchFile.h"
#include "quantc/Transforms/WeightStore.h"

namespace quantc {

struct MeterOptions {
  std::vector<std::vector<int32_t>> sequences; ///< of token ids, each computed from an empty KV cache
  std::filesystem::path scratch; ///< a folder with room for the model in f32, its activations and its logits
  unsigned threads = 0;
  /// Called after each stage of a measurement; what has been run, in stages.
  std::function<void(uint64_t stages)> progress;
};

/// Runs a model in f32 by its own compiled kernels. Weights are exchanged one by one; a measurement begins with the
/// first stage that has one, on activations kept of the original model.
class DivergenceMeter {
public:
  /// Runs the original model once.
  static Result<std::unique_ptr<DivergenceMeter>> create(const OpenedModel &opened, const WeightStore &originals,
                                                         const Target &target, MeterOptions options);
  ~DivergenceMeter();

  /// The matrices, in the order of the model.
  std::vector<nn::WeightOp> matrices();
  /// Stages that are run once this weight has other values.
  size_t stagesFrom(nn::WeightOp weight) const;
  /// Gives a matrix other values, row-major; empty: its own again.
  Status replace(nn::WeightOp weight, std::span<const float> values);
  /// The mean over all tokens of the KL divergence of the predictions from those of the original model, in nats.
  Result<double> divergence();
  /// The same of the predictions of another model, as it is in its files, on the same sequences.
  Result<double> divergenceOf(const DivergenceMeter &other);

private:
  DivergenceMeter(const WeightStore &originals, unsigned rows, MeterOptions options);
  Status open(const OpenedModel &opened, const Target &target);
  Status bindWeights();
  Status runStage(size_t stage, const std::vector<std::span<float>> &input, std::vector<std::span<float>> *output);
  Status keepLogits(size_t sequence, const float *logits);
  Result<double> meanDivergence() const;
  void compareLogits(size_t sequence, const float *logits);

  const WeightStore &originals;
  unsigned rows; ///< of a block of kernel storage
  MeterOptions options;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<FloatProgram> program;
  std::unique_ptr<ScratchFile> scratch;
  std::vector<void *> addresses;                       ///< by symbol; weights stay
  std::vector<std::vector<std::span<float>>> entering; ///< by stage and sequence: of the original model
  std::vector<std::span<float>> current;               ///< by sequence: of the model as it is
  std::vector<std::span<float>> logits;                ///< by sequence: of the original model
  llvm::StringMap<size_t> firstStage;                  ///< by weight
  llvm::StringMap<bool> replaced;
  std::vector<double> divergences; ///< of the measurement, by token
  bool isFirst = true;             ///< the original model is run
  size_t vocab = 0, longest = 0;
};

} // namespace quantc
