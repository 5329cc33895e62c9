//===- DeviceExecutor.h - a session on a GPU ----------------------------------------------------------------------===//
#pragma once

#include "../Executor.h"
#include "DeviceModel.h"

namespace quantc::cuda {

/// The most tokens of a step: blocks along an axis of a grid.
inline constexpr int64_t mostTokens = 65535;

/// Buffers, among them the KV cache, lie on the GPU; tokens go there and logits come back, or what the stages beside
/// those of `options` carry. Steps of few tokens are played as graphs (StepGraphs.h). Fails where the buffers do not
/// fit, with what would.
Result<std::unique_ptr<Executor>> createExecutor(std::shared_ptr<const DeviceModel> model,
                                                 const ExecutorOptions &options);

} // namespace quantc::cuda
