//===- TargetAttributes.cpp - targets inside IR -----------------------------------------------------------------===//

#include "quantc/CodeGen/TargetAttributes.h"
#include "Units.h"
#include "mlir/IR/Builders.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/ADT/StringExtras.h"

using namespace quantc;

/// See Units.h.
static mlir::DictionaryAttr unitsOf(const Target &target, mlir::Builder &builder) {
  mlir::NamedAttrList units, matrix;
  auto add = [&](mlir::NamedAttrList &list, llvm::StringRef name, const std::string &intrinsic) {
    if (!intrinsic.empty())
      list.append(name, builder.getStringAttr(intrinsic));
  };
  if (target.dotIsSigned)
    units.append("signed_dot", builder.getUnitAttr());
  add(units, "halves", target.halves);
  add(units, "choose", target.choose);
  add(units, "permute_words", target.permuteWords);
  if (target.matrix) {
    matrix.append("tokens", builder.getI64IntegerAttr(target.matrix->tokens));
    add(matrix, "zero", target.matrix->zero);
    add(matrix, "load", target.matrix->load);
    add(matrix, "store", target.matrix->store);
    add(matrix, "bytes", target.matrix->bytes);
    add(matrix, "signed_bytes", target.matrix->signedBytes);
    add(matrix, "halves", target.matrix->halves);
    units.append("matrix", matrix.getDictionary(builder.getContext()));
  }
  return units.getDictionary(builder.getContext());
}

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
  if (const mlir::DictionaryAttr units = unitsOf(target, builder); !units.empty())
    module->setAttr(TargetUnits::attribute, units);
  else
    module->removeAttr(TargetUnits::attribute);
}

void quantc::attach(const GPUTarget &target, mlir::Operation *module) {
  mlir::MLIRContext *context = module->getContext();
  context->getOrLoadDialect<qf::QFDialect>();
  module->setAttr("qf.gpu", qf::GPUTargetAttr::get(context, target.name, target.chip, target.ptx, target.sharedBytes,
                                                   target.stream, target.tiled, target.stages));
  module->setAttr(multiprocessorsOfTarget, mlir::Builder(context).getI64IntegerAttr(target.multiprocessors));
  if (const std::optional<WarpGroups> &groups = target.warpGroups)
    module->setAttr(warpGroupsOfTarget,
                    mlir::Builder(context).getDenseI64ArrayAttr({groups->tokens, groups->rows, groups->stages}));
  else
    module->removeAttr(warpGroupsOfTarget);
  if (target.dependentLaunch)
    module->setAttr(dependentLaunchOfTarget, mlir::UnitAttr::get(context));
  else
    module->removeAttr(dependentLaunchOfTarget);
}
