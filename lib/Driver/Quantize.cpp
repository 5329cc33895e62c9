//===- Quantize.cpp - a model quantized by methods into another checkpoint --------------------------------------===//

#include "quantc/Driver/Quantize.h"
#include "QuantizeWeights.h"
#include "WeightsPlan.h"
#include "mlir/IR/SymbolTable.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/PackedFields.h"
#include "quantc/Transforms/Weights.h"

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

/// Tensors are called like weights, with a suffix that biases have in their names already.
static nn::WeightOp weightOfRole(const SymbolTable &symbols, StringRef role) {
  if (auto weight = symbols.lookup<nn::WeightOp>(role))
    return weight;
  role.consume_back(".weight");
  return symbols.lookup<nn::WeightOp>(role);
}

static fs::path scratchFolder(const QuantizeOptions &options) {
  return options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
}

static Status plan(ModuleOp module, const QuantizeOptions &options) {
  FirstError first(module.getContext());
  PassManager manager(module.getContext());
  PlanOptions formats;
  formats.format = options.format;
  formats.policy = options.policy;
  buildPlanPipeline(manager, formats);
  if (failed(manager.run(module)))
    return first.error("plan");
  // Directories hold linears of blocks; what is outside stays as it is.
  if (!options.container.empty() && options.container != "gguf")
    for (nn::WeightOp weight : module.getOps<nn::WeightOp>())
      if (!weight.getSymName().starts_with("blk."))
        weight->removeAttr(nn::formatAttrName);
  return {};
}

Result<QuantizePlan> quantc::planQuantization(QuantizeOptions options, const MethodChoices &choices) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, opened.graph());
  QUANTC_TRY(plan(*module, options));
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, /*rows=*/16, scratchFolder(options)));
  const MethodInput input{opened, *module, *store, options.model, options.output, options.formatFiles, options.threads};
  QUANTC_ASSIGN(const std::vector<std::string> methods, parseMethods(choices.names));
  QUANTC_ASSIGN(const auto sequences, calibrationSequences(input, needsOf(methods), choices));
  return planWeights(input, choices, methods, lengthsOf(sequences));
}

Result<QuantizeReport> quantc::quantizeModel(QuantizeOptions options, const MethodChoices &choices) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, opened.graph());
  QUANTC_TRY(plan(*module, options));
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, /*rows=*/16, scratchFolder(options),
                                                      options.threads, KeepAs::Fields));
  QUANTC_ASSIGN(
      const std::unique_ptr<Spool> spool,
      quantizeWeights({opened, *module, *store, options.model, options.output, options.formatFiles, options.threads},
                      choices, /*leavePlain=*/true, [&](const EncodedWeight &weight) {
                        if (choices.progress)
                          choices.progress(weight.done, weight.total, weight.name.str(), weight.nmse);
                      }));
  const SymbolTable symbols(*module);
  options.made.quantized = [&](const std::string &role, const Format &format) -> Result<std::optional<MadeWeight>> {
    nn::WeightOp weight = weightOfRole(symbols, role);
    const auto packed = weight ? store->packedFields(weight) : std::nullopt;
    if (!packed)
      return std::nullopt;
    const ArrayRef<int64_t> shape = cast<RankedTensorType>(weight.getType()).getShape();
    auto error = weight->getAttrOfType<FloatAttr>(nn::errorAttrName);
    auto method = weight->getAttrOfType<StringAttr>(nn::methodAttrName);
    return MadeWeight{[&format, N = shape[0], K = shape[1], bits = *packed](int64_t row, int64_t rows) {
                        return unpackRows(format, N, K, row, rows, bits);
                      },
                      error ? error.getValueAsDouble() : 0, method ? method.str() : ""};
  };
  options.made.changed = [&](const std::string &role) -> std::optional<std::vector<float>> {
    nn::WeightOp weight = weightOfRole(symbols, role);
    return weight ? store->values(weight) : std::nullopt;
  };
  QUANTC_ASSIGN(QuantizeReport report, quantizeModel(options));
  if (spool)
    QUANTC_TRY(spool->remove());
  return report;
}
