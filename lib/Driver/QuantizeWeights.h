//===- QuantizeWeights.h - the phase that executes methods -------------------------------------------------------===//
#pragma once

#include "OpenModel.h"
#include "quantc/Driver/MethodChoices.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Spool.h"
#include "quantc/Transforms/Materialize.h"

namespace quantc {

/// The graph of a model, in the basis that the methods want.
Result<mlir::OwningOpRef<mlir::ModuleOp>> graphFor(const OpenedModel &opened, const MethodChoices &choices);

struct MethodInput {
  const OpenedModel &opened;
  mlir::ModuleOp module; ///< with assigned formats
  WeightStore &store;    ///< that the results go to
  std::filesystem::path model, output;
  const std::vector<std::filesystem::path> &formatFiles;
  unsigned threads;
};

/// The token ids that the model reads for methods that learn from a text; none where they learn nothing, or from a file
/// of statistics.
Result<std::vector<std::vector<int32_t>>> calibrationSequences(const MethodInput &input, const MethodNeeds &needs,
                                                               const MethodChoices &choices);
/// Where files without names lie that are needed while `output` is made.
std::filesystem::path scratchFolder(const std::filesystem::path &output);
std::vector<int64_t> lengthsOf(const std::vector<std::vector<int32_t>> &sequences);

/// Runs the passes of the methods, and `qf-materialize`. `leavePlain`: as MaterializeOptions has it. Fails where a
/// method wants statistics that the choices do not give. Weights that statistics serve are also kept in the folder
/// `OUTPUT.resume`, and taken from there where a process before was killed: the caller removes it when the output is
/// whole. Null where there is none.
Result<std::unique_ptr<Spool>> quantizeWeights(const MethodInput &input, const MethodChoices &choices, bool leavePlain,
                                               const EncodeProgress &progress);

} // namespace quantc
