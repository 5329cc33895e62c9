//===- Quantize.cpp - a model quantized by methods into another checkpoint --------------------------------------===//

#include "quantc/Driver/Quantize.h"
#include "QuantizeWeights.h"
#include "WeightsPlan.h"
#include "mlir/IR/SymbolTable.h"
#include "quantc/Format/PackedFields.h"
#include "quantc/Format/Recognize.h"
#include "quantc/Format/Syntax.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Files.h"
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

static bool isDirectory(const QuantizeOptions &options) {
  return !options.container.empty() && options.container != "gguf";
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
  if (isDirectory(options))
    for (nn::WeightOp weight : module.getOps<nn::WeightOp>())
      if (!weight.getSymName().starts_with("blk."))
        weight->removeAttr(nn::formatAttrName);
  return {};
}

/// Of what is not quantized, where it is not what the model's files have: it was divided by factors, or is derived.
static std::optional<std::vector<float>> changedValues(nn::WeightOp weight, const WeightStore &store) {
  const auto type = cast<RankedTensorType>(weight.getType());
  if (auto kept = store.values(weight))
    return kept;
  if (isa<nn::SourceAttr>(weight.getFrom()) || !type.getElementType().isF32())
    return std::nullopt;
  std::vector<float> values(type.getNumElements());
  if (!store.read(weight, 0, type.getRank() == 2 ? type.getDimSize(0) : 1, values.data()))
    return std::nullopt;
  return values;
}

/// What a container cannot hold of what methods do to a graph.
static Status checkContainer(const QuantizeOptions &options, const MethodChoices &choices) {
  QUANTC_ASSIGN(const MethodNames methods, parseMethods(choices.names));
  if (methods.llmInt8 && options.output.extension() == ".qm")
    return fail("what method 'llm-int8' splits is known when the model has read the calibration text, not before");
  if (methods.llmInt8)
    return fail("method 'llm-int8' splits linears, which no container can say: compile the model (quantc compile)");
  if (methods.rotate && isDirectory(options))
    return fail("container {} leaves embeddings and norms as they are, method 'rotate' changes them: write a .gguf, or "
                "compile the model (quantc compile)",
                options.container);
  return {};
}

/// Whether the container can say that columns of weights lie in another order.
static Result<bool> holdsOrder(const QuantizeOptions &options, const OpenedModel &opened) {
  if (!isDirectory(options))
    return false;
  QUANTC_ASSIGN(const auto catalog, Catalog::open(opened.data));
  QUANTC_ASSIGN(const auto containers, checkpointContainers(*catalog, options.container));
  return llvm::any_of(containers, [](const auto &container) {
    return llvm::any_of(container->tensors, [](const TensorDecl &tensor) { return tensor.order; });
  });
}

Result<QuantizePlan> quantc::planQuantization(QuantizeOptions options, const MethodChoices &choices) {
  QUANTC_TRY(checkContainer(options, choices));
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, graphFor(opened, choices));
  QUANTC_TRY(plan(*module, options));
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, /*rows=*/16, scratchFolder(options.output)));
  QUANTC_ASSIGN(const bool ordered, holdsOrder(options, opened));
  const MethodInput input{opened,          *module,
                          *store,          options.model,
                          options.output,  options.formatFiles,
                          options.threads, isDirectory(options),
                          ordered};
  QUANTC_ASSIGN(const MethodNames names, parseMethods(choices.names));
  QUANTC_TRY(checkChoices(input, names.weights, choices));
  QUANTC_ASSIGN(const auto sequences, calibrationSequences(input, needsOf(names.weights, choices), choices));
  return planWeights(input, choices, names.weights, lengthsOf(sequences), PlanOf::MemoryAndTimes);
}

Result<QuantizeReport> quantc::quantizeModel(QuantizeOptions options, const MethodChoices &choices) {
  QUANTC_TRY(checkContainer(options, choices));
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, graphFor(opened, choices));
  QUANTC_TRY(plan(*module, options));
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, /*rows=*/16, scratchFolder(options.output),
                                                      options.threads, KeepAs::Fields));
  QUANTC_ASSIGN(const bool ordered, holdsOrder(options, opened));
  QUANTC_ASSIGN(const std::unique_ptr<Spool> spool,
                quantizeWeights({opened, *module, *store, options.model, options.output, options.formatFiles,
                                 options.threads, isDirectory(options), ordered},
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
                      error ? error.getValueAsDouble() : 0, method ? method.str() : "", store->order(weight)};
  };
  options.made.changed = [&](const std::string &role) -> std::optional<std::vector<float>> {
    nn::WeightOp weight = weightOfRole(symbols, role);
    return weight ? changedValues(weight, *store) : std::nullopt;
  };
  options.made.ownHead = symbols.lookup("output") != nullptr;
  QUANTC_ASSIGN(QuantizeReport report, quantizeModel(options));
  if (spool)
    QUANTC_TRY(spool->remove());
  return report;
}
