//===- Speed.cpp - how fast a session computes --------------------------------------------------------------------===//

#include "quantc/Runtime/Speed.h"
#include "CUDA/DeviceModel.h"
#include "Placement.h"
#include "quantc/Runtime/CUDA/Timing.h"
#include "quantc/Runtime/Measure.h"
#include <chrono>

using namespace quantc;

/// Tokens per second of what takes some.
static Result<double> speedOf(int64_t tokens, const std::function<Status()> &work) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  QUANTC_TRY(work());
  return static_cast<double>(tokens) / std::chrono::duration<double>(Clock::now() - began).count();
}

/// Steps of one token. Where a GPU computes everything it chooses the tokens itself, as when it writes a text, so that
/// no logits are copied.
static Status decode(Session &session, std::span<const int32_t> tokens) {
  const Model &model = session.model();
  if (model.onDevice() && model.stagesOnDevice() == model.program().allStages()) {
    int32_t next = tokens.front();
    for (auto left = std::ssize(tokens); left > 0;) {
      QUANTC_ASSIGN(const std::vector<int32_t> chosen, session.chooseTokens(next, left));
      next = chosen.back();
      left -= std::ssize(chosen);
    }
    return {};
  }
  for (int32_t token : tokens)
    QUANTC_TRY(session.step({&token, 1}));
  return {};
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
      QUANTC_ASSIGN(const double one, speedOf(tokens, [&] { return decode(session, next); }));
      speed.decode.push_back(one);
    }
  }
  return speed;
}

namespace {

/// Where the weights of a decoded token are read, in bytes.
struct BytesRead {
  uint64_t processor = 0, gpu = 0;
};

BytesRead bytesRead(const Model &model) {
  const Manifest &manifest = model.manifest();
  const StageRange onGPU = model.stagesOnDevice();
  const auto sum = [&](const ProgramEntry &program, bool isGPU) {
    std::set<size_t> read;
    for (size_t stage = 1; stage < program.stages.size(); stage++) // behind the embedding
      if (onGPU.contains(stage) == isGPU)
        read.merge(weightsOf(program, {stage, stage + 1}));
    uint64_t bytes = 0;
    for (size_t index : read) {
      const WeightEntry &weight = manifest.weights[index];
      bytes += model.artifact().tensor(isGPU && weight.fragments ? weight.fragments->tensor : weight.tensor).size();
    }
    return bytes;
  };
  return {sum(manifest, false), manifest.gpu ? sum(*manifest.gpu, true) : 0};
}

} // namespace

uint64_t quantc::weightBytes(const Model &model) {
  const auto [processor, gpu] = bytesRead(model);
  return processor + gpu;
}

Result<double> quantc::weightBandwidth(const Model &model, unsigned threads) {
  const auto [processor, gpu] = bytesRead(model);
  double seconds = 0;
  if (gpu) {
    QUANTC_ASSIGN(const double bandwidth, cuda::copyBandwidth(model.onDevice()->device()));
    seconds += static_cast<double>(gpu) / bandwidth;
  }
  if (processor) {
    QUANTC_ASSIGN(auto pool, ThreadPool::create(threads));
    QUANTC_ASSIGN(const double bandwidth, memoryBandwidth(*pool));
    seconds += static_cast<double>(processor) / bandwidth;
  }
  return static_cast<double>(processor + gpu) / seconds;
}
