//===- Registration.cpp - dialects and passes of the tools ------------------------------------------------------===//

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/Passes.h"

using namespace mlir;

void quantc::registerAllDialects(DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<nn::NNDialect, qf::QFDialect, rt::RTDialect>();
}

void quantc::registerAllPasses() {
  registerQuantcCodeGenPasses();
  registerQuantcKernelsPasses();
  registerQuantcTransformsPasses();
  PassPipelineRegistration<>("quant-codegen", "linalg and qf on tensors to the llvm dialect", buildCodegenPipeline);
}
