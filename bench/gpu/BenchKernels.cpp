//===- BenchKernels.cpp - times of kernels on a GPU ---------------------------------------------------------------===//

#include "BenchKernels.h"
#include "quantc/Runtime/Measure.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::gpu;

namespace {
/// Launches, recorded once.
class Recorded {
public:
  static Result<Recorded> of(const cuda::Driver &d, cuda::Stream stream, const std::function<Status()> &work) {
    Recorded recorded(d);
    QUANTC_TRY(d.check(d.beginCapture(stream, cuda::CaptureThreadLocal), "recording"));
    const Status worked = work();
    cuda::Graph graph = nullptr;
    const Status ended = d.check(d.endCapture(stream, &graph), "recording");
    Status made = worked ? ended : worked;
    if (made)
      made = d.check(d.graphInstantiate(&recorded.graph, graph, 0), "making a graph ready");
    if (!made)
      recorded.graph = nullptr;
    if (graph)
      d.graphDestroy(graph);
    QUANTC_TRY(std::move(made));
    return recorded;
  }
  Recorded(Recorded &&other) noexcept : d(other.d), graph(std::exchange(other.graph, nullptr)) {}
  ~Recorded() {
    if (graph)
      d.graphExecDestroy(graph);
  }
  Status play(cuda::Stream stream) const { return d.check(d.graphLaunch(graph, stream), "playing a graph"); }

private:
  explicit Recorded(const cuda::Driver &d) : d(d) {}
  const cuda::Driver &d;
  cuda::GraphExec graph = nullptr;
};
} // namespace

/// Seconds of one of `count` pieces of work, the median of the rounds.
static Result<double> timeOf(const Bench &bench, uint64_t count, const std::function<Status(uint64_t)> &work) {
  const cuda::Driver &d = bench.device->driver();
  const cuda::Stream stream = bench.stream.handle();
  QUANTC_TRY(work(0)); // loads what the driver loads when it is first used
  QUANTC_TRY(d.check(d.streamSynchronize(stream), "the first run"));
  QUANTC_ASSIGN(const Recorded all, Recorded::of(d, stream, [&]() -> Status {
                  for (uint64_t i = 0; i < count; i++)
                    QUANTC_TRY(work(i));
                  return {};
                }));
  std::vector<double> times;
  for (int round = 0; round <= bench.rounds; round++) { // the first one warms up
    QUANTC_ASSIGN(const double seconds, bench.stream.seconds([&] { return all.play(stream); }));
    if (round > 0)
      times.push_back(seconds / static_cast<double>(count));
  }
  return medianOf(std::move(times));
}

Result<nlohmann::ordered_json> gpu::timeKernel(const Bench &bench, const LinearKernel &kernel,
                                               const StripWeight &weight, int64_t tokens) {
  const auto copiesOf = [&](uint64_t bytes) { return std::clamp<uint64_t>(bench.rotated / bytes, 1, 64) + 1; };
  const int64_t N = kernel.rows(), K = kernel.columns();
  const uint64_t copies = copiesOf(weight.bytes());
  const cuda::Stream stream = bench.stream.handle();
  QUANTC_ASSIGN(const cuda::DeviceMemory w, upload(bench.device, weight, copies));
  QUANTC_ASSIGN(const cuda::DeviceMemory x, Activations(K).upload(bench.device, tokens));
  QUANTC_ASSIGN(const cuda::DeviceMemory y,
                cuda::DeviceMemory::allocate(bench.device, static_cast<uint64_t>(tokens * N) * sizeof(uint16_t)));
  QUANTC_ASSIGN(const cuda::Device::Current current, bench.device->makeCurrent());
  QUANTC_ASSIGN(const double seconds, timeOf(bench, copies, [&](uint64_t i) {
                  return kernel.launch(stream, x.address(), w.address() + i * weight.bytes(), y.address(), tokens);
                }));
  const double bytes = static_cast<double>(weight.bytes() + x.size() + y.size());
  const double operations = 2.0 * static_cast<double>(tokens) * static_cast<double>(N) * static_cast<double>(K);
  nlohmann::ordered_json row = {{"format", kernel.format()},
                                {"n", N},
                                {"k", K},
                                {"m", tokens},
                                {"schedule", kernel.schedule()},
                                {"seconds", seconds},
                                {"bandwidth", bytes / seconds},
                                {"bandwidth_share", bytes / seconds / bench.copyBandwidth},
                                {"flops", operations / seconds}};
  constexpr int64_t manyTokens = 128;
  if (!bench.cublas || tokens < manyTokens)
    return row;
  const uint64_t halves = static_cast<uint64_t>(N * K) * sizeof(uint16_t), others = copiesOf(halves);
  QUANTC_ASSIGN(const cuda::DeviceMemory f16, cuda::DeviceMemory::allocate(bench.device, halves * others));
  const cuda::Driver &d = bench.device->driver();
  QUANTC_TRY(d.check(d.fillAsync(f16.address(), 0x2c, f16.size(), stream), "filling")); // 0x2c2c: 0.065
  QUANTC_ASSIGN(const double ceiling, timeOf(bench, others, [&](uint64_t i) {
                  return bench.cublas->product(x.address(), f16.address() + i * halves, y.address(), tokens, N, K);
                }));
  row["cublas"] = ceiling;
  row["speed_of_cublas"] = ceiling / seconds;
  return row;
}
