//===- QFDialect.cpp - the dialect of quantized tensors -------------------------------------------------------===//

#include "FormatCache.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "quantc/Dialect/QF/QFGPU.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quantc;
using namespace quantc::qf;

#include "quantc/Dialect/QF/QFDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/QF/QFAttributes.cpp.inc"

void QFDialect::initialize() {
  cache = std::make_unique<FormatCache>();
  addOperations<
#define GET_OP_LIST
#include "quantc/Dialect/QF/QFOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "quantc/Dialect/QF/QFGPUOps.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "quantc/Dialect/QF/QFAttributes.cpp.inc"
      >();
  attachPartialReduction(getContext());
  registerTypes();
}

QFDialect::~QFDialect() = default;

void QFDialect::setCatalog(std::shared_ptr<Catalog> catalog) {
  cache->setCatalog(std::move(catalog));
}

Result<std::shared_ptr<const Format>> QFDialect::format(StringRef spec) {
  return cache->format(spec);
}

Result<std::shared_ptr<const KernelStorage>> QFDialect::kernelStorage(StringRef spec, unsigned rows) {
  return cache->kernelStorage(spec, rows);
}

LogicalResult TargetAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef, StringRef, StringRef,
                                 StringRef, ArrayAttr dot, StringAttr, StringAttr, unsigned lanes, unsigned rows,
                                 ArrayRef<int64_t> tiles, StringAttr) {
  if (dot.size() > 2 || !llvm::all_of(dot, llvm::IsaPred<StringAttr>))
    return emitError() << "'dot' takes at most two names of intrinsics";
  if (lanes == 0 || rows == 0 || rows % lanes)
    return emitError() << "'lanes' must divide 'rows'";
  if (tiles.size() != 3 || llvm::any_of(tiles, [](int64_t size) { return size < 1; }))
    return emitError() << "'tiles' takes three positive sizes: tokens and rows of a task, tokens of a register tile";
  return success();
}

TargetAttr TargetAttr::of(Operation *op) {
  for (; op; op = op->getParentOp())
    if (auto target = op->getAttrOfType<TargetAttr>("qf.target"))
      return target;
  return {};
}
