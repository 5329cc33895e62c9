//===- Device.h - one GPU: its context, its memory ----------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/CUDA/Driver.h"
#include <span>
#include <utility>

namespace quantc::cuda {

/// A GPU with its primary context. Any number of threads may use it at the same time.
class Device {
public:
  /// Fails where there is no driver or no GPU of that number, with what to do.
  static Result<std::shared_ptr<const Device>> open(const std::string &library = systemLibrary, int ordinal = 0);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const Driver &driver() const { return *functions; }
  const std::string &name() const { return title; }
  /// Major and minor version.
  std::pair<int, int> capability() const { return version; }
  /// Whether it runs PTX for a chip: "sm_80" runs on all GPUs from compute capability 8.0 on, "sm_90a" on 9.0 only.
  bool runs(std::string_view chip) const;
  /// Whether it runs machine code for a chip: of the same major version.
  bool runsMachineCode(std::string_view chip) const;
  /// The most dynamic shared memory that a block can have.
  int64_t sharedBytes() const { return mostSharedBytes; }

  struct MemoryInfo {
    uint64_t free, total;
  };
  Result<MemoryInfo> memory() const;

  /// Its context is that of this thread while one lives.
  class Current {
  public:
    explicit Current(const Device &device) : driver(device.driver()) { driver.contextPush(device.context); }
    ~Current() {
      Context ignored;
      driver.contextPop(&ignored);
    }
    Current(const Current &) = delete;
    Current &operator=(const Current &) = delete;

  private:
    const Driver &driver;
  };

private:
  explicit Device(std::shared_ptr<const Driver> functions) : functions(std::move(functions)) {}
  std::shared_ptr<const Driver> functions;
  int number = 0;
  Context context = nullptr;
  std::string title;
  std::pair<int, int> version;
  int64_t mostSharedBytes = 0;
};

/// Memory of a GPU, aligned to 256 bytes.
class DeviceMemory {
public:
  static constexpr uint64_t alignment = 256;

  DeviceMemory() = default;
  /// Fails where there is not so much.
  static Result<DeviceMemory> allocate(std::shared_ptr<const Device> device, uint64_t bytes);
  DeviceMemory(DeviceMemory &&other) noexcept { *this = std::move(other); }
  DeviceMemory &operator=(DeviceMemory &&other) noexcept;
  ~DeviceMemory();

  Address address() const { return begin; }
  uint64_t size() const { return bytes; }

private:
  std::shared_ptr<const Device> device;
  Address begin = 0;
  uint64_t bytes = 0;
};

/// Memory of the host that a GPU copies from and to without a detour.
class PinnedMemory {
public:
  PinnedMemory() = default;
  static Result<PinnedMemory> allocate(std::shared_ptr<const Device> device, uint64_t bytes);
  PinnedMemory(PinnedMemory &&other) noexcept { *this = std::move(other); }
  PinnedMemory &operator=(PinnedMemory &&other) noexcept;
  ~PinnedMemory();

  std::byte *data() const { return begin; }

private:
  std::shared_ptr<const Device> device;
  std::byte *begin = nullptr;
};

} // namespace quantc::cuda
