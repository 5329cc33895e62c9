//===- StandIn.h - what tests tell the stand-in for NVIDIA's driver, and ask it -----------------------------------===//
//
// The library `cuda-stand-in` has the functions of libcuda that the runtime calls. Device memory is memory of the host,
// kernels run in the emulator, on the LLVM IR that became the PTX: that lies, in MLIR, in the folder that `quantc
// compile --dump-phases` wrote, which the environment variable STAND_IN_PHASES names. The stand-in makes the PTX of it
// again and takes it only where the text is that of the artifact.
//
// It does what a real driver may do at worst. Work on a stream, copies among it, begins when somebody waits for it and
// not before; a copy from memory that is not pinned, too, where its call has returned. What a kernel breaks is seen by
// whoever waits, and every later call fails. Memory that is free cannot all be had. While a thread records a graph,
// calls that a driver does not take there fail and spoil the recording.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <cstddef>

/// The GPU that the library plays; set before it is opened as a driver.
struct StandInGPU {
  int major = 8, minor = 0, sharedBytes = 166912, count = 1;
  size_t memory = size_t(1) << 30;
  size_t unusable = size_t(128) << 20; ///< of what is said to be free: the driver keeps it for itself
  bool hasGraphs = true;               ///< otherwise recording fails
  bool instantiates = true;            ///< otherwise a recorded graph cannot be made ready
  bool hasContext = true;              ///< otherwise its context cannot be made that of a thread
  size_t refusedLaunch = 0;            ///< the how manieth launch is not taken; 0: none
  size_t brokenLaunch = 0;             ///< the how manieth kernel that runs breaks the context; 0: none
};

/// Since the library was loaded, or `standInReset`.
struct StandInCounts {
  size_t launches = 0, graphs = 0, graphLaunches = 0, modules = 0, copiesToHost = 0, bytesToHost = 0;
  size_t contexts = 0;
  size_t overlapping = 0;                ///< launches that may begin while others run
  size_t liveBytes = 0, liveObjects = 0; ///< now: device memory; modules, streams, graphs, contexts, pinned memory
  size_t pinnedBytes = 0;                ///< now
  size_t waiting = 0;                    ///< now: copies and kernels that nobody waited for
};

extern "C" {
void standInReset(const StandInGPU *gpu);
void standInCounts(StandInCounts *counts);
/// What the emulator complained of last, "" for nothing.
const char *standInProblem();
}
