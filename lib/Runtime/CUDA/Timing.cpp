//===- Timing.cpp - how fast a GPU is -----------------------------------------------------------------------------===//

#include "quantc/Runtime/CUDA/Timing.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::cuda;

Result<WorkStream> WorkStream::create(std::shared_ptr<const Device> device) {
  WorkStream made(std::move(device));
  const Driver &d = made.device->driver();
  QUANTC_ASSIGN(const Device::Current current, made.device->makeCurrent());
  QUANTC_TRY(d.check(d.streamCreate(&made.stream, NonBlocking), "making a stream"));
  QUANTC_TRY(d.check(d.eventCreate(&made.begin, 0), "making an event"));
  QUANTC_TRY(d.check(d.eventCreate(&made.end, 0), "making an event"));
  return made;
}

WorkStream::WorkStream(WorkStream &&other) noexcept
    : device(std::move(other.device)), stream(std::exchange(other.stream, nullptr)),
      begin(std::exchange(other.begin, nullptr)), end(std::exchange(other.end, nullptr)) {}

WorkStream::~WorkStream() {
  if (!device)
    return;
  const auto current = device->makeCurrent();
  for (Event event : {begin, end})
    if (event)
      device->driver().eventDestroy(event);
  if (stream)
    device->driver().streamDestroy(stream);
}

Result<double> WorkStream::seconds(const std::function<Status()> &work) const {
  const Driver &d = device->driver();
  QUANTC_ASSIGN(const Device::Current current, device->makeCurrent());
  QUANTC_TRY(d.check(d.eventRecord(begin, stream), "timing"));
  QUANTC_TRY(work());
  QUANTC_TRY(d.check(d.eventRecord(end, stream), "timing"));
  QUANTC_TRY(d.check(d.eventSynchronize(end), "timing"));
  float milliseconds = 0;
  QUANTC_TRY(d.check(d.eventElapsedTime(&milliseconds, begin, end), "timing"));
  return milliseconds / 1e3;
}

Result<double> cuda::copyBandwidth(const std::shared_ptr<const Device> &device) {
  constexpr uint64_t wanted = 1 << 30; // caches of GPUs hold some tens of MB
  constexpr int copies = 10;
  const Driver &d = device->driver();
  QUANTC_ASSIGN(const Device::MemoryInfo info, device->memory());
  const uint64_t bytes =
      std::min<uint64_t>(wanted, info.usable() / 4) / DeviceMemory::alignment * DeviceMemory::alignment;
  if (bytes == 0)
    return fail("the GPU ({}) has no memory left for a measurement", device->name());
  QUANTC_ASSIGN(const DeviceMemory from, DeviceMemory::allocate(device, bytes));
  QUANTC_ASSIGN(const DeviceMemory to, DeviceMemory::allocate(device, bytes));
  QUANTC_ASSIGN(const WorkStream stream, WorkStream::create(device));
  double best = 0;
  for (int i = 0; i < copies; i++) {
    QUANTC_ASSIGN(const double seconds, stream.seconds([&] {
      return d.check(d.copyOnDeviceAsync(to.address(), from.address(), bytes, stream.handle()), "copying");
    }));
    best = std::max(best, 2 * static_cast<double>(bytes) / seconds);
  }
  return best;
}
