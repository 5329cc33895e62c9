//===- Speed.cpp - how fast a session computes --------------------------------------------------------------------===//

#include "quantc/Runtime/Speed.h"
#include "CUDA/DeviceModel.h"
#include "quantc/Runtime/CUDA/Timing.h"
#include "quantc/Runtime/Measure.h"
#include <chrono>
#include <set>

using namespace quantc;

/// Tokens per second of what takes some.
static Result<double> speedOf(int64_t tokens, const std::function<Status()> &work) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  QUANTC_TRY(work());
  return static_cast<double>(tokens) / std::chrono::duration<double>(Clock::now() - began).count();
}

Result<Speed> quantc::measureSpeed(Session &session, int64_t prompt, int64_t tokens, int64_t rounds) {
  const auto first = someTokens(prompt, session.model().vocab()), next = someTokens(tokens, session.model().vocab());
  Speed speed;
  for (int64_t round = 0; round < rounds; round++) {
    session.reset();
    if (prompt > 0) {
      QUANTC_ASSIGN(const double one, speedOf(prompt, [&]() -> Status {
                      QUANTC_TRY(session.prefill(first));
                      return {};
                    }));
      speed.prefill.push_back(one);
    }
    if (tokens > 0) {
      QUANTC_ASSIGN(const double one, speedOf(tokens, [&]() -> Status {
                      for (int32_t token : next)
                        QUANTC_TRY(session.step({&token, 1}));
                      return {};
                    }));
      speed.decode.push_back(one);
    }
  }
  return speed;
}

uint64_t quantc::weightBytes(const Model &model) {
  std::set<size_t> read;
  const auto &stages = model.program().stages;
  for (size_t stage = 1; stage < stages.size(); stage++)
    for (const LaunchEntry &launch : stages[stage].launches)
      for (const ArgEntry &arg : launch.args)
        if (arg.kind == ArgKind::Weight)
          read.insert(arg.index);
  uint64_t bytes = 0;
  for (size_t index : read) {
    const WeightEntry &weight = model.manifest().weights[index];
    const bool asFragments = model.onDevice() && weight.fragments;
    bytes += model.artifact().tensor(asFragments ? weight.fragments->tensor : weight.tensor).size();
  }
  return bytes;
}

Result<double> quantc::weightBandwidth(const Model &model, unsigned threads) {
  if (model.onDevice())
    return cuda::copyBandwidth(model.onDevice()->device());
  QUANTC_ASSIGN(auto pool, ThreadPool::create(threads));
  return memoryBandwidth(*pool);
}
