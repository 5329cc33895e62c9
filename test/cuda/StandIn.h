//===- StandIn.h - what tests tell the stand-in for NVIDIA's driver, and ask it
//------------------------------------===//
//
// The library `cuda-stand-in` has the functions of libcuda that the runtime calls. Device memory is memory of the host,
// kernels run in the emulator, on the LLVM IR that became the PTX: that lies, in MLIR, in the folder that `quantc
// compile --dump-phases` wrote, which the environment variable STAND_IN_PHASES names. The stand-in makes the PTX of it
// again and takes it only where the text is that of the artifact.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <cstddef>

/// The GPU that the library plays; set before it is opened as a driver.
struct StandInGPU {
  int major = 8, minor = 0, sharedBytes = 166912, count = 1;
  size_t memory = size_t(1) << 30;
  bool hasGraphs = true; ///< otherwise recording fails
};

/// Since the library was loaded, or `standInReset`.
struct StandInCounts {
  size_t launches = 0, graphLaunches = 0, modules = 0, copiesToHost = 0;
  size_t liveBytes = 0, liveObjects = 0; ///< now: device memory; modules, streams, graphs, contexts, pinned memory
};

extern "C" {
void standInReset(const StandInGPU *gpu);
void standInCounts(StandInCounts *counts);
/// What the emulator complained of last, "" for nothing.
const char *standInProblem();
}
