//===- Driver.cpp - libcuda on the emulator: devices, contexts, memory, code --------------------------------------===//

#include "Kernels.h"
#include "State.h"
#include <cstdlib>
#include <cstring>

using namespace quantc;
using namespace quantc::standin;

extern "C" {

//===- Devices and contexts ------------------------------------------------------------------------------------===//

int cuInit(unsigned) {
  return Success;
}
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return Success;
}
int cuGetErrorString(int error, const char **text) {
  static const std::map<int, const char *> texts = {{OutOfMemory, "out of memory"},
                                                    {InvalidValue, "invalid argument"},
                                                    {InvalidContext, "invalid device context"},
                                                    {NoBinary, "no kernel image is available"},
                                                    {InvalidPtx, "a PTX JIT compilation failed"},
                                                    {NotFound, "named symbol not found"},
                                                    {IllegalAddress, "an illegal memory access was encountered"}};
  const auto found = texts.find(error);
  *text = found == texts.end() ? "unknown error" : found->second;
  return Success;
}
int cuDeviceGetCount(int *count) {
  *count = state().gpu.count;
  return Success;
}
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal < state().gpu.count ? Success : InvalidValue;
}
int cuDeviceGetName(char *name, int length, int) {
  std::strncpy(name, "stand-in", static_cast<size_t>(length));
  return Success;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
  const StandInGPU &gpu = state().gpu;
  *value = attribute == 75 ? gpu.major : attribute == 76 ? gpu.minor : attribute == 97 ? gpu.sharedBytes : -1;
  return *value < 0 ? InvalidValue : Success;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  std::lock_guard lock(state().mutex);
  *context = &state();
  state().counts.contexts++;
  state().counts.liveObjects++;
  return Success;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  std::lock_guard lock(state().mutex);
  state().counts.liveObjects--;
  return Success;
}
int cuCtxPushCurrent_v2(void *context) {
  if (context != &state() || !state().gpu.hasContext)
    return InvalidContext;
  contexts.push_back(context);
  return Success;
}
int cuCtxPopCurrent_v2(void **context) {
  if (contexts.empty())
    return InvalidContext;
  *context = contexts.back();
  contexts.pop_back();
  return Success;
}
int cuCtxGetCurrent(void **context) {
  *context = contexts.empty() ? nullptr : contexts.back();
  return Success;
}

//===- Memory --------------------------------------------------------------------------------------------------===//

int cuMemGetInfo_v2(size_t *free, size_t *total) {
  const Call call;
  *total = state().gpu.memory;
  *free = *total - std::min(*total, state().counts.liveBytes);
  return call.code;
}
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  if (bytes == 0)
    return InvalidValue;
  const StandInGPU &gpu = state().gpu;
  if (bytes > gpu.memory - std::min(gpu.memory, state().counts.liveBytes + gpu.unusable))
    return OutOfMemory;
  auto *begin = static_cast<std::byte *>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  std::memset(begin, 0xff, bytes); // NaN in every float type
  state().memory[begin] = bytes;
  state().counts.liveBytes += bytes;
  *address = reinterpret_cast<uint64_t>(begin);
  return Success;
}
int cuMemFree_v2(uint64_t address) {
  std::lock_guard lock(state().mutex);
  const auto found = state().memory.find(reinterpret_cast<std::byte *>(address));
  if (contexts.empty() || found == state().memory.end())
    return InvalidValue;
  finishAll();
  state().counts.liveBytes -= found->second;
  std::free(found->first);
  state().memory.erase(found);
  return Success;
}
int cuMemAllocHost_v2(void **address, size_t bytes) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  *address = std::malloc(bytes);
  state().pinned[static_cast<std::byte *>(*address)] = bytes;
  state().counts.pinnedBytes += bytes;
  state().counts.liveObjects++;
  return Success;
}
int cuMemFreeHost(void *address) {
  std::lock_guard lock(state().mutex);
  const auto found = state().pinned.find(static_cast<std::byte *>(address));
  if (found == state().pinned.end())
    return InvalidValue;
  finishAll();
  state().counts.pinnedBytes -= found->second;
  state().counts.liveObjects--;
  state().pinned.erase(found);
  std::free(address);
  return Success;
}

/// A copy on a stream; `device` is what must lie on the GPU.
static int copyLater(uint64_t to, uint64_t from, size_t bytes, std::initializer_list<uint64_t> device,
                     StreamObject *stream) {
  for (const uint64_t address : device)
    if (!isWithin(state().memory, reinterpret_cast<void *>(address), bytes))
      return failed(InvalidValue, "a copy outside of what is allocated");
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
    return int(Success);
  });
}
/// Memory that is not pinned is read before the call returns; the copy lands later all the same.
static int copyFromHost(uint64_t to, const void *from, size_t bytes, StreamObject *stream) {
  if (isWithin(state().pinned, from, bytes))
    return copyLater(to, reinterpret_cast<uint64_t>(from), bytes, {to}, stream);
  if (!isWithin(state().memory, reinterpret_cast<void *>(to), bytes))
    return failed(InvalidValue, "a copy outside of what is allocated");
  const auto *begin = static_cast<const std::byte *>(from);
  return enqueue(stream, [to, staged = std::vector<std::byte>(begin, begin + bytes)] {
    std::memcpy(reinterpret_cast<void *>(to), staged.data(), staged.size());
    return int(Success);
  });
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  const Call call(Call::OutsideOfRecordings);
  return call.code ? call.code : copyFromHost(to, from, bytes, nullptr);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, StreamObject *stream) {
  const Call call;
  return call.code ? call.code : copyFromHost(to, from, bytes, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, StreamObject *stream) {
  const Call call;
  state().counts.copiesToHost++;
  state().counts.bytesToHost += bytes;
  return call.code ? call.code : copyLater(reinterpret_cast<uint64_t>(to), from, bytes, {from}, stream);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, StreamObject *stream) {
  const Call call;
  return call.code ? call.code : copyLater(to, from, bytes, {to, from}, stream);
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  const int code = copyLater(reinterpret_cast<uint64_t>(to), from, bytes, {from}, nullptr);
  return code ? code : finish(state().legacy);
}
int cuMemsetD8Async(uint64_t address, unsigned char value, size_t count, StreamObject *stream) {
  const Call call;
  if (call.code)
    return call.code;
  if (!isWithin(state().memory, reinterpret_cast<void *>(address), count))
    return failed(InvalidValue, "a fill outside of what is allocated");
  return enqueue(stream, [=] {
    std::memset(reinterpret_cast<void *>(address), value, count);
    return int(Success);
  });
}

//===- Code ----------------------------------------------------------------------------------------------------===//

int cuModuleLoadDataEx(ModuleObject **module, const void *image, unsigned count, int *options, void **values) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  const auto *text = static_cast<const char *>(image);
  if (std::memcmp(text, "\177ELF", 4) == 0)
    return NoBinary; // there is no GPU for it
  const char *phases = std::getenv("STAND_IN_PHASES");
  auto kernels = standin::kernelsOf(text, phases ? phases : ".");
  if (!kernels) {
    char *log = nullptr;
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
      if (options[i] == 5)
        log = static_cast<char *>(values[i]);
      if (options[i] == 6)
        size = reinterpret_cast<size_t>(values[i]);
    }
    if (log)
      std::strncpy(log, kernels.error().message.c_str(), size);
    return failed(InvalidPtx, kernels.error().message);
  }
  *module = new ModuleObject{std::move(*kernels)};
  state().counts.modules++;
  state().counts.liveObjects++;
  return Success;
}
int cuModuleUnload(ModuleObject *module) {
  std::lock_guard lock(state().mutex);
  delete module;
  state().counts.liveObjects--;
  return Success;
}
int cuModuleGetFunction(FunctionObject **function, ModuleObject *module, const char *name) {
  std::lock_guard lock(state().mutex);
  auto parameters = module->kernels->parameters(name);
  if (!parameters)
    return NotFound;
  auto made = std::make_unique<FunctionObject>(FunctionObject{module->kernels, name, *parameters});
  *function = made.get();
  state().functions[*function] = std::move(made);
  return Success;
}
int cuFuncSetAttribute(FunctionObject *function, int attribute, int value) {
  if (attribute != 8 || value > state().gpu.sharedBytes)
    return InvalidValue;
  function->sharedBytes = std::max<unsigned>(48 << 10, static_cast<unsigned>(value));
  return Success;
}
}
