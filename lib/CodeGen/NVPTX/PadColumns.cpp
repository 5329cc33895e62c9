//===- PadColumns.cpp - products whose columns fill no units of storage -------------------------------------------===//

#include "Fragments.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFPADCOLUMNS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct PadColumnsPass : quantc::impl::QFPadColumnsBase<PadColumnsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    SmallVector<std::pair<qf::ContractOp, int64_t>> sums; // and their columns in memory
    const WalkResult known = function.walk([&](qf::ContractOp sum) -> WalkResult {
      FailureOr<int64_t> columns = columnsInUnits(sum);
      if (failed(columns))
        return WalkResult::interrupt();
      sums.emplace_back(sum, *columns);
      return WalkResult::advance();
    });
    if (known.wasInterrupted())
      return signalPassFailure();
    for (auto [sum, columns] : sums)
      if (failed(pad(sum, columns)))
        return signalPassFailure();
    function.setFunctionType(
        FunctionType::get(&getContext(), function.front().getArgumentTypes(), function.getResultTypes()));
    for (auto [sum, columns] : sums)
      if (columnsOf(sum.getX()) != columnsOf(sum.getW())) {
        sum.emitOpError() << "has weights padded to " << columnsOf(sum.getW()) << " columns, another product of its "
                          << "activations to " << columnsOf(sum.getX()) << ": give both formats of the same units";
        return signalPassFailure();
      }
  }

private:
  static int64_t columnsOf(Value matrix) { return cast<RankedTensorType>(matrix.getType()).getDimSize(1); }

  /// The columns that the weight of a product has in memory; where that is no quantized one, as many as it has.
  static FailureOr<int64_t> columnsInUnits(qf::ContractOp sum) {
    auto weight = cast<RankedTensorType>(sum.getW().getType());
    auto format = dyn_cast<qf::ElemType>(weight.getElementType());
    if (!format || !weight.hasStaticShape())
      return weight.getDimSize(1);
    FailureOr<FragmentStorage> storage = fragmentsOf(sum, format);
    if (failed(storage))
      return failure();
    if (Status fits = storage->checkShape(weight.getDimSize(0), weight.getDimSize(1)); !fits)
      return sum.emitOpError(fits.error().message);
    return storage->paddedColumns(weight.getDimSize(1));
  }

  LogicalResult pad(qf::ContractOp sum, int64_t padded) {
    const int64_t columns = columnsOf(sum.getW());
    if (columns == padded)
      return success();
    auto x = dyn_cast<BlockArgument>(sum.getX()), w = dyn_cast<BlockArgument>(sum.getW());
    auto isProduct = [](Operation *user) { return isa<qf::ContractOp, tensor::DimOp>(user); };
    if (!x || !w || !llvm::all_of(x.getUsers(), isProduct))
      return sum.emitOpError() << "has " << columns
                               << " columns, which fill no units: its activations and weights must "
                               << "be parameters that nothing else reads";
    for (BlockArgument matrix : {x, w}) {
      auto type = cast<RankedTensorType>(matrix.getType());
      matrix.setType(type.clone({type.getDimSize(0), padded}));
    }
    getOperation().setArgAttr(x.getArgNumber(), pitchInMemory, OpBuilder(sum).getI64IntegerAttr(columns));
    return success();
  }
};

} // namespace
