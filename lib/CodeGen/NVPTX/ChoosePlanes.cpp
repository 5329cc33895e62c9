//===- ChoosePlanes.cpp - from numbers to planes of words ---------------------------------------------------------===//

#include "Fragments.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/TypeUtilities.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include <array>

namespace quantc {
#define GEN_PASS_DEF_QFCHOOSEPLANES
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct ChoosePlanesPass : quantc::impl::QFChoosePlanesBase<ChoosePlanesPass> {
  void runOnOperation() override {
    planes.clear();
    func::FuncOp function = getOperation();
    SmallVector<Operation *> slices;
    if (failed(addParameters(function)))
      return signalPassFailure();
    auto walked = function.walk([&](Operation *op) -> WalkResult {
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op); slice && elementOf(slice)) {
        slices.push_back(slice);
        return countUnits(slice);
      }
      if (auto dot = dyn_cast<qf::WarpDotOp>(op); dot && elementOf(dot.getW().front()))
        return choosePlanes(dot);
      return success();
    });
    if (walked.wasInterrupted())
      return signalPassFailure();
    for (Operation *slice : llvm::reverse(slices))
      slice->erase();
    for (int i = static_cast<int>(function.getNumArguments()) - 1; i >= 0; i--)
      if (elementOf(function.getArgument(i)) && failed(function.eraseArgument(i)))
        return signalPassFailure();
  }

private:
  DenseMap<Value, SmallVector<Value>> planes;

  static qf::ElemType elementOf(Value v) {
    auto type = dyn_cast<RankedTensorType>(v.getType());
    return type ? dyn_cast<qf::ElemType>(type.getElementType()) : qf::ElemType();
  }
  static RankedTensorType typeOf(Type weight, const FragmentPlane &plane) {
    MemRefType type = planeType(weight, plane);
    return RankedTensorType::get(type.getShape(), type.getElementType());
  }

  /// One parameter for each plane, behind that of the weight.
  LogicalResult addParameters(func::FuncOp function) {
    for (int i = static_cast<int>(function.getNumArguments()) - 1; i >= 0; i--) {
      BlockArgument weight = function.getArgument(i);
      qf::ElemType format = elementOf(weight);
      if (!format)
        continue;
      FailureOr<FragmentStorage> storage = fragmentsOf(function, format);
      if (failed(storage))
        return failure();
      for (auto [p, plane] : llvm::enumerate(storage->planes())) {
        const unsigned at = i + 1 + static_cast<unsigned>(p);
        if (failed(function.insertArgument(at, typeOf(weight.getType(), plane), DictionaryAttr(), weight.getLoc())))
          return failure();
        planes[weight].push_back(function.getArgument(at));
      }
    }
    return success();
  }

  LogicalResult countUnits(tensor::ExtractSliceOp slice) {
    FailureOr<FragmentStorage> storage = fragmentsOf(slice, elementOf(slice));
    if (failed(storage))
      return failure();
    IRRewriter rewriter(slice);
    SmallVector<Value> sources = planes.lookup(slice.getSource());
    if (sources.empty())
      return slice.emitOpError("slices a weight that is no parameter");
    for (auto [source, plane] : llvm::zip(sources, storage->planes())) {
      SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(), sizes;
      for (auto [dim, unit] : llvm::enumerate(std::array<int64_t, 2>{FragmentStorage::rows, plane.columns})) {
        const int64_t size = slice.getType().getDimSize(dim);
        if (ShapedType::isDynamic(size) || (size % unit && unit % size)) {
          InFlightDiagnostic diag = slice.emitOpError("cuts a unit of storage");
          diag.attachNote() << "a unit of '" << plane.item->field->name << "' has " << FragmentStorage::rows << " x "
                            << plane.columns << " numbers";
          return diag;
        }
        AffineExpr d = rewriter.getAffineDimExpr(0);
        offsets[dim] =
            affine::makeComposedFoldedAffineApply(rewriter, slice.getLoc(), d.floorDiv(unit), {offsets[dim]});
        sizes.push_back(rewriter.getIndexAttr(llvm::divideCeil(size, unit)));
      }
      offsets.push_back(rewriter.getIndexAttr(0));
      sizes.push_back(rewriter.getIndexAttr(plane.words));
      planes[slice].push_back(tensor::ExtractSliceOp::create(rewriter, slice.getLoc(), typeOf(slice.getType(), plane),
                                                             source, offsets, sizes,
                                                             SmallVector<OpFoldResult>(3, rewriter.getIndexAttr(1))));
    }
    return success();
  }

  LogicalResult choosePlanes(qf::WarpDotOp dot) {
    SmallVector<Value> words = planes.lookup(dot.getW().front());
    if (words.empty())
      return dot.emitOpError("has a weight that is no parameter");
    dot.getWMutable().assign(words);
    return success();
  }
};

} // namespace
