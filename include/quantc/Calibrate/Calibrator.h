//===- Calibrator.h - runs a model block by block and watches the inputs of its linears -------------------------===//
#pragma once

#include "quantc/Calibrate/FloatProgram.h"
#include "quantc/Calibrate/FloatWeights.h"
#include "quantc/Calibrate/SavedBuffers.h"
#include "quantc/Methods/StatisticsSource.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Support/ScratchFile.h"
#include "quantc/Transforms/WeightStore.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>
#include <memory_resource>

namespace quantc {

/// Which weights the blocks before, and the linears before in the same block, have when an input is observed.
enum class Predecessors {
  Original, ///< those of the files: one pass over each block serves all its linears
  Quantized ///< those that `replaced` was told of so far: a pass for each input of a block ("true sequential")
};

struct CalibrationOptions {
  std::vector<std::vector<int32_t>> sequences; ///< of token ids, each computed from an empty KV cache
  Predecessors predecessors = Predecessors::Original;
  bool hessian = true;           ///< collect the products of features, K × K numbers for each input
  unsigned threads = 0;          ///< 0: as many as the machine has
  std::filesystem::path scratch; ///< a folder with room for the activations of all sequences
  /// Where the f32 weights and the sums of products of a block lie; outlives the calibrator and what it gives.
  std::pmr::memory_resource *memory = std::pmr::get_default_resource();
  /// Called after each sequence of a pass over a stage.
  std::function<void(uint64_t done, uint64_t total, const std::string &stage)> progress;
};

/// Statistics on demand. Requests go forward through the model: a request for a stage ends those before. Memory holds
/// the f32 weights and the statistics of one block; activations lie in scratch files: those between blocks, and, where
/// quantized predecessors are wanted, those at the input that was observed last, from which the next request goes on.
class Calibrator : public StatisticsSource {
public:
  /// `graph`: a module as imported, whose weights `originals` has. Fails where a sequence has tokens outside the
  /// vocabulary or is longer than the model's context.
  static Result<std::unique_ptr<Calibrator>> create(mlir::OwningOpRef<mlir::ModuleOp> graph,
                                                    const WeightStore &originals, const Target &target,
                                                    CalibrationOptions options);
  ~Calibrator() override;

  bool hasHessians() const override { return options.hessian; }
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override;
  Status replaced(const std::string &weight, const ReadRows &read) override;

  /// Stages that were run to their end, and what the last of them gave for all sequences: who keeps both can go on from
  /// there. Of original predecessors only, since quantized weights are not in it.
  size_t stagesDone() const { return stage + (finished ? 1 : 0); }
  std::span<const std::byte> passed() const { return std::as_bytes(passing); }
  /// Goes on behind so many stages, before anything is asked. Fails where that is not what these stages give.
  Status resume(size_t stages, std::span<const std::byte> passed);
  /// The stage whose request `of` an observer is.
  Result<size_t> stageOf(const std::string &observer) const;

  /// The observers in the order of the graph, with the features that they see.
  std::vector<std::pair<std::string, int64_t>> observers() const;

private:
  /// What kernels read is aligned so.
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  Calibrator(mlir::OwningOpRef<mlir::ModuleOp> graph, const WeightStore &originals, CalibrationOptions options,
             unsigned blockRows);
  Status open(const Target &target);
  Status checkSequences() const;
  /// Makes `wanted` the current stage; the stages before are run to their end.
  Status enter(size_t wanted);
  Status bindStage();
  Status bind(nn::WeightOp weight, const ReadRows &read);
  void forgetBehind(size_t weight);
  void restartStage();
  Status pass(size_t end, const std::string *only);
  Status runSequence(size_t sequence, size_t end, const std::string *only);
  Status collect(const std::string &observer);
  std::pmr::vector<float> takeHessian(const std::string &observer, int64_t K);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  const WeightStore &originals;
  CalibrationOptions options;
  unsigned blockRows; ///< of kernel storage
  std::unique_ptr<FloatProgram> program;
  std::unique_ptr<ScratchFile> scratch;
  std::vector<FloatProgram::Scalars> sizes;  ///< by sequence
  std::span<float> passing;                  ///< the residual stream between stages, of all sequences
  std::vector<std::span<float>> activations; ///< that of each sequence
  int64_t hidden = 0, longest = 0;           ///< features of the residual stream; tokens of the longest sequence
  uint64_t tokens = 0;                       ///< of all sequences

  size_t stage = 0;
  size_t position = 0;                 ///< launches of the current stage that were run; `saved` is what they gave
  std::unique_ptr<SavedBuffers> saved; ///< null: the next pass begins with the stage
  std::vector<std::unique_ptr<SavedBuffers>> spare; ///< those before, for their room: two at most
  bool finished = false;         ///< the current stage was run to its end, and `activations` are what it gave
  std::vector<void *> addresses; ///< by symbol
  std::vector<Memory> memory;    ///< buffers of the current stage, by symbol
  llvm::DenseMap<size_t, std::pmr::vector<Line>> weights;            ///< of the current stage, by symbol
  llvm::StringMap<std::pmr::vector<float>> hessians;                 ///< sums so far, by observer
  llvm::StringMap<std::shared_ptr<const InputStatistics>> collected; ///< of the current stage
};

} // namespace quantc
