//===- DeviceBuffers.h - the memory of a session on a GPU ---------------------------------------------------------===//
#pragma once

#include "../BoundLaunch.h"
#include "../BufferPlan.h"
#include "DeviceModel.h"

namespace quantc::cuda {

/// Buffers on the GPU, those that persist once for each sequence, and memory of the host by which it and the GPU
/// exchange what enters and leaves a step.
class DeviceBuffers final : public Addresses {
public:
  explicit DeviceBuffers(std::shared_ptr<const DeviceModel> model) : model(std::move(model)) {}
  /// Fails where the buffers do not fit, with what would.
  Status allocate(const ExecutorOptions &options);
  uint64_t bytes() const { return persistent.size() + transient.size(); }

  int64_t buffer(size_t index, int64_t sequence) const override;
  std::vector<int64_t> weight(size_t index) const override;
  /// Of the i64 that kernels read.
  int64_t past(const SequenceStep &part) const override { return static_cast<int64_t>(pastOf(part.sequence)); }
  Address pastOf(int64_t sequence) const { return pasts + static_cast<Address>(sequence) * sizeof(int64_t); }
  /// A buffer that the sequences share.
  Address shared(size_t index) const { return static_cast<Address>(buffer(index, 0)); }

  /// Persistent buffers of a sequence are zeros behind the next `clearOn`.
  void clear(int64_t sequence) { isCleared[static_cast<size_t>(sequence)] = false; }
  Status clearOn(Stream stream);

  /// Makes memory of the host for so many bytes that leave a step.
  Status reserve(uint64_t leavingBytes);
  /// Memory of the host: positions before a step of each sequence; what enters; what leaves.
  std::span<int64_t> stagedPasts() const { return {reinterpret_cast<int64_t *>(staging.data()), isCleared.size()}; }
  std::byte *entering() const { return staging.data() + stagedPasts().size_bytes(); }
  std::byte *leaving() const { return staging.data() + leavingOffset; }

private:
  tl::unexpected<Error> tooLarge(const ExecutorOptions &options, uint64_t available, const std::string &why) const;

  std::shared_ptr<const DeviceModel> model;
  BufferLayout layout;
  DeviceMemory persistent, transient;
  Address pasts = 0;
  PinnedMemory staging;
  uint64_t leavingOffset = 0;
  std::vector<bool> isCleared; ///< the persistent buffers of each sequence began as zeros
};

} // namespace quantc::cuda
