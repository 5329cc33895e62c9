//===- Timing.h - how fast a GPU is -------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/CUDA/Device.h"
#include <functional>

namespace quantc::cuda {

/// Work of its own on a GPU, in order.
class WorkStream {
public:
  static Result<WorkStream> create(std::shared_ptr<const Device> device);
  WorkStream(WorkStream &&other) noexcept;
  ~WorkStream();

  Stream handle() const { return stream; }
  /// Seconds of what `work` puts on the stream, by events around it. Waits for it.
  Result<double> seconds(const std::function<Status()> &work) const;

private:
  explicit WorkStream(std::shared_ptr<const Device> device) : device(std::move(device)) {}
  std::shared_ptr<const Device> device;
  Stream stream = nullptr;
  Event begin = nullptr, end = nullptr;
};

/// Bytes per second that copies within the GPU's memory read and write together, the best of several: what kernels that
/// wait for memory are measured by.
Result<double> copyBandwidth(const std::shared_ptr<const Device> &device);

} // namespace quantc::cuda
