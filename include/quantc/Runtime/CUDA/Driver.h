//===- Driver.h - NVIDIA's driver, loaded when it is asked for ----------------------------------------------------===//
//
// The functions of libcuda that the runtime calls, by the names and types of the CUDA Driver API's reference. Nothing
// of a CUDA toolkit is needed to build or run: the library is opened by dlopen.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace quantc::cuda {

/// The driver's library, by its name on a system.
inline constexpr char systemLibrary[] = "libcuda.so.1";
/// Folders where machines and containers have it without telling the linker.
inline constexpr const char *driverFolders[] = {"/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu/nvidia/current",
                                                "/usr/lib64/nvidia", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"};

/// An address in the memory of a GPU.
using Address = uint64_t;
/// Handles of the driver.
using Context = struct ContextTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;
using Stream = struct StreamTag *;
using Graph = struct GraphTag *;
using GraphExec = struct GraphExecTag *;
using Event = struct EventTag *;

/// Numbers of the driver's enumerations.
enum DriverNumber : int {
  CapabilityMajor = 75,
  CapabilityMinor = 76,
  SharedBytesOptIn = 97,  // CUdevice_attribute
  DynamicSharedBytes = 8, // CUfunction_attribute
  JitErrorLog = 5,
  JitErrorLogBytes = 6,   // CUjit_option
  NonBlocking = 1,        // CUstream_flags
  CaptureThreadLocal = 1, // CUstreamCaptureMode
  OutOfMemory = 2,        // CUresult
  SerializeByProgram = 6, // CUlaunchAttributeID: the kernel waits itself for the one before
};

/// CUlaunchAttribute. Its value is a union of 64 bytes, of which only a number is used.
struct LaunchAttribute {
  int id;
  char padding[4] = {};
  int number;
  char unused[60] = {};
};
static_assert(sizeof(LaunchAttribute) == 72 && offsetof(LaunchAttribute, number) == 8);
/// CUlaunchConfig.
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};

class Driver {
public:
  /// Opens a library by path, or by a name that is looked up, by the system and then in `folders`, and initializes the
  /// driver. It stays loaded: it has threads and exit handlers of its own. Fails, with what to do, where there is none,
  /// it lacks a function, or it finds no GPU.
  static Result<std::shared_ptr<const Driver>> open(const std::string &library,
                                                    std::span<const char *const> folders = driverFolders);
  Driver(const Driver &) = delete;
  Driver &operator=(const Driver &) = delete;

  /// An error where a call did not return 0; `what` says what it was to do.
  Status check(int result, const char *what) const;

  // X(member, symbol, parameters)
#define QUANTC_CUDA_FUNCTIONS(X)                                                                                       \
  X(init, cuInit, (unsigned flags))                                                                                    \
  X(getErrorString, cuGetErrorString, (int error, const char **text))                                                  \
  X(getVersion, cuDriverGetVersion, (int *version))                                                                    \
  X(deviceGetCount, cuDeviceGetCount, (int *count))                                                                    \
  X(deviceGet, cuDeviceGet, (int *device, int ordinal))                                                                \
  X(deviceGetName, cuDeviceGetName, (char *name, int length, int device))                                              \
  X(deviceGetAttribute, cuDeviceGetAttribute, (int *value, int attribute, int device))                                 \
  X(primaryContextRetain, cuDevicePrimaryCtxRetain, (Context * context, int device))                                   \
  X(primaryContextRelease, cuDevicePrimaryCtxRelease_v2, (int device))                                                 \
  X(contextPush, cuCtxPushCurrent_v2, (Context context))                                                               \
  X(contextPop, cuCtxPopCurrent_v2, (Context * context))                                                               \
  X(contextSynchronize, cuCtxSynchronize, ())                                                                          \
  X(memGetInfo, cuMemGetInfo_v2, (size_t *free, size_t *total))                                                        \
  X(memAlloc, cuMemAlloc_v2, (Address * address, size_t bytes))                                                        \
  X(memFree, cuMemFree_v2, (Address address))                                                                          \
  X(hostAlloc, cuMemAllocHost_v2, (void **address, size_t bytes))                                                      \
  X(hostFree, cuMemFreeHost, (void *address))                                                                          \
  X(copyToDevice, cuMemcpyHtoD_v2, (Address to, const void *from, size_t bytes))                                       \
  X(copyToDeviceAsync, cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t bytes, Stream stream))              \
  X(copyToHostAsync, cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t bytes, Stream stream))                      \
  X(copyOnDeviceAsync, cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, Stream stream))                  \
  X(fillAsync, cuMemsetD8Async, (Address address, unsigned char value, size_t count, Stream stream))                   \
  X(streamCreate, cuStreamCreate, (Stream * stream, unsigned flags))                                                   \
  X(streamDestroy, cuStreamDestroy_v2, (Stream stream))                                                                \
  X(streamSynchronize, cuStreamSynchronize, (Stream stream))                                                           \
  X(eventCreate, cuEventCreate, (Event * event, unsigned flags))                                                       \
  X(eventDestroy, cuEventDestroy_v2, (Event event))                                                                    \
  X(eventRecord, cuEventRecord, (Event event, Stream stream))                                                          \
  X(eventSynchronize, cuEventSynchronize, (Event event))                                                               \
  X(eventElapsedTime, cuEventElapsedTime, (float *milliseconds, Event begin, Event end))                               \
  X(moduleLoad, cuModuleLoadDataEx, (Module * module, const void *image, unsigned count, int *options, void **values)) \
  X(moduleUnload, cuModuleUnload, (Module module))                                                                     \
  X(moduleGetFunction, cuModuleGetFunction, (Function * function, Module module, const char *name))                    \
  X(functionSetAttribute, cuFuncSetAttribute, (Function function, int attribute, int value))                           \
  X(launch, cuLaunchKernel,                                                                                            \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,              \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void **parameters, void **extra))

  // Launches with attributes: a driver before CUDA 11.8 lacks them.
#define QUANTC_CUDA_LATER_FUNCTIONS(X)                                                                                 \
  X(launchWith, cuLaunchKernelEx, (const LaunchConfig *config, Function function, void **parameters, void **extra))

  // Graphs of launches: a driver may lack them.
#define QUANTC_CUDA_GRAPH_FUNCTIONS(X)                                                                                 \
  X(beginCapture, cuStreamBeginCapture_v2, (Stream stream, int mode))                                                  \
  X(endCapture, cuStreamEndCapture, (Stream stream, Graph * graph))                                                    \
  X(graphInstantiate, cuGraphInstantiateWithFlags, (GraphExec * made, Graph graph, unsigned long long flags))          \
  X(graphLaunch, cuGraphLaunch, (GraphExec graph, Stream stream))                                                      \
  X(graphExecDestroy, cuGraphExecDestroy, (GraphExec graph))                                                           \
  X(graphDestroy, cuGraphDestroy, (Graph graph))

#define QUANTC_CUDA_DECLARE(member, symbol, parameters) int(*member) parameters = nullptr;
  QUANTC_CUDA_FUNCTIONS(QUANTC_CUDA_DECLARE)
  QUANTC_CUDA_LATER_FUNCTIONS(QUANTC_CUDA_DECLARE)
  QUANTC_CUDA_GRAPH_FUNCTIONS(QUANTC_CUDA_DECLARE)
#undef QUANTC_CUDA_DECLARE

  /// Whether the driver has graphs.
  bool hasGraphs() const;

private:
  Driver() = default;
};

} // namespace quantc::cuda
