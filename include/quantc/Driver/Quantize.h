//===- Quantize.h - a model quantized by methods into another checkpoint ----------------------------------------===//
#pragma once

#include "quantc/Driver/MethodChoices.h"
#include "quantc/Export/Quantize.h"

namespace quantc {

/// `quantizeModel` with weights that methods made: import, plan and encode as for an artifact, then the container that
/// the options name. Needs memory for one block of the model in f32 with the statistics of its inputs, and disk for the
/// quantized weights beside the output.
Result<QuantizeReport> quantizeModel(QuantizeOptions options, const MethodChoices &choices);

} // namespace quantc
