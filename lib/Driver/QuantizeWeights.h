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
  bool isDirectory = false; ///< the output is a Hugging Face directory
  bool holdsOrder = false;  ///< it can say that columns of weights lie in another order
};

/// What the methods of `choices` need to know of inputs.
MethodNeeds needsOf(llvm::ArrayRef<std::string> methods, const MethodChoices &choices);
/// Fails on options of methods that do not go with each other, or with the output.
Status checkChoices(const MethodInput &input, llvm::ArrayRef<std::string> methods, const MethodChoices &choices);

/// The token ids that the model reads for methods that learn from a text; none where they learn nothing, or from a file
/// of statistics.
Result<std::vector<std::vector<int32_t>>> calibrationSequences(const MethodInput &input, const MethodNeeds &needs,
                                                               const MethodChoices &choices);
/// Tells `note` where there are so many tokens that sums of f32 over them lose digits.
void noteTokens(uint64_t tokens, const std::function<void(const std::string &)> &note);
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
