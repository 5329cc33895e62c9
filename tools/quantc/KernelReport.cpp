//===- KernelReport.cpp - kernels of an artifact: what they compute, what they take, why --------------------------===//

#include "KernelReport.h"
#include "quantc/Runtime/Cpu.h"
#include <algorithm>
#include <fmt/ranges.h>

using namespace quantc;

namespace {

//===- Launches on GPUs -----------------------------------------------------------------------------------------===//

std::string gridText(const GridAxisEntry &axis) {
  return axis.parameter ? fmt::format("#{} / {}", *axis.parameter, axis.size) : std::to_string(axis.size);
}

/// How each variant of a kernel for GPUs is launched.
std::string launchText(const std::vector<GPUVariant> &variants) {
  std::string text;
  for (const GPUVariant &v : variants)
    text += fmt::format("    {:24} {} tokens: grid {} x {}, {} threads, {} bytes of shared memory, {} parameters\n",
                        v.symbol, v.mostTokens ? std::to_string(v.mostTokens) : "all", gridText(v.grid[0]),
                        gridText(v.grid[1]), v.threads, v.sharedBytes, v.parameters);
  return text;
}

Json launchesOf(const std::vector<GPUVariant> &variants) {
  Json all = Json::array();
  for (const GPUVariant &v : variants)
    all.push_back({{"symbol", v.symbol},
                   {"most_tokens", v.mostTokens},
                   {"grid", {gridText(v.grid[0]), gridText(v.grid[1])}},
                   {"threads", v.threads},
                   {"shared_bytes", v.sharedBytes},
                   {"parameters", v.parameters}});
  return all;
}

//===- One kernel -----------------------------------------------------------------------------------------------===//

template <typename Kernel> Json entryOf(const Kernel &kernel, const std::string &target) {
  return {{"name", kernel.name}, {"target", target}, {"calls", kernel.calls}, {"why", kernel.why}};
}

template <typename Kernel> std::string lineOf(const Kernel &kernel, const std::string &target) {
  return fmt::format("{:28} {:16} {:5} calls  {}\n", kernel.name, target, kernel.calls, kernel.why);
}

/// Weights of the first launch of a kernel; those of the others are of the same kind.
Json weightsOf(const Manifest &manifest, size_t kernel) {
  for (const StageEntry &stage : manifest.stages)
    for (const LaunchEntry &launch : stage.launches)
      if (launch.kernel == kernel) {
        Json weights = Json::array();
        for (const ArgEntry &arg : launch.args)
          if (arg.kind == ArgKind::Weight) {
            const WeightEntry &weight = manifest.weights[arg.index];
            weights.push_back({{"format", weight.format}, {"shape", weight.shape}});
          }
        return weights;
      }
  return Json::array();
}

//===- Times ----------------------------------------------------------------------------------------------------===//

/// Seconds that all launches of a step take together, and at least.
struct StepSums {
  double seconds = 0, floors = 0;
};

StepSums sumsOf(const Manifest &manifest, const StepTimes &step) {
  StepSums sums;
  for (const StepTimes::Kernel &kernel : step.kernels) {
    const double calls = double(manifest.kernels[kernel.index].calls);
    sums.seconds += calls * kernel.seconds;
    sums.floors += calls * (kernel.floor ? kernel.floor->seconds : 0);
  }
  return sums;
}

const StepTimes::Kernel *timesOf(const StepTimes &step, size_t kernel) {
  const auto found = std::ranges::find(step.kernels, kernel, &StepTimes::Kernel::index);
  return found == step.kernels.end() ? nullptr : &*found;
}

std::string nameOf(const StepSize &step) {
  return fmt::format("{} token{}{}", step.tokens, step.tokens == 1 ? "" : "s",
                     step.past ? fmt::format(" after {}", step.past) : "");
}

void addTimes(const Manifest &manifest, const KernelTimes &times, size_t index, std::string &text, Json &json) {
  json["steps"] = Json::array();
  for (const StepTimes &step : times.steps) {
    const StepTimes::Kernel *kernel = timesOf(step, index);
    if (!kernel)
      continue;
    const double part = double(manifest.kernels[index].calls) * kernel->seconds / sumsOf(manifest, step).seconds;
    Json row = {{"tokens", step.step.tokens}, {"past", step.step.past}, {"seconds", kernel->seconds}};
    std::string floor;
    if (kernel->floor) {
      row["floor_seconds"] = kernel->floor->seconds;
      row["bound"] = kernel->floor->ofMemory ? "memory" : "arithmetic";
      row["share"] = kernel->floor->seconds / kernel->seconds;
      floor = fmt::format(", {:3.0f} % of it is the floor of {}: {:.2f} us", 100 * row["share"].get<double>(),
                          row["bound"].get<std::string>(), 1e6 * kernel->floor->seconds);
    }
    row["part_of_step"] = part;
    text += fmt::format("    {:20} {:10.2f} us, {:4.1f} % of the step{}\n", nameOf(step.step), 1e6 * kernel->seconds,
                        100 * part, floor);
    json["steps"].push_back(std::move(row));
  }
}

void addMachine(const Manifest &manifest, const std::string &target, const KernelTimes &times, KernelReport &report) {
  std::string peaks;
  for (const auto &[instruction, peak] : times.ceilings.operations)
    peaks += fmt::format(", {:.0f} GOP/s by {}", peak / 1e9, instruction);
  report.text += fmt::format("{}, {} threads, {}: {:.1f} GB/s from memory{}\n", cpuName(), times.threads, target,
                             times.ceilings.bytes / 1e9, peaks);
  Json steps = Json::array();
  for (const StepTimes &step : times.steps) {
    const StepSums sums = sumsOf(manifest, step);
    report.text += fmt::format("    {:20} {:10.2f} us in kernels, {:3.0f} % of it floors\n", nameOf(step.step),
                               1e6 * sums.seconds, 100 * sums.floors / sums.seconds);
    steps.push_back({{"tokens", step.step.tokens},
                     {"past", step.step.past},
                     {"seconds", sums.seconds},
                     {"floor_seconds", sums.floors}});
  }
  report.measured = {{"processor", cpuName()},
                     {"target", target},
                     {"threads", times.threads},
                     {"read_bandwidth_bytes_s", times.ceilings.bytes},
                     {"operations_s", times.ceilings.operations},
                     {"steps", std::move(steps)}};
}

} // namespace

Json quantc::listKernels(const Manifest &manifest) {
  Json all = Json::array();
  for (const KernelEntry &kernel : manifest.kernels)
    for (const auto &[target, address] : kernel.entry)
      all.push_back(entryOf(kernel, target));
  if (manifest.gpu)
    for (const GPUKernelEntry &kernel : manifest.gpu->kernels)
      for (const auto &[target, variants] : kernel.variants) {
        all.push_back(entryOf(kernel, target));
        all.back()["launches"] = launchesOf(variants);
      }
  return all;
}

KernelReport quantc::reportKernels(const Manifest &manifest, const std::string &measured, const KernelTimes *times) {
  KernelReport report{.kernels = listKernels(manifest)};
  auto json = report.kernels.begin();
  for (size_t index = 0; index < manifest.kernels.size(); ++index) {
    const KernelEntry &kernel = manifest.kernels[index];
    for (const auto &[target, address] : kernel.entry) {
      report.text += lineOf(kernel, target);
      (*json)["weights"] = weightsOf(manifest, index);
      if (kernel.work) {
        (*json)["computes"] = toJson(*kernel.work);
        report.text += fmt::format("    {}\n", fmt::join(kernel.work->operations, ", "));
      }
      if (times && target == measured)
        addTimes(manifest, *times, index, report.text, *json);
      if (const auto choice = kernel.choices.find(target); choice != kernel.choices.end()) {
        (*json)["choices"] = toJson(choice->second);
        for (const std::string &reason : choice->second.reasons)
          report.text += fmt::format("    - {}\n", reason);
      }
      ++json;
    }
  }
  if (manifest.gpu)
    for (const GPUKernelEntry &kernel : manifest.gpu->kernels)
      for (const auto &[target, variants] : kernel.variants)
        report.text += lineOf(kernel, target) + launchText(variants);
  if (times)
    addMachine(manifest, measured, *times, report);
  return report;
}
