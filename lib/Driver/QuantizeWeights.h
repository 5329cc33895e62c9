//===- QuantizeWeights.h - the phase that executes methods -------------------------------------------------------===//
#pragma once

#include "OpenModel.h"
#include "quantc/Driver/MethodChoices.h"
#include "quantc/Transforms/Materialize.h"

namespace quantc {

struct MethodInput {
  const OpenedModel &opened;
  mlir::ModuleOp module; ///< with assigned formats
  WeightStore &store;    ///< that the results go to
  std::filesystem::path model;
  unsigned threads;
};

/// Runs the passes of the methods, and `qf-materialize`. `leavePlain`: as MaterializeOptions has it. Fails where a
/// method wants statistics that the choices do not give.
Status quantizeWeights(const MethodInput &input, const MethodChoices &choices, bool leavePlain,
                       const EncodeProgress &progress);

} // namespace quantc
