//===- EmitTileDot.cpp - bodies of register tiles -------------------------------------------------------------===//

#include "Activations.h"
#include "TileBody.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "quantc/CodeGen/Choices.h"
#include "quantc/CodeGen/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFEMITTILEDOT
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct EmitTileDotPass : quantc::impl::QFEmitTileDotBase<EmitTileDotPass> {
  void runOnOperation() override {
    SmallVector<qf::TileDotOp> tiles;
    getOperation().walk([&](qf::TileDotOp tile) { tiles.push_back(tile); });
    for (qf::TileDotOp tile : tiles)
      if (failed(emit(tile)))
        return signalPassFailure();
  }

  LogicalResult emit(qf::TileDotOp tile) {
    qf::TargetAttr target = qf::TargetAttr::of(tile);
    if (!target)
      return tile.emitOpError("needs the attribute 'qf.target' of its module");
    auto block = dyn_cast<qf::BlockType>(cast<ShapedType>(tile.getW().getType()).getElementType());
    std::shared_ptr<const KernelStorage> storage = block ? block.getKernelStorage() : nullptr;
    if (!storage)
      return tile.emitOpError("has no weights in kernel storage yet");
    LaneBuilder b(tile, storage->rows());
    TableLookup lookup(getOperation(), target);
    Type x = cast<ShapedType>(tile.getX().getType()).getElementType();
    if (multipliesAsFloats(tile, x)) {
      Choices choices(tile);
      choices.multipliesBy("f32");
      choices.because(x.isF32() ? "weights are decoded to f32, as activations are f32"
                                : "weights are decoded to f32: the target multiplies no bf16");
      return emitFloatTile(tile, b, *storage, lookup);
    }
    return emitDotTile(tile, b, *storage, lookup, target);
  }
};

} // namespace
