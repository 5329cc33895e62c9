//===- quant-opt.cpp - runs passes on a file of IR --------------------------------------------------------------===//
//
// quant-opt in.mlir --qf-tile --canonicalize        upstream's mlir-opt with the dialects and passes of quantc
//
//===------------------------------------------------------------------------------------------------------------===//

#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "quantc/Pipelines/Pipelines.h"

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  quantc::registerAllPasses();
  mlir::DialectRegistry registry;
  quantc::registerAllDialects(registry);
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "quantc's optimizer driver\n", registry));
}
