//===- SplitSums.cpp - sums of products that several thread blocks share ------------------------------------------===//

#include "Fragments.h"
#include "Schedule.h"
#include "Variants.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"

namespace quantc {
#define GEN_PASS_DEF_QFSPLITSUMS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Columns that a part has at least: of shorter sums ptxas unrolls the loop, and spills.
constexpr int64_t leastColumns = 1024;

struct SplitSumsPass : quantc::impl::QFSplitSumsBase<SplitSumsPass> {
  void runOnOperation() override {
    qf::GPUTargetAttr target = qf::GPUTargetAttr::of(getOperation());
    if (!target) {
      getOperation().emitError("needs the attribute 'qf.gpu'");
      return signalPassFailure();
    }
    auto multiprocessors = getOperation()->getAttrOfType<IntegerAttr>(multiprocessorsOfTarget);
    if (!multiprocessors)
      return;
    SmallVector<qf::ContractOp> found;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      auto sums = llvm::to_vector(function.getOps<qf::ContractOp>());
      if (sums.size() == 1 && !function->hasAttr(mostTokens))
        found.push_back(sums.front());
    }
    for (qf::ContractOp sum : found) {
      const int64_t rows = rowsOfBlock(typeOf(sum.getW()).getDimSize(0), target.getTiled()[1]);
      FailureOr<int64_t> parts = partsOf(sum, rows, multiprocessors.getInt());
      if (failed(parts) || (*parts > 1 && failed(split(sum, *parts, rows, target))))
        return signalPassFailure();
    }
  }

private:
  static RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
  static qf::ContractOp sumOf(func::FuncOp function) { return *function.getOps<qf::ContractOp>().begin(); }

  /// Equal parts of whole units of storage, as many as give each multiprocessor a block, or the most below that.
  static FailureOr<int64_t> partsOf(qf::ContractOp sum, int64_t rows, int64_t multiprocessors) {
    auto format = dyn_cast<qf::ElemType>(typeOf(sum.getW()).getElementType());
    if (!format || !typeOf(sum.getX()).isDynamicDim(0) || !sum.getOut().getDefiningOp<linalg::FillOp>())
      return 1;
    FailureOr<FragmentStorage> storage = fragmentsOf(sum, format);
    if (failed(storage))
      return failure();
    const int64_t N = typeOf(sum.getW()).getDimSize(0), K = typeOf(sum.getW()).getDimSize(1);
    const int64_t unit = storage->columns();
    if (N % rows || K % unit)
      return 1;
    int64_t parts = std::min<int64_t>(llvm::divideCeil(multiprocessors, N / rows), K / leastColumns);
    while (parts > 1 && K / unit % parts)
      parts--;
    return std::max<int64_t>(parts, 1);
  }

  /// For as many tokens as a block can have at once, more than stream.
  LogicalResult split(qf::ContractOp sum, int64_t parts, int64_t rows, qf::GPUTargetAttr target) {
    auto kernel = sum->getParentOfType<func::FuncOp>();
    const int64_t N = typeOf(sum.getW()).getDimSize(0);
    auto memory = RankedTensorType::get({ShapedType::kDynamic, parts * N}, typeOf(sum.getOut()).getElementType());
    for (int64_t tokens = target.getTiled()[0]; tokens > target.getStream()[0]; tokens /= 2) {
      const std::string name = (kernel.getName() + "_m" + Twine(tokens)).str();
      func::FuncOp added = variantFor(kernel, name, tokens, memory);
      func::FuncOp multiplied = variantFor(kernel, name + "_parts", tokens, memory); // before the other
      multiply(multiplied, parts, rows);
      FailureOr<Schedule> schedule = chooseSchedule(multiplied, target, /*warpGroups=*/false);
      if (failed(schedule))
        return failure();
      if (schedule->blockTokens >= tokens)
        return add(added, parts);
      added.erase();
      multiplied.erase();
    }
    return success();
  }

  /// A block for some rows and a part of the columns; its sums go to their place in the memory.
  static void multiply(func::FuncOp function, int64_t parts, int64_t rows) {
    qf::ContractOp sum = sumOf(function);
    const int64_t N = typeOf(sum.getW()).getDimSize(0), K = typeOf(sum.getW()).getDimSize(1), columns = K / parts;
    ImplicitLocOpBuilder b(sum.getLoc(), function.front().getTerminator());
    auto index = [&](int64_t v) -> OpFoldResult { return b.getIndexAttr(v); };
    const OpFoldResult zero = index(0), one = index(1);
    const OpFoldResult tokens = tensor::getMixedSize(b, sum.getLoc(), sum.getX(), 0);
    const SmallVector<OpFoldResult> strides(2, one);
    auto slice = [&](Value of, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) -> Value {
      return tensor::ExtractSliceOp::create(b, of, offsets, sizes, strides);
    };
    auto block = [&](gpu::MappingId id) -> Attribute { return gpu::GPUBlockMappingAttr::get(b.getContext(), id); };
    const ArrayAttr mapping = b.getArrayAttr({block(gpu::MappingId::DimY), block(gpu::MappingId::DimX)});
    auto blocks = scf::ForallOp::create(
        b, ArrayRef<OpFoldResult>{zero, zero}, ArrayRef<OpFoldResult>{index(K), index(N)},
        ArrayRef<OpFoldResult>{index(columns), index(rows)}, ValueRange(function.getArguments().back()), mapping);
    b.setInsertionPointToStart(blocks.getBody());
    const OpFoldResult column = blocks.getInductionVar(0), row = blocks.getInductionVar(1);
    AffineExpr k, n;
    bindDims(b.getContext(), k, n);
    const OpFoldResult place =
        affine::makeComposedFoldedAffineApply(b, b.getLoc(), k.floorDiv(columns) * N + n, {column, row});
    Value memory = blocks.getRegionIterArgs().front();
    const SmallVector<OpFoldResult> offsets{zero, place}, sizes{tokens, index(rows)};
    Value none = arith::ConstantOp::create(b, b.getZeroAttr(typeOf(memory).getElementType()));
    Value init = linalg::FillOp::create(b, none, slice(memory, offsets, sizes)).getResult(0);
    Value x = slice(sum.getX(), {zero, column}, {tokens, index(columns)});
    Value w = slice(sum.getW(), {row, column}, {index(rows), index(columns)});
    auto part = cast<qf::ContractOp>(b.clone(*sum));
    part->setOperands({x, w, init});
    part->getResult(0).setType(init.getType());
    b.setInsertionPointToStart(blocks.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(b, part->getResult(0), memory, offsets, sizes, strides);
    writeOnlyMemory(function, blocks.getResult(0));
  }

  /// The sums of the parts, in their order, where the product was.
  LogicalResult add(func::FuncOp function, int64_t parts) {
    qf::ContractOp sum = sumOf(function);
    const int64_t N = typeOf(sum.getW()).getDimSize(0);
    Value memory = function.getArguments().back(), out = sum.getOut().getDefiningOp<linalg::FillOp>().getOutputs()[0];
    OpBuilder b(sum);
    const AffineMap places = b.getMultiDimIdentityMap(2);
    const SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
    auto total = linalg::GenericOp::create(
        b, sum.getLoc(), out.getType(), ValueRange(), out, places, parallel,
        [&](OpBuilder &inner, Location loc, ValueRange) {
          Value token = linalg::IndexOp::create(inner, loc, 0), feature = linalg::IndexOp::create(inner, loc, 1), y;
          for (int64_t part = 0; part < parts; part++) {
            Value first = arith::ConstantIndexOp::create(inner, loc, part * N);
            Value place = arith::AddIOp::create(inner, loc, feature, first);
            Value one = tensor::ExtractOp::create(inner, loc, memory, ValueRange{token, place});
            y = part ? arith::AddFOp::create(inner, loc, y, one).getResult() : one;
          }
          linalg::YieldOp::create(inner, loc, y);
        });
    sum.replaceAllUsesWith(total.getResult(0));
    sum.erase();
    // One function of the numbers at one place, with all that follows.
    OpPassManager fuse(func::FuncOp::getOperationName());
    fuse.addPass(createLinalgElementwiseOpFusionPass());
    if (failed(runPipeline(fuse, function)))
      return failure();
    // Fusion forgets where a result goes that does not depend on what is there.
    auto last = function.front().getTerminator()->getOperand(0).getDefiningOp<linalg::GenericOp>();
    last.getOutputsMutable().assign(function.getArgument(function.getNumArguments() - 2));
    return success();
  }
};

} // namespace
