//===- Placement.cpp - which stages of a model run on a GPU -------------------------------------------------------===//

#include "Placement.h"
#include <algorithm>

using namespace quantc;

/// Whether both programs carry the same out of a stage.
static bool canCutBehind(const Manifest &manifest, size_t stage) {
  const auto &here = manifest.stages[stage].carries, &there = manifest.gpu->stages[stage].carries;
  return here && there && here->perToken == there->perToken;
}

std::optional<StageRange> quantc::lastLayers(const Manifest &manifest, int64_t layers) {
  const std::vector<StageEntry> &stages = manifest.gpu->stages;
  if (layers > manifest.layers)
    return manifest.gpu->allStages();
  if (!std::ranges::equal(stages, manifest.stages, {}, &StageEntry::name, &StageEntry::name) ||
      std::cmp_not_equal(stages.size(), manifest.layers + 2))
    return std::nullopt;
  // The embedding is the first stage, the head the last one.
  const StageRange range = {stages.size() - 1 - static_cast<size_t>(layers), stages.size() - 1};
  if (!canCutBehind(manifest, range.first - 1) || !canCutBehind(manifest, range.last - 1))
    return std::nullopt;
  return range;
}

Result<StageRange> quantc::stagesOnGPU(const Manifest &manifest, int64_t layers) {
  if (layers < 0)
    return fail("{} layers on a GPU; give 0 to {}, or more for the whole model", layers, manifest.layers);
  if (layers == 0)
    return StageRange();
  if (const auto range = lastLayers(manifest, layers))
    return *range;
  if (manifest.targets.empty())
    return fail("holds code for GPUs only, so that all layers run there or none: compile it with --target of a "
                "processor too, to have {} of {} on a GPU",
                layers, manifest.layers);
  return fail("does not say what its layers carry to the next, so that all run on a GPU or none: compile the model "
              "again");
}

std::string quantc::layersThatFit(const Manifest &manifest, const std::function<bool(StageRange)> &fits) {
  for (int64_t layers = manifest.layers; layers > 0; layers--)
    if (const auto part = lastLayers(manifest, layers); part && fits(*part))
      return fmt::format(", or the last {} of {} layers, the rest on the processor (--gpu-layers {})", layers,
                         manifest.layers, layers);
  return {};
}

std::set<size_t> quantc::weightsOf(const ProgramEntry &program, StageRange stages) {
  std::set<size_t> named;
  for (size_t stage = stages.first; stage < stages.last; stage++)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      for (const ArgEntry &arg : launch.args)
        if (arg.kind == ArgKind::Weight)
          named.insert(arg.index);
  return named;
}

size_t quantc::enteringBuffer(const ProgramEntry &program, StageRange stages) {
  return stages.first == 0 ? program.tokensBuffer : program.stages[stages.first - 1].carries->buffer;
}

size_t quantc::leavingBuffer(const ProgramEntry &program, StageRange stages) {
  return stages.last == program.stages.size() ? program.logitsBuffer : program.stages[stages.last - 1].carries->buffer;
}
