//===- KernelTimes.h - what each kernel of a model takes, beside what it has to -----------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include <functional>
#include <map>
#include <optional>
#include <span>

namespace quantc {

/// A step of a model, as far as the work of its launches depends on it.
struct StepSize {
  int64_t tokens = 1; ///< of the step; logits are those of the last
  int64_t past = 0;   ///< positions before them in the KV cache
};

/// What a launch has to read and to multiply, whatever its code does.
struct LaunchWork {
  uint64_t bytes = 0; ///< of weights that are multiplied, and of the KV cache as far as the step sees it
  uint64_t multiplications = 0;
};

/// `kernel.work` counted for a launch of it. `bytesOf` gives the size of a weight. Nothing where the kernel multiplies
/// neither weights nor what lies in the KV cache, or the artifact does not say what it does.
std::optional<LaunchWork> workOf(const Manifest &manifest, const LaunchEntry &launch, const StepSize &step,
                                 const std::function<uint64_t(const WeightEntry &)> &bytesOf);

/// What the machine does at most, measured.
struct Ceilings {
  double bytes = 0;                         ///< read from memory in a second
  std::map<std::string, double> operations; ///< in a second, by what multiplies; a multiply-add counts as two
};

/// The least time of some work.
struct Floor {
  double seconds = 0;
  bool ofMemory = false; ///< reading takes longest, not multiplying
};

/// The fastest of the instructions counts. Nothing where the ceiling of none is known and reading may not be what takes
/// longest.
std::optional<Floor> floorOf(const LaunchWork &work, const Ceilings &ceilings,
                             std::span<const std::string> instructions);

/// What kernels took in steps of one size.
struct StepTimes {
  StepSize step;
  struct Kernel {
    size_t index;               ///< in the manifest
    double seconds;             ///< of a launch: the median
    std::optional<Floor> floor; ///< the same of a launch
  };
  std::vector<Kernel> kernels; ///< those that were launched, in the manifest's order
};

struct KernelTimesOptions {
  unsigned threads = 0;                      ///< as of a session
  std::vector<int64_t> tokens = {1, 8, 512}; ///< of the steps; as many as the context of the model allows
  int64_t rounds = 5;
};

struct KernelTimes {
  Ceilings ceilings;
  unsigned threads = 0;
  std::vector<StepTimes> steps; ///< in the order of `tokens`
};

/// Runs steps of a model on a processor and measures each launch. Its weights and its part of the KV cache are taken
/// from the caches before, so that they come from memory as they do in a model that no cache holds. The longest step is
/// a prompt, the others follow it. Fails on a model that is on a GPU.
Result<KernelTimes> timeKernels(std::shared_ptr<const Model> model, const KernelTimesOptions &options = {});

} // namespace quantc
