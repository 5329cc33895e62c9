//===- DeviceModel.h - code and weights of a model on a GPU -------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Artifact.h"
#include "quantc/Runtime/CUDA/Device.h"
#include "quantc/Runtime/Model.h"

namespace quantc::cuda {

/// Immutable; sessions share it.
class DeviceModel {
public:
  /// A variant of a kernel, ready for launches.
  struct Variant {
    const GPUVariant *description;
    Function function;
  };

  /// Loads the code for the target of `options`, or for the best that the GPU can run, and copies the weights of some
  /// stages. Fails where there is none, the code is not as the manifest says, or the weights do not fit (with what
  /// would).
  static Result<std::shared_ptr<const DeviceModel>>
  create(std::shared_ptr<const Device> device, const Artifact &artifact, const LoadOptions &options, StageRange stages);
  ~DeviceModel();

  const std::shared_ptr<const Device> &device() const { return gpu; }
  const GPUTargetEntry &target() const { return *chosen; }
  const GPUProgram &program() const { return *description; }
  const Manifest &manifest() const { return *all; }
  /// Whether each kernel is waited for.
  bool synchronizes() const { return options.synchronize; }
  /// Tells whoever loaded the model.
  void note(const std::string &what) const;
  /// More tokens later, any number last.
  const std::vector<Variant> &variants(size_t kernel) const { return kernels[kernel]; }
  /// Bytes that the weights of some stages take on the GPU.
  uint64_t weightBytes(StageRange stages) const;
  /// Addresses that a launch of its stages passes for a weight: of its planes, or the one of its numbers.
  const std::vector<Address> &weight(size_t index) const { return addresses[index]; }

private:
  DeviceModel(std::shared_ptr<const Device> device, const Artifact &artifact, const LoadOptions &options)
      : gpu(std::move(device)), options(options), all(&artifact.manifest()), description(&*artifact.manifest().gpu) {}
  Status chooseTarget(const std::string &asked);
  Status loadCode(const Artifact &artifact);
  Status loadModule(const void *image);
  Status checkKernels(std::string_view ptx) const;
  Status findKernels();
  tl::unexpected<Error> tooLarge(StageRange stages, uint64_t free) const;
  Status copyWeights(const Artifact &artifact, StageRange stages);

  std::shared_ptr<const Device> gpu;
  const LoadOptions options;
  const Manifest *all; ///< of the model that this is part of
  const GPUProgram *description;
  const GPUTargetEntry *chosen = nullptr;
  Module module = nullptr;
  DeviceMemory memory; ///< of all weights
  std::vector<std::vector<Variant>> kernels;
  std::vector<uint64_t> sizes; ///< of the weights, in the manifest's order, aligned
  std::vector<std::vector<Address>> addresses;
};

} // namespace quantc::cuda
