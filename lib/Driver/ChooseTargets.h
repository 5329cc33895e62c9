//===- ChooseTargets.h - the targets that a command names -------------------------------------------------------===//
#pragma once

#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"

namespace quantc {

/// The fastest target that this machine runs.
Result<Target> bestTarget(const std::filesystem::path &data);

/// The name of a target: "host" is that of the fastest one that this machine runs. Fails with those that there are.
Result<std::string> targetNamed(const std::string &name, const std::filesystem::path &data);

/// Each kind by rank, the best last.
struct ChosenTargets {
  std::vector<Target> processors;
  std::vector<GPUTarget> gpus;
};

/// The targets of these names, each once; of no names this machine's fastest.
Result<ChosenTargets> chooseTargets(std::vector<std::string> names, const std::filesystem::path &data);

} // namespace quantc
