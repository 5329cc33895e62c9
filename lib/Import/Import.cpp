//===- Import.cpp - a model's files to a module of the nn dialect -----------------------------------------------===//

#include "quantc/Import/Import.h"

#include "BuildGraph.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Format/Format.h"
#include "quantc/Support/Files.h"
#include <cstring>

using namespace quantc;

/// The factors by which a file slows its rotary embedding down, if it has any.
static Status applyFactors(const Checkpoint &checkpoint, const Architecture &architecture, ModelConfig &config) {
  const CheckpointTensor *factors = checkpoint.find(architecture.tensorName(checkpoint.kind(), "rope_freqs"));
  if (!factors)
    return {};
  if (factors->format != "f32" || factors->shape.size() != 1)
    return fail("tensor '{}' must be a list of f32", factors->name);
  std::vector<float> values(factors->bytes.size() / sizeof(float));
  std::memcpy(values.data(), factors->bytes.data(), values.size() * sizeof(float));
  return scaleFrequencies(config, values);
}

Result<mlir::OwningOpRef<mlir::ModuleOp>>
quantc::importModel(const Checkpoint &checkpoint, const Architectures &architectures, mlir::MLIRContext &context) {
  auto build = [&]() -> Result<mlir::OwningOpRef<mlir::ModuleOp>> {
    QUANTC_ASSIGN(const Architecture *architecture, architectures.find(checkpoint.kind(), checkpoint.architecture()));
    QUANTC_ASSIGN(ModelConfig config, readModelConfig(*architecture, checkpoint.kind(), checkpoint.metadata()));
    QUANTC_TRY(applyFactors(checkpoint, *architecture, config));
    return buildGraph(checkpoint, *architecture, config, context);
  };
  auto result = build();
  if (!result)
    return failAt(checkpoint.path().string(), result.error());
  return result;
}

Result<mlir::OwningOpRef<mlir::ModuleOp>> quantc::importModel(const std::filesystem::path &model,
                                                              mlir::MLIRContext &context) {
  QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
  QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(data));
  QUANTC_ASSIGN(Architectures architectures, Architectures::load(data / "architectures"));
  QUANTC_ASSIGN(std::shared_ptr<const Checkpoint> checkpoint, Checkpoint::open(model, *catalog));
  return importModel(*checkpoint, architectures, context);
}
