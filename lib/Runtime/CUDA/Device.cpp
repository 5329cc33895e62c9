//===- Device.cpp - one GPU: its context, its memory --------------------------------------------------------------===//

#include "quantc/Runtime/CUDA/Device.h"
#include <algorithm>
#include <charconv>

using namespace quantc;
using namespace quantc::cuda;

Result<DeviceProperties> DeviceProperties::of(const std::string &library, int ordinal) {
  QUANTC_ASSIGN(auto driver, Driver::open(library));
  const Driver &d = *driver;
  int count = 0;
  QUANTC_TRY(d.check(d.deviceGetCount(&count), "counting GPUs"));
  if (ordinal < 0 || ordinal >= count)
    return fail("there is no GPU {}: the CUDA driver finds {}; CUDA_VISIBLE_DEVICES may hide some", ordinal, count);
  DeviceProperties gpu;
  QUANTC_TRY(d.check(d.deviceGet(&gpu.number, ordinal), "opening the GPU"));
  char name[256] = {};
  QUANTC_TRY(d.check(d.deviceGetName(name, sizeof name - 1, gpu.number), "naming the GPU"));
  gpu.title = name;
  int shared = 0;
  QUANTC_TRY(d.check(d.deviceGetAttribute(&gpu.version.first, CapabilityMajor, gpu.number), "asking the GPU"));
  QUANTC_TRY(d.check(d.deviceGetAttribute(&gpu.version.second, CapabilityMinor, gpu.number), "asking the GPU"));
  QUANTC_TRY(d.check(d.deviceGetAttribute(&shared, SharedBytesOptIn, gpu.number), "asking the GPU"));
  gpu.mostSharedBytes = shared;
  gpu.functions = std::move(driver);
  return gpu;
}

Result<std::shared_ptr<const Device>> Device::open(const std::string &library, int ordinal) {
  QUANTC_ASSIGN(DeviceProperties properties, of(library, ordinal));
  std::shared_ptr<Device> device(new Device(std::move(properties)));
  const Driver &d = device->driver();
  QUANTC_TRY(d.check(d.primaryContextRetain(&device->context, device->number), "making a context on the GPU"));
  return std::shared_ptr<const Device>(std::move(device));
}

Device::~Device() {
  if (context)
    functions->primaryContextRelease(number);
}

/// "sm_90a" is {9, 0} for this architecture alone.
static bool parse(std::string_view chip, std::pair<int, int> &version, bool &isAlone) {
  if (!chip.starts_with("sm_"))
    return false;
  chip.remove_prefix(3);
  isAlone = chip.ends_with('a');
  chip.remove_suffix(isAlone ? 1 : 0);
  int number = 0;
  const auto [end, error] = std::from_chars(chip.data(), chip.data() + chip.size(), number);
  version = {number / 10, number % 10};
  return error == std::errc() && end == chip.data() + chip.size();
}

bool DeviceProperties::runs(std::string_view chip) const {
  std::pair<int, int> needed;
  bool isAlone;
  return parse(chip, needed, isAlone) && (isAlone ? version == needed : version >= needed);
}

bool DeviceProperties::runsMachineCode(std::string_view chip) const {
  std::pair<int, int> needed;
  bool isAlone;
  return runs(chip) && parse(chip, needed, isAlone) && needed.first == version.first;
}

Result<Device::Current> Device::makeCurrent() const {
  QUANTC_TRY(functions->check(functions->contextPush(context), "using the GPU"));
  return Current(*functions);
}

Device::Current::~Current() {
  Context ignored;
  if (driver)
    driver->contextPop(&ignored);
}

Result<Device::MemoryInfo> Device::memory() const {
  QUANTC_ASSIGN(const Current current, makeCurrent());
  size_t free = 0, total = 0;
  QUANTC_TRY(functions->check(functions->memGetInfo(&free, &total), "asking for the GPU's memory"));
  return MemoryInfo{free, total};
}

uint64_t Device::MemoryInfo::usable() const {
  const uint64_t kept = std::min<uint64_t>((256 << 20) + total / 50, 1 << 30);
  return free - std::min(free, kept);
}

//===- Memory --------------------------------------------------------------------------------------------------===//

Result<DeviceMemory> DeviceMemory::allocate(std::shared_ptr<const Device> device, uint64_t bytes) {
  DeviceMemory memory;
  if (bytes == 0)
    return memory;
  QUANTC_ASSIGN(const Device::Current current, device->makeCurrent());
  const Driver &driver = device->driver();
  if (const int result = driver.memAlloc(&memory.begin, bytes)) {
    const Error error = driver.check(result, "allocating").error();
    QUANTC_ASSIGN(const Device::MemoryInfo info, device->memory());
    return fail("{} bytes on the GPU ({}), of which {} of {} bytes are free: {}", bytes, device->name(), info.free,
                info.total, error.message);
  }
  memory.bytes = bytes;
  memory.device = std::move(device);
  return memory;
}

DeviceMemory &DeviceMemory::operator=(DeviceMemory &&other) noexcept {
  std::swap(device, other.device);
  std::swap(begin, other.begin);
  std::swap(bytes, other.bytes);
  return *this;
}

DeviceMemory::~DeviceMemory() {
  if (!device)
    return;
  const auto current = device->makeCurrent();
  device->driver().memFree(begin);
}

Result<PinnedMemory> PinnedMemory::allocate(std::shared_ptr<const Device> device, uint64_t bytes) {
  PinnedMemory memory;
  QUANTC_ASSIGN(const Device::Current current, device->makeCurrent());
  void *address = nullptr;
  QUANTC_TRY(device->driver().check(device->driver().hostAlloc(&address, bytes), "allocating memory for copies"));
  memory.begin = static_cast<std::byte *>(address);
  memory.bytes = bytes;
  memory.device = std::move(device);
  return memory;
}

PinnedMemory &PinnedMemory::operator=(PinnedMemory &&other) noexcept {
  std::swap(device, other.device);
  std::swap(begin, other.begin);
  std::swap(bytes, other.bytes);
  return *this;
}

PinnedMemory::~PinnedMemory() {
  if (!device)
    return;
  const auto current = device->makeCurrent();
  device->driver().hostFree(begin);
}
