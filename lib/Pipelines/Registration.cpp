//===- Registration.cpp - dialects of the tools -----------------------------------------------------------------===//

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Dialect/RT/RT.h"
#include "quantc/Pipelines/Pipelines.h"

using namespace mlir;

void quantc::registerAllDialects(DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<nn::NNDialect, qf::QFDialect, rt::RTDialect>();
}
