//===- Driver.cpp - functions of libcuda on the emulator
//-----------------------------------------------------------===//

#include "Kernels.h"
#include "StandIn.h"
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

using namespace quantc;

namespace {

enum Result_ {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  InvalidContext = 201,
  NoBinary = 209,
  InvalidPtx = 218,
  InvalidHandle = 400,
  NotFound = 500,
  IllegalAddress = 700,
  CaptureUnsupported = 900
};

struct ModuleObject {
  std::shared_ptr<const emulator::Emulator> kernels;
};
struct FunctionObject {
  std::shared_ptr<const emulator::Emulator> kernels;
  std::string name;
  size_t parameters;
  unsigned sharedBytes = 48 << 10; ///< that may be asked for
};
struct Recorded {
  FunctionObject *function;
  emulator::Launch launch;
  std::vector<int64_t> values;
};
using GraphObject = std::vector<Recorded>;
struct StreamObject {
  GraphObject *recording = nullptr;
};

struct State {
  std::mutex mutex;
  StandInGPU gpu;
  StandInCounts counts;
  std::map<std::byte *, size_t> memory; ///< allocations of the device
  std::map<void *, std::unique_ptr<FunctionObject>> functions;
  std::string problem;
  uint64_t seed = 1;
};

State &state() {
  static State one;
  return one;
}
thread_local std::vector<void *> contexts;

int failed(int code, std::string why) {
  state().problem = std::move(why);
  return code;
}

/// Whether bytes lie in one allocation.
bool isAllocated(uint64_t address, size_t bytes) {
  auto *at = reinterpret_cast<std::byte *>(address);
  auto after = state().memory.upper_bound(at);
  if (after == state().memory.begin())
    return false;
  --after;
  return at + bytes <= after->first + after->second;
}

int copy(void *to, const void *from, size_t bytes, uint64_t device) {
  if (contexts.empty())
    return InvalidContext;
  if (!isAllocated(device, bytes))
    return failed(InvalidValue, "a copy outside of what is allocated");
  std::memcpy(to, from, bytes);
  return Success;
}

int execute(const Recorded &recorded) {
  std::vector<emulator::Buffer> buffers;
  for (const auto &[begin, bytes] : state().memory)
    buffers.push_back({begin, bytes, /*writable=*/true});
  emulator::Launch launch = recorded.launch;
  launch.seed = state().seed++;
  state().counts.launches++;
  const Status done = recorded.function->kernels->launch(launch, recorded.values, buffers);
  return done ? Success : failed(IllegalAddress, recorded.launch.kernel + ": " + done.error().message);
}

} // namespace

//===- For tests -----------------------------------------------------------------------------------------------===//

extern "C" {

void standInReset(const StandInGPU *gpu) {
  std::lock_guard lock(state().mutex);
  state().gpu = *gpu;
  const StandInCounts now = state().counts;
  state().counts = {};
  state().counts.liveBytes = now.liveBytes;
  state().counts.liveObjects = now.liveObjects;
  state().problem.clear();
}
void standInCounts(StandInCounts *counts) {
  std::lock_guard lock(state().mutex);
  *counts = state().counts;
}
const char *standInProblem() {
  return state().problem.c_str();
}

//===- Devices and contexts ------------------------------------------------------------------------------------===//

int cuInit(unsigned) {
  return Success;
}
int cuGetErrorString(int error, const char **text) {
  static const std::map<int, const char *> texts = {{OutOfMemory, "out of memory"},
                                                    {InvalidValue, "invalid argument"},
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
  *context = &state();
  state().counts.liveObjects++;
  return Success;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  state().counts.liveObjects--;
  return Success;
}
int cuCtxPushCurrent_v2(void *context) {
  contexts.push_back(context);
  return context == &state() ? Success : InvalidContext;
}
int cuCtxPopCurrent_v2(void **context) {
  if (contexts.empty())
    return InvalidContext;
  *context = contexts.back();
  contexts.pop_back();
  return Success;
}

//===- Memory --------------------------------------------------------------------------------------------------===//

int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *total = state().gpu.memory;
  *free = *total - std::min(*total, state().counts.liveBytes);
  return contexts.empty() ? InvalidContext : Success;
}
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  std::lock_guard lock(state().mutex);
  if (contexts.empty())
    return InvalidContext;
  if (bytes == 0)
    return InvalidValue;
  if (bytes > state().gpu.memory - std::min(state().gpu.memory, state().counts.liveBytes))
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
  state().counts.liveBytes -= found->second;
  std::free(found->first);
  state().memory.erase(found);
  return Success;
}
int cuMemAllocHost_v2(void **address, size_t bytes) {
  *address = std::malloc(bytes);
  state().counts.liveObjects++;
  return Success;
}
int cuMemFreeHost(void *address) {
  std::free(address);
  state().counts.liveObjects--;
  return Success;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  std::lock_guard lock(state().mutex);
  return copy(reinterpret_cast<void *>(to), from, bytes, to);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, StreamObject *stream) {
  std::lock_guard lock(state().mutex);
  return stream->recording ? CaptureUnsupported : copy(reinterpret_cast<void *>(to), from, bytes, to);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, StreamObject *stream) {
  std::lock_guard lock(state().mutex);
  state().counts.copiesToHost++;
  return stream->recording ? CaptureUnsupported : copy(to, reinterpret_cast<void *>(from), bytes, from);
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  std::lock_guard lock(state().mutex);
  return copy(to, reinterpret_cast<void *>(from), bytes, from);
}
int cuMemsetD8Async(uint64_t address, unsigned char value, size_t count, StreamObject *) {
  std::lock_guard lock(state().mutex);
  if (!isAllocated(address, count))
    return failed(InvalidValue, "a fill outside of what is allocated");
  std::memset(reinterpret_cast<void *>(address), value, count);
  return Success;
}

//===- Code ----------------------------------------------------------------------------------------------------===//

int cuModuleLoadDataEx(ModuleObject **module, const void *image, unsigned count, int *options, void **values) {
  std::lock_guard lock(state().mutex);
  const auto *text = static_cast<const char *>(image);
  if (contexts.empty())
    return InvalidContext;
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

//===- Streams -------------------------------------------------------------------------------------------------===//

int cuStreamCreate(StreamObject **stream, unsigned) {
  *stream = new StreamObject;
  state().counts.liveObjects++;
  return contexts.empty() ? InvalidContext : Success;
}
int cuStreamDestroy_v2(StreamObject *stream) {
  delete stream;
  state().counts.liveObjects--;
  return Success;
}
int cuStreamSynchronize(StreamObject *stream) {
  return stream->recording ? CaptureUnsupported : Success;
}
int cuLaunchKernel(FunctionObject *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                   unsigned blockY, unsigned blockZ, unsigned sharedBytes, StreamObject *stream, void **parameters,
                   void **extra) {
  std::lock_guard lock(state().mutex);
  if (contexts.empty())
    return InvalidContext;
  if (!state().functions.count(function))
    return InvalidHandle;
  if (gridX == 0 || gridY == 0 || gridY > 65535 || gridZ != 1 || blockX == 0 || blockX > 1024 || blockY != 1 ||
      blockZ != 1 || sharedBytes > function->sharedBytes || !parameters == !extra)
    return failed(InvalidValue, "a launch that no GPU takes");
  Recorded recorded{
      function,
      {.kernel = function->name, .gridX = gridX, .gridY = gridY, .threads = blockX, .sharedBytes = sharedBytes},
      {}};
  // CU_LAUNCH_PARAM_BUFFER_POINTER, its value, CU_LAUNCH_PARAM_BUFFER_SIZE, its value, an end.
  const auto *values = extra ? static_cast<const int64_t *>(extra[1]) : nullptr;
  if (values && *static_cast<const size_t *>(extra[3]) != function->parameters * sizeof(int64_t))
    return failed(InvalidValue, "a launch with another number of parameters");
  for (size_t i = 0; i < function->parameters; i++)
    recorded.values.push_back(values ? values[i] : *static_cast<const int64_t *>(parameters[i]));
  if (!stream || !stream->recording)
    return execute(recorded);
  stream->recording->push_back(std::move(recorded));
  return Success;
}

//===- Graphs --------------------------------------------------------------------------------------------------===//

int cuStreamBeginCapture_v2(StreamObject *stream, int) {
  if (!state().gpu.hasGraphs)
    return CaptureUnsupported;
  stream->recording = new GraphObject;
  return Success;
}
int cuStreamEndCapture(StreamObject *stream, GraphObject **graph) {
  *graph = std::exchange(stream->recording, nullptr);
  state().counts.liveObjects++;
  return Success;
}
int cuGraphInstantiateWithFlags(GraphObject **made, GraphObject *graph, unsigned long long) {
  *made = new GraphObject(*graph);
  state().counts.liveObjects++;
  return Success;
}
int cuGraphLaunch(GraphObject *graph, StreamObject *) {
  std::lock_guard lock(state().mutex);
  state().counts.graphLaunches++;
  for (const Recorded &recorded : *graph)
    if (const int result = execute(recorded))
      return result;
  return Success;
}
int cuGraphExecDestroy(GraphObject *graph) {
  delete graph;
  state().counts.liveObjects--;
  return Success;
}
int cuGraphDestroy(GraphObject *graph) {
  delete graph;
  state().counts.liveObjects--;
  return Success;
}
}
