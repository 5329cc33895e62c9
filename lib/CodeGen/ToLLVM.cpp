//===- ToLLVM.cpp - the last step to the llvm dialect ---------------------------------------------------------===//

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_QFTOLLVM
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct AddressLowering : ConvertOpToLLVMPattern<qf::AddressOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(qf::AddressOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    MemRefDescriptor descriptor(adaptor.getMemref());
    rewriter.replaceOp(op, descriptor.bufferPtr(rewriter, op.getLoc(), *getTypeConverter(),
                                                cast<MemRefType>(op.getMemref().getType())));
    return success();
  }
};

/// Reads an address and the dynamic sizes behind it, and makes a row-major descriptor of them.
struct ArgumentLowering : ConvertOpToLLVMPattern<qf::ArgumentOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(qf::ArgumentOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    int64_t slot = op.getSlot();
    auto load = [&](Type type) -> Value {
      Value address = LLVM::GEPOp::create(rewriter, loc, getPtrType(), rewriter.getI64Type(), adaptor.getArgs(),
                                          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slot++)});
      return LLVM::LoadOp::create(rewriter, loc, type, address, 8);
    };
    auto type = dyn_cast<MemRefType>(op.getValue().getType());
    if (!type) {
      rewriter.replaceOp(op, load(getIndexType()));
      return success();
    }
    Value address = load(getPtrType());
    SmallVector<Value> dynamicSizes, sizes, strides;
    for (size_t i = 0; i < type.getNumDynamicDims(); i++)
      dynamicSizes.push_back(load(getIndexType()));
    Value bytes;
    getMemRefDescriptorSizes(loc, type, dynamicSizes, rewriter, sizes, strides, bytes, /*sizeInBytes=*/false);
    Value descriptor = createMemRefDescriptor(loc, type, address, address, sizes, strides, rewriter);
    rewriter.replaceOp(op, descriptor);
    return success();
  }
};

struct ToLLVMPass : quantc::impl::QFToLLVMBase<ToLLVMPass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    LLVMTypeConverter types(context);
    types.addConversion([&](qf::BlockType block) -> Type {
      return LLVM::LLVMArrayType::get(IntegerType::get(context, 8), block.getBytes());
    });
    RewritePatternSet patterns(context);
    populateFuncToLLVMConversionPatterns(types, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(types, patterns);
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    populateMathToLLVMConversionPatterns(types, patterns);
    ub::populateUBToLLVMConversionPatterns(types, patterns);
    populateVectorToLLVMConversionPatterns(types, patterns);
    patterns.add<AddressLowering, ArgumentLowering>(types);
    LLVMConversionTarget target(*context);
    target.addLegalOp<ModuleOp>();
    if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
