//===- Streams.cpp - libcuda on the emulator: streams, launches, graphs, events -----------------------------------===//

#include "State.h"
#include <chrono>
#include <span>

using namespace quantc;
using namespace quantc::standin;

extern "C" {

int cuStreamCreate(StreamObject **stream, unsigned) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  *stream = new StreamObject;
  state().streams.insert(*stream);
  state().counts.liveObjects++;
  return Success;
}
int cuStreamDestroy_v2(StreamObject *stream) {
  std::lock_guard lock(state().mutex);
  finish(*stream);
  state().streams.erase(stream);
  state().counts.waiting -= stream->work.size();
  state().counts.liveObjects--;
  delete stream;
  return Success;
}
int cuStreamSynchronize(StreamObject *stream) {
  const Call call;
  if (call.code)
    return call.code;
  StreamObject &there = stream ? *stream : state().legacy;
  if (there.recording) {
    there.isSpoiled = true;
    return CaptureUnsupported;
  }
  return finish(there);
}
int cuCtxSynchronize() {
  const Call call(Call::OutsideOfRecordings);
  return call.code ? call.code : finishAll();
}

//===- Launches ------------------------------------------------------------------------------------------------===//

static int execute(const FunctionObject &function, emulator::Launch launch, const std::vector<int64_t> &values) {
  std::vector<emulator::Buffer> buffers;
  for (const auto &[begin, bytes] : state().memory)
    buffers.push_back({begin, bytes, /*writable=*/true});
  launch.seed = state().seed++;
  if (++state().counts.launches == state().gpu.brokenLaunch)
    return failed(IllegalAddress, launch.kernel + ": was to break");
  const Status done = function.kernels->launch(launch, values, buffers);
  return done ? Success : failed(IllegalAddress, launch.kernel + ": " + done.error().message);
}

/// CUlaunchAttribute and CUlaunchConfig, as cuda.h has them.
struct LaunchAttribute {
  int id;
  char padding[4];
  int value;
  char rest[60];
};
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  StreamObject *stream;
  const LaunchAttribute *attributes;
  unsigned count;
};

int cuLaunchKernelEx(const LaunchConfig *config, FunctionObject *function, void **parameters, void **extra) {
  const Call call;
  if (call.code)
    return call.code;
  if (!state().functions.count(function))
    return InvalidHandle;
  if (++state().asked == state().gpu.refusedLaunch)
    return failed(InvalidValue, "a launch that was to be refused");
  const LaunchConfig &c = *config;
  if (c.gridX == 0 || c.gridY == 0 || c.gridY > 65535 || c.gridZ != 1 || c.blockX == 0 || c.blockX > 1024 ||
      c.blockY != 1 || c.blockZ != 1 || c.sharedBytes > function->sharedBytes || !parameters == !extra)
    return failed(InvalidValue, "a launch that no GPU takes");
  bool overlaps = false;
  for (const LaunchAttribute &attribute : std::span(c.attributes, c.count)) {
    constexpr int programmaticStreamSerialization = 6;
    if (attribute.id != programmaticStreamSerialization || state().gpu.major < 9)
      return failed(InvalidValue, "a launch with an attribute that this GPU does not know");
    overlaps = attribute.value != 0;
  }
  // CU_LAUNCH_PARAM_BUFFER_POINTER, its value, CU_LAUNCH_PARAM_BUFFER_SIZE, its value, an end.
  const auto *packed = extra ? static_cast<const int64_t *>(extra[1]) : nullptr;
  if (packed && *static_cast<const size_t *>(extra[3]) != function->parameters * sizeof(int64_t))
    return failed(InvalidValue, "a launch with another number of parameters");
  std::vector<int64_t> values;
  for (size_t i = 0; i < function->parameters; i++)
    values.push_back(packed ? packed[i] : *static_cast<const int64_t *>(parameters[i]));
  const emulator::Launch launch{.kernel = function->name,
                                .gridX = c.gridX,
                                .gridY = c.gridY,
                                .threads = c.blockX,
                                .sharedBytes = c.sharedBytes,
                                .overlaps = overlaps};
  state().counts.overlapping += overlaps;
  return enqueue(c.stream, [=] { return execute(*function, launch, values); });
}

int cuLaunchKernel(FunctionObject *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                   unsigned blockY, unsigned blockZ, unsigned sharedBytes, StreamObject *stream, void **parameters,
                   void **extra) {
  const LaunchConfig config{gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream, nullptr, 0};
  return cuLaunchKernelEx(&config, function, parameters, extra);
}

//===- Graphs --------------------------------------------------------------------------------------------------===//

int cuStreamBeginCapture_v2(StreamObject *stream, int) {
  const Call call;
  if (call.code)
    return call.code;
  if (!state().gpu.hasGraphs || !stream || stream->recording)
    return CaptureUnsupported;
  stream->recording = std::make_unique<GraphObject>();
  stream->isSpoiled = false;
  recordedHere = stream;
  return Success;
}
int cuStreamEndCapture(StreamObject *stream, GraphObject **graph) {
  const Call call;
  if (call.code)
    return call.code;
  const std::unique_ptr<GraphObject> recorded = std::move(stream->recording);
  recordedHere = nullptr;
  *graph = nullptr;
  if (!recorded)
    return InvalidValue;
  if (stream->isSpoiled)
    return CaptureInvalidated;
  *graph = new GraphObject(*recorded);
  state().counts.liveObjects++;
  return Success;
}
int cuGraphInstantiateWithFlags(GraphObject **made, GraphObject *graph, unsigned long long) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  if (!state().gpu.instantiates) {
    *made = reinterpret_cast<GraphObject *>(uintptr_t(0xbad)); // a driver may leave anything there
    return OutOfMemory;
  }
  *made = new GraphObject(*graph);
  state().counts.graphs++;
  state().counts.liveObjects++;
  return Success;
}
int cuGraphLaunch(GraphObject *graph, StreamObject *stream) {
  const Call call;
  if (call.code)
    return call.code;
  state().counts.graphLaunches++;
  for (const Work &node : graph->nodes)
    enqueue(stream, node);
  return Success;
}
int cuGraphExecDestroy(GraphObject *graph) {
  std::lock_guard lock(state().mutex);
  delete graph;
  state().counts.liveObjects--;
  return Success;
}
int cuGraphDestroy(GraphObject *graph) {
  std::lock_guard lock(state().mutex);
  delete graph;
  state().counts.liveObjects--;
  return Success;
}

//===- Events --------------------------------------------------------------------------------------------------===//

int cuEventCreate(EventObject **event, unsigned) {
  const Call call;
  if (call.code)
    return call.code;
  *event = new EventObject;
  state().counts.liveObjects++;
  return Success;
}
int cuEventDestroy_v2(EventObject *event) {
  std::lock_guard lock(state().mutex);
  finishAll();
  delete event;
  state().counts.liveObjects--;
  return Success;
}
int cuEventRecord(EventObject *event, StreamObject *stream) {
  const Call call;
  if (call.code)
    return call.code;
  event->stream = stream;
  event->isDone = false;
  return enqueue(stream, [event] {
    event->isDone = true;
    event->milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
    return int(Success);
  });
}
int cuEventSynchronize(EventObject *event) {
  const Call call(Call::OutsideOfRecordings);
  if (call.code)
    return call.code;
  return finish(event->stream ? *event->stream : state().legacy);
}
int cuEventElapsedTime(float *milliseconds, EventObject *begin, EventObject *end) {
  const Call call;
  if (call.code)
    return call.code;
  if (!begin->isDone || !end->isDone)
    return NotReady;
  *milliseconds = static_cast<float>(end->milliseconds - begin->milliseconds);
  return Success;
}
}
