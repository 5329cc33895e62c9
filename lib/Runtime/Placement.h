//===- Placement.h - which stages of a model run on a GPU ---------------------------------------------------------===//
//
// The stages of a model are the embedding, its layers and the head. A GPU takes some that follow each other; where it
// begins or ends, what the stage before carries is copied from one memory to the other.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Manifest.h"
#include <functional>
#include <optional>
#include <set>

namespace quantc {

/// The stages of so many layers on a GPU, as llama.cpp counts them: the last ones; everything, where it is more than
/// the model has. Nothing where the artifact cannot be cut there: it lacks a program for processors, or does not say
/// what its stages carry. `layers` > 0.
std::optional<StageRange> lastLayers(const Manifest &manifest, int64_t layers);

/// The same, for any number, of an artifact that has a program for GPUs. Fails where the number is negative or the
/// artifact cannot be cut there.
Result<StageRange> stagesOnGPU(const Manifest &manifest, int64_t layers);

/// How many layers, fewer than all stages, `fits` accepts, as the end of an error; empty where it is none.
std::string layersThatFit(const Manifest &manifest, const std::function<bool(StageRange)> &fits);

/// The manifest's weights that some stages name.
std::set<size_t> weightsOf(const ProgramEntry &program, StageRange stages);

/// Where tokens, or what the stage before carries, enter some stages, and where what these compute leaves them: in the
/// buffer of the next stage's input, or of the logits. At both ends the program is whole or can be cut.
size_t enteringBuffer(const ProgramEntry &program, StageRange stages);
size_t leavingBuffer(const ProgramEntry &program, StageRange stages);

} // namespace quantc
