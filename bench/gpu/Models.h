//===- Models.h - whole models on a GPU ---------------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include <nlohmann/json.hpp>

namespace quantc::gpu {

/// Compares a model on a GPU with one of the same weights on the processor, in exact kernels: logits of a text all at
/// once, in steps and token by token, played as graphs and launched one by one (which must give equal bits), and the
/// tokens that follow it. Gives the largest error of logits, squared, relative to their squares.
Result<double> compareModels(const std::shared_ptr<const Model> &onGPU, const std::shared_ptr<const Model> &launched,
                             const std::shared_ptr<const Model> &onCPU);

/// Tokens per second, and what share of the measured bandwidth decoding reaches.
Result<nlohmann::ordered_json> timeModel(const std::shared_ptr<const Model> &model, int64_t prompt, int64_t tokens);

/// Makes an artifact of a skeleton (bench/gpu/bundle): a folder with the manifest, the code and small tensors, whose
/// large weights are random numbers.
Status fillSkeleton(const std::filesystem::path &skeleton, const std::filesystem::path &data,
                    const std::filesystem::path &output);

} // namespace quantc::gpu
