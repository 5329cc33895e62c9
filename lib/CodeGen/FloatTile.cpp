//===- FloatTile.cpp - a register tile with f32 activations -----------------------------------------------------===//

#include "TileBody.h"

using namespace mlir;
using namespace quantc;

LogicalResult quantc::emitFloatTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                    const TableLookup &lookup) {
  FailureOr<TileBody> body = TileBody::create(op, b);
  if (failed(body))
    return failure();
  LaneEvaluator evaluator(b, storage, lookup);
  SmallVector<Value> sums = body->accumulators();
  for (int64_t column = 0; column < body->columns(); column++) {
    evaluator.moveTo(body->block(column), column % storage.columns());
    FailureOr<LaneValue> value = evaluator.evaluate(*storage.format()->value());
    if (failed(value)) {
      InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.source()->spec() << "'";
      diag.attachNote() << evaluator.problem();
      return diag;
    }
    Value w = evaluator.asFloats(*value);
    for (auto [t, sum] : llvm::enumerate(sums)) {
      Value x = b.loadBroadcast(b.f32s, body->token(t, 4 * column), 4);
      sum = op.getExact() ? b.add(sum, b.mul(w, x)) : b.fma(w, x, sum);
    }
  }
  body->finish(sums);
  return success();
}
