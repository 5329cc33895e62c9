//===- ChooseTargets.cpp - the targets that a command names -----------------------------------------------------===//

#include "ChooseTargets.h"
#include "quantc/Runtime/Cpu.h"
#include <algorithm>
#include <ranges>
#include <set>

using namespace quantc;
namespace fs = std::filesystem;

/// What users type for the machine that they are at.
static constexpr std::string_view thisMachine = "host";

Result<Target> quantc::bestTarget(const fs::path &data) {
  QUANTC_ASSIGN(std::vector<Target> all, Target::all(data));
  for (Target &target : std::views::reverse(all))
    if (firstMissingFeature(target.required).empty())
      return std::move(target);
  return fail("no target of {} runs on this processor ({}); name one by --target", (data / "targets").string(),
              cpuName());
}

static bool isGPU(const std::string &name, const fs::path &data) {
  return describesGPU(data / "targets" / (name + ".json"));
}

Result<std::string> quantc::targetNamed(const std::string &name, const fs::path &data) {
  if (name == thisMachine) {
    QUANTC_ASSIGN(const Target best, bestTarget(data));
    return best.name;
  }
  if (auto found = Target::find(name, data); !isGPU(name, data) && !found) {
    std::string others;
    QUANTC_ASSIGN(const std::vector<GPUTarget> gpus, GPUTarget::all(data));
    for (const GPUTarget &other : gpus)
      others += ", " + other.name;
    return fail("{}{}", found.error().message, others);
  }
  return name;
}

Result<ChosenTargets> quantc::chooseTargets(std::vector<std::string> names, const fs::path &data) {
  if (names.empty())
    names.emplace_back(thisMachine);
  std::set<std::string> known;
  ChosenTargets chosen;
  for (const std::string &given : names) {
    QUANTC_ASSIGN(const std::string name, targetNamed(given, data));
    if (!known.insert(name).second)
      continue;
    if (isGPU(name, data)) {
      QUANTC_ASSIGN(GPUTarget target, GPUTarget::find(name, data));
      chosen.gpus.push_back(std::move(target));
    } else {
      QUANTC_ASSIGN(Target target, Target::find(name, data));
      chosen.processors.push_back(std::move(target));
    }
  }
  const auto place = [](const auto &target) { return std::pair(target.rank, target.name); };
  std::ranges::sort(chosen.processors, {}, place);
  std::ranges::sort(chosen.gpus, {}, place);
  return chosen;
}
