//===- AssignCacheFormat.cpp - the format of the KV cache -------------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Decode.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace quantc {
#define GEN_PASS_DEF_NNASSIGNCACHEFORMAT
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct AssignCacheFormat : quantc::impl::NNAssignCacheFormatBase<AssignCacheFormat> {
  using NNAssignCacheFormatBase::NNAssignCacheFormatBase;

  void runOnOperation() override {
    auto forward = getOperation().lookupSymbol<func::FuncOp>("forward");
    if (!forward || forward.isDeclaration()) {
      getOperation().emitError("has no function @forward");
      return signalPassFailure();
    }
    auto chosen = [&]() -> Result<Type> {
      QUANTC_ASSIGN(qf::ElemType elem, qf::ElemType::of(&getContext(), format));
      // f16 is a type of numbers too, and needs no blocks.
      if (isPlainFloat(*elem.getFormat()) && elem.getFormat()->fields().front().kind == FieldKind::F16)
        return Type(Float16Type::get(&getContext()));
      QUANTC_TRY(qf::BlockType::of(elem, nn::keyGroup));
      return Type(elem);
    }();
    if (!chosen) {
      forward.emitError() << "the KV cache cannot be " << format << ": " << chosen.error().message;
      return signalPassFailure();
    }
    element = *chosen;
    forward.walk([&](Operation *op) {
      convert(op->getResults());
      for (Region &region : op->getRegions())
        for (Block &block : region)
          convert(block.getArguments());
    });
    forward.setType(FunctionType::get(&getContext(), forward.front().getArgumentTypes(),
                                      forward.front().getTerminator()->getOperandTypes()));
  }

private:
  /// Caches are the tensors of f16 with three dimensions.
  void convert(ValueRange values) {
    for (Value value : values)
      if (auto type = dyn_cast<RankedTensorType>(value.getType());
          type && type.getRank() == 3 && type.getElementType().isF16())
        value.setType(RankedTensorType::get(type.getShape(), element));
  }

  Type element;
};

} // namespace
