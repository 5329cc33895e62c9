//===- OpenStatistics.h - what methods learn from, by the options of a command ----------------------------------===//
#pragma once

#include "OpenModel.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/StatisticsSource.h"
#include "quantc/Transforms/WeightStore.h"

namespace quantc {

/// Null where methods need nothing. Fails where they do and the options name no text or statistics.
Result<std::unique_ptr<StatisticsSource>> openStatistics(const OpenedModel &model, const WeightStore &store,
                                                         const MethodNeeds &needs, const CompileOptions &options,
                                                         const std::filesystem::path &scratch);

} // namespace quantc
