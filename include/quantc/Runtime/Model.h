//===- Model.h - an artifact mapped for execution ---------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Artifact.h"
#include "quantc/Runtime/ThreadPool.h"
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

namespace cuda {
class DeviceModel;
}

/// What executes a model.
enum class DeviceKind { Cpu, Cuda };

struct LoadOptions {
  std::string target; ///< A target of the artifact by name. Empty: the best one that the device can execute.
  DeviceKind device = DeviceKind::Cpu;
  /// Of `Cuda`: how many layers run on the GPU, the last ones; embedding, other layers and head stay on the processor.
  /// Nothing, or more than the model has: everything runs on the GPU. The artifact needs code for both.
  std::optional<int64_t> gpuLayers = {};
  std::string cudaLibrary = {}; ///< The CUDA driver, by path or by a name that the system knows. Empty: the system's.
  /// On a GPU: each kernel is waited for, so that an error names the one that made it. Slow.
  bool synchronize = false;
  /// Is told what does not stop a model but makes it slower to start or run. Empty: nobody is.
  std::function<void(const std::string &)> note = {};
};

/// Code and weights of a `.qm`, mapped and never copied; immutable, so any number of sessions and threads may share it.
/// On a GPU weights and code are copied there, once for a model.
/// An artifact is trusted like an executable: its code runs. What can be checked is: entries lie in the image, weights
/// are aligned, launches name what exists, inputs and outputs are large enough.
class Model {
public:
  struct Kernel {
    KernelFunction run;
    int64_t (*tasks)(const int64_t *args);
  };

  static Result<std::shared_ptr<const Model>> load(const std::filesystem::path &path, const LoadOptions &options = {});
  ~Model();
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const Manifest &manifest() const;
  const Artifact &artifact() const;
  /// The target whose code runs; those of the GPU and of the processor, joined by "+", where both do.
  const std::string &target() const;
  /// What a step executes where the head runs.
  const ProgramEntry &program() const;
  /// The stages that run on a GPU; none on the processor only.
  StageRange stagesOnDevice() const;
  /// Weights and code on a GPU; null on the processor only.
  const std::shared_ptr<const cuda::DeviceModel> &onDevice() const;
  /// Entries of the chosen target, in the manifest's order of kernels. Of a processor only.
  const std::vector<Kernel> &kernels() const;
  /// Addresses of the weights, in the manifest's order. Of a processor only.
  const std::vector<const std::byte *> &weights() const;

  int64_t context() const; ///< Positions that the model was compiled for.
  int64_t vocab() const;
  /// Tokens that end a text.
  const std::vector<int32_t> &endTokens() const;

private:
  struct Mapped;
  explicit Model(std::unique_ptr<Mapped> mapped);
  std::unique_ptr<Mapped> mapped;
};

} // namespace quantc
