//===- State.h - what the functions of the stand-in share ---------------------------------------------------------===//
#pragma once

#include "StandIn.h"
#include "emulator/Emulator.h"
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace quantc::standin {

/// Numbers of CUresult.
enum Code : int {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  InvalidContext = 201,
  NoBinary = 209,
  InvalidPtx = 218,
  InvalidHandle = 400,
  NotFound = 500,
  NotReady = 600,
  IllegalAddress = 700,
  CaptureUnsupported = 900,
  CaptureInvalidated = 901
};

/// A copy or a kernel that was asked for and has not yet begun; gives a Code.
using Work = std::function<int()>;

struct ModuleObject {
  std::shared_ptr<const emulator::Emulator> kernels;
};
struct FunctionObject {
  std::shared_ptr<const emulator::Emulator> kernels;
  std::string name;
  size_t parameters;
  unsigned sharedBytes = 48 << 10; ///< that may be asked for
};
struct GraphObject {
  std::vector<Work> nodes;
};
struct StreamObject {
  std::deque<Work> work;
  std::unique_ptr<GraphObject> recording;
  bool isSpoiled = false; ///< what is recorded
};
struct EventObject {
  StreamObject *stream = nullptr; ///< that it was recorded on
  bool isDone = false;
  double milliseconds = 0; ///< when it was
};

struct State {
  std::mutex mutex;
  StandInGPU gpu;
  StandInCounts counts;
  std::map<std::byte *, size_t> memory, pinned; ///< allocations of the device, of the host
  std::map<void *, std::unique_ptr<FunctionObject>> functions;
  std::set<StreamObject *> streams;
  StreamObject legacy; ///< the null stream
  std::string problem;
  uint64_t seed = 1;
  size_t asked = 0; ///< launches
  int broken = 0;   ///< what a kernel did to the context
};

State &state();

/// Of this thread: its contexts, the current one last, and the stream that it records, if it does.
extern thread_local std::vector<void *> contexts;
extern thread_local StreamObject *recordedHere;

int failed(int code, std::string why);

/// The lock of one call, and whether the call can be made at all.
class Call {
public:
  enum Kind {
    Anywhere,
    OutsideOfRecordings ///< a thread that records spoils its recording by it
  };
  explicit Call(Kind kind = Anywhere);
  int code = Success; ///< otherwise why it cannot

private:
  std::lock_guard<std::mutex> lock;
};

/// Puts work at the end of a stream, or into what is recorded of it.
int enqueue(StreamObject *stream, Work work);
/// Runs what waits on a stream, or on all.
int finish(StreamObject &stream);
int finishAll();

/// Whether bytes lie in one allocation.
bool isWithin(const std::map<std::byte *, size_t> &allocations, const void *begin, size_t bytes);

} // namespace quantc::standin
