//===- State.cpp - what the functions of the stand-in share -------------------------------------------------------===//

#include "State.h"

using namespace quantc;
using namespace quantc::standin;

thread_local std::vector<void *> standin::contexts;
thread_local StreamObject *standin::recordedHere = nullptr;

State &standin::state() {
  static State one;
  return one;
}

int standin::failed(int code, std::string why) {
  state().problem = std::move(why);
  return code;
}

Call::Call(Kind kind) : lock(state().mutex) {
  if (state().broken)
    code = state().broken;
  else if (contexts.empty())
    code = InvalidContext;
  else if (kind == OutsideOfRecordings && recordedHere) {
    recordedHere->isSpoiled = true;
    code = CaptureUnsupported;
  }
}

int standin::enqueue(StreamObject *stream, Work work) {
  StreamObject &there = stream ? *stream : state().legacy;
  if (there.recording) {
    there.recording->nodes.push_back(std::move(work));
    return Success;
  }
  there.work.push_back(std::move(work));
  state().counts.waiting++;
  return Success;
}

int standin::finish(StreamObject &stream) {
  for (; !stream.work.empty() && !state().broken; stream.work.pop_front()) {
    state().broken = stream.work.front()();
    state().counts.waiting--;
  }
  return state().broken;
}

int standin::finishAll() {
  finish(state().legacy);
  for (StreamObject *stream : state().streams)
    finish(*stream);
  return state().broken;
}

bool standin::isWithin(const std::map<std::byte *, size_t> &allocations, const void *begin, size_t bytes) {
  auto *at = static_cast<std::byte *>(const_cast<void *>(begin));
  auto after = allocations.upper_bound(at);
  if (after == allocations.begin())
    return false;
  --after;
  return at + bytes <= after->first + after->second;
}

//===- For tests -----------------------------------------------------------------------------------------------===//

extern "C" {

void standInReset(const StandInGPU *gpu) {
  std::lock_guard lock(state().mutex);
  state().gpu = *gpu;
  const StandInCounts now = state().counts;
  state().counts = {};
  state().counts.liveBytes = now.liveBytes;
  state().counts.liveObjects = now.liveObjects;
  state().counts.pinnedBytes = now.pinnedBytes;
  state().problem.clear();
  state().asked = 0;
  state().broken = 0;
  state().legacy.work.clear();
  for (StreamObject *stream : state().streams)
    stream->work.clear();
}
void standInCounts(StandInCounts *counts) {
  std::lock_guard lock(state().mutex);
  *counts = state().counts;
}
const char *standInProblem() {
  return state().problem.c_str();
}
}
