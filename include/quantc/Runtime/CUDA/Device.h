//===- Device.h - one GPU: its context, its memory ----------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/CUDA/Driver.h"
#include <span>
#include <utility>

namespace quantc::cuda {

/// What can be said of a GPU without a context on it, which takes a part of a second and of its memory.
class DeviceProperties {
public:
  /// Fails where there is no driver or no GPU of that number, with what to do.
  static Result<DeviceProperties> of(const std::string &library = systemLibrary, int ordinal = 0);

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

protected:
  std::shared_ptr<const Driver> functions;
  int number = 0;

private:
  std::string title;
  std::pair<int, int> version;
  int64_t mostSharedBytes = 0;
};

/// A GPU with its primary context. Any number of threads may use it at the same time.
class Device : public DeviceProperties {
public:
  /// Fails as `DeviceProperties::of` does, and where the GPU takes no context.
  static Result<std::shared_ptr<const Device>> open(const std::string &library = systemLibrary, int ordinal = 0);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  struct MemoryInfo {
    uint64_t free, total;
    /// What can be planned with: the driver takes more when it loads kernels, and for their local memory and graphs.
    uint64_t usable() const;
  };
  Result<MemoryInfo> memory() const;

  /// Its context is that of this thread while one lives; then again the one before.
  class Current {
  public:
    Current(Current &&other) noexcept : driver(std::exchange(other.driver, nullptr)) {}
    ~Current();

  private:
    friend class Device;
    explicit Current(const Driver &driver) : driver(&driver) {}
    const Driver *driver;
  };
  /// Fails where the driver refuses; calls would then be for the context of somebody else.
  Result<Current> makeCurrent() const;

private:
  explicit Device(DeviceProperties properties) : DeviceProperties(std::move(properties)) {}
  Context context = nullptr;
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
  uint64_t size() const { return bytes; }

private:
  std::shared_ptr<const Device> device;
  std::byte *begin = nullptr;
  uint64_t bytes = 0;
};

} // namespace quantc::cuda
