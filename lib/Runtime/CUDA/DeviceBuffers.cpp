//===- DeviceBuffers.cpp - the memory of a session on a GPU -------------------------------------------------------===//

#include "DeviceBuffers.h"
#include "../Placement.h"

using namespace quantc;
using namespace quantc::cuda;

static uint64_t aligned(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// The error that says what would fit.
tl::unexpected<Error> DeviceBuffers::tooLarge(const ExecutorOptions &options, uint64_t available,
                                              const std::string &why) const {
  const uint64_t all = available + model->weightBytes(options.stages);
  const std::string layers = layersThatFit(model->manifest(), [&](StageRange part) {
    const uint64_t weights = model->weightBytes(part);
    return weights <= all && layOutBuffers(buffersOf(model->program(), part), options.chunk, options.context,
                                           options.sequences, all - weights, DeviceMemory::alignment);
  });
  return fail("on the GPU ({}): {}{}", model->device()->name(), why, layers);
}

Status DeviceBuffers::allocate(const ExecutorOptions &options) {
  const GPUProgram &program = model->program();
  QUANTC_ASSIGN(const Device::MemoryInfo info, model->device()->memory());
  const uint64_t available = options.memoryLimit ? std::min(options.memoryLimit, info.usable()) : info.usable();
  auto laidOut = layOutBuffers(buffersOf(program, options.stages), options.chunk, options.context, options.sequences,
                               available, DeviceMemory::alignment);
  if (!laidOut)
    return tooLarge(options, available, laidOut.error().message);
  layout = std::move(*laidOut);
  isCleared.assign(static_cast<size_t>(options.sequences), false);
  const uint64_t pastBytes = isCleared.size() * sizeof(int64_t);
  QUANTC_ASSIGN(persistent, DeviceMemory::allocate(model->device(), layout.persistent * isCleared.size()));
  QUANTC_ASSIGN(transient, DeviceMemory::allocate(model->device(),
                                                  layout.transient + aligned(pastBytes, DeviceMemory::alignment)));
  pasts = transient.address() + layout.transient;

  Scalars most{};
  valueOf(most, Scalar::Tokens) = options.chunk;
  const uint64_t enteringBytes = options.stages.first ? quantc::enteringBytes(program, options.stages, most)
                                                      : static_cast<uint64_t>(options.chunk) * sizeof(int32_t);
  leavingOffset = pastBytes + aligned(enteringBytes, 64);
  return {};
}

int64_t DeviceBuffers::buffer(size_t index, int64_t sequence) const {
  const Address begin = model->program().buffers[index].persistent
                            ? persistent.address() + static_cast<Address>(sequence) * layout.persistent
                            : transient.address();
  return static_cast<int64_t>(begin + layout.offsets[index]);
}

std::vector<int64_t> DeviceBuffers::weight(size_t index) const {
  const std::vector<Address> &planes = model->weight(index);
  return {planes.begin(), planes.end()};
}

Status DeviceBuffers::clearOn(Stream stream) {
  const Driver &driver = model->device()->driver();
  for (size_t sequence = 0; sequence < isCleared.size(); sequence++) {
    if (!isCleared[sequence] && layout.persistent)
      QUANTC_TRY(driver.check(
          driver.fillAsync(persistent.address() + sequence * layout.persistent, 0, layout.persistent, stream),
          "clearing the KV cache"));
    isCleared[sequence] = true;
  }
  return {};
}

/// Rows of logits are large and mostly one is wanted: the memory that they are copied to grows when more are.
Status DeviceBuffers::reserve(uint64_t leavingBytes) {
  if (staging.size() < leavingOffset + leavingBytes) {
    QUANTC_ASSIGN(staging, PinnedMemory::allocate(model->device(), leavingOffset + leavingBytes));
  }
  return {};
}
