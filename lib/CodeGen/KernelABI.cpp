//===- KernelABI.cpp - one array of arguments for each kernel -------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_QFKERNELABI
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct KernelABIPass : quantc::impl::QFKernelABIBase<KernelABIPass> {
  void runOnOperation() override {
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() && failed(rewrite(function)))
        return signalPassFailure();
  }

  /// A kernel ends with the parameters `begin` and `end`; a function of tasks returns their number.
  LogicalResult rewrite(func::FuncOp function) {
    Block &body = function.front();
    const bool isKernel = function.getNumResults() == 0;
    const unsigned parameters = body.getNumArguments() - (isKernel ? 2 : 0);
    OpBuilder builder(&body, body.begin());
    Location loc = function.getLoc();
    Type index = builder.getIndexType(), i64 = builder.getI64Type();

    Value args = body.insertArgument(0u, LLVM::LLVMPointerType::get(&getContext()), loc);
    int64_t slot = 0;
    for (unsigned i = 0; i < parameters; i++) {
      BlockArgument parameter = body.getArgument(1 + i);
      auto buffer = dyn_cast<MemRefType>(parameter.getType());
      if (parameter.getType() != index && !(buffer && buffer.getLayout().isIdentity()))
        return function.emitOpError() << "parameter " << i << " is neither a row-major buffer nor an index, but "
                                      << parameter.getType();
      parameter.replaceAllUsesWith(qf::ArgumentOp::create(builder, loc, parameter.getType(), args, slot));
      slot += 1 + (buffer ? buffer.getNumDynamicDims() : 0);
    }
    for (unsigned i = 0; i < body.getNumArguments() - 1 - parameters; i++) {
      BlockArgument bound = body.getArgument(1 + parameters + i);
      Value converted = arith::IndexCastOp::create(builder, loc, index, bound);
      bound.replaceAllUsesExcept(converted, converted.getDefiningOp());
      bound.setType(i64);
    }
    body.eraseArguments(1, parameters);
    SmallVector<Type> results;
    if (!isKernel) {
      Operation *end = body.getTerminator();
      builder.setInsertionPoint(end);
      end->setOperand(0, arith::IndexCastOp::create(builder, loc, i64, end->getOperand(0)));
      results.push_back(i64);
    }
    function.setArgAttrsAttr({});
    function.setType(FunctionType::get(&getContext(), body.getArgumentTypes(), results));
    return success();
  }
};

} // namespace
