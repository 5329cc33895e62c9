//===- TargetAttributes.cpp - targets inside IR -----------------------------------------------------------------===//

#include "quantc/CodeGen/TargetAttributes.h"
#include "mlir/IR/Builders.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/ADT/StringExtras.h"

using namespace quantc;

void quantc::attach(const Target &target, mlir::Operation *module) {
  mlir::MLIRContext *context = module->getContext();
  context->getOrLoadDialect<qf::QFDialect>();
  mlir::Builder builder(context);
  const llvm::SmallVector<llvm::StringRef> dot(target.dot.begin(), target.dot.end());
  module->setAttr("qf.target",
                  qf::TargetAttr::get(context, target.name, target.triple, target.cpu, llvm::join(target.features, ","),
                                      builder.getStrArrayAttr(dot), builder.getStringAttr(target.permute),
                                      builder.getStringAttr(target.shuffle), target.lanes, target.rows, target.tiles,
                                      target.words.empty() ? mlir::StringAttr() : builder.getStringAttr(target.words)));
}

void quantc::attach(const GPUTarget &target, mlir::Operation *module) {
  mlir::MLIRContext *context = module->getContext();
  context->getOrLoadDialect<qf::QFDialect>();
  module->setAttr("qf.gpu", qf::GPUTargetAttr::get(context, target.name, target.chip, target.ptx, target.sharedBytes,
                                                   target.stream, target.tiled, target.stages));
}
