//===- DeviceCache.cpp - keys or values of the KV cache in a format, on a GPU -------------------------------------===//

#include "DeviceCache.h"
#include "../../LaneEvaluator.h"
#include "../../RowWriter.h"
#include "../ConstantTables.h"
#include "../DeviceMath.h"
#include "../RowReader.h"
#include "quantc/Dialect/NN/Cache.h"

using namespace mlir;
using namespace quantc;

bool DeviceCache::isCoded(Value cache) {
  return isa<qf::ElemType>(getElementTypeOrSelf(cache));
}

DeviceCache::DeviceCache(Operation *user, Value cache)
    : user(user), cache(cache), block(nn::cacheBlock(cast<RankedTensorType>(cache.getType()))),
      storage(block.getKernelStorage()), features(cast<RankedTensorType>(cache.getType()).getDimSize(2)) {}

/// Of the block, in the generic address space that builders of lanes know.
Value DeviceCache::addressOf(LayerBuilder &b, Value head, Value position, Value part) {
  Value group = b.add(b.mul(head, b.div(b.context(), nn::keyGroup)), b.div(position, nn::keyGroup));
  Value offset = b.mul(b.add(b.mul(group, blocks()), part), block.getBytes());
  Value address = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), b.parameter(cache));
  return LLVM::GEPOp::create(b, address.getType(), b.getI8Type(), address, ArrayRef<LLVM::GEPArg>{offset});
}

LayerBuilder::Values DeviceCache::decode(LayerBuilder &layer, Value head, Value position, Value part) {
  Value address = addressOf(layer, head, position, part), row = layer.rem(position, nn::keyGroup);
  LaneBuilder b(user, /*lanes=*/1);
  b.setInsertionPoint(layer.getInsertionBlock(), layer.getInsertionPoint());
  ConstantTables tables(layer.kernel()->getParentOfType<gpu::GPUModuleOp>());
  LaneEvaluator evaluator(b, *storage, tables);
  RowReader reader(b, *storage, address, row);
  LayerBuilder::Values numbers;
  for (unsigned column = 0; column < storage->columns(); column++) {
    evaluator.moveTo(reader, column);
    FailureOr<LaneValue> value = evaluator.evaluate(*storage->format()->value());
    if (failed(value)) {
      InFlightDiagnostic diag = user->emitOpError()
                                << "has no code for a cache of '" << storage->source()->spec() << "'";
      diag.attachNote() << evaluator.problem();
      return {};
    }
    numbers.push_back(vector::ExtractOp::create(b, evaluator.asFloats(*value), ArrayRef<int64_t>{0}));
  }
  layer.setInsertionPoint(b.getInsertionBlock(), b.getInsertionPoint());
  return numbers;
}

LogicalResult DeviceCache::encode(LayerBuilder &layer, Value row, Value head, Value position, Value part) {
  Value address = addressOf(layer, head, position, part);
  LaneBuilder b(user, storage->rows());
  b.setInsertionPoint(layer.getInsertionBlock(), layer.getInsertionPoint());
  auto asIndex = [&](Value v) { return arith::IndexCastOp::create(b, b.getIndexType(), v).getResult(); };
  Value first = asIndex(layer.mul(part, columns()));
  Value x = vector::LoadOp::create(b, VectorType::get({columns()}, b.getF32Type()), row, first);
  RowWriter writer(b, *storage, address, asIndex(layer.rem(position, nn::keyGroup)));
  if (Status status = emitEncodeClause(b, *storage->source(), columns(), x, writer); !status)
    return user->emitError(status.error().message); // users read it
  writer.finish();
  const Block::iterator end = b.getInsertionPoint();
  for (Operation &op : llvm::make_early_inc_range(llvm::make_range(Block::iterator(x.getDefiningOp()), end))) {
    b.setInsertionPoint(&op);
    if (Value number = emitMath(b, &op, op.getOperands())) {
      op.getResult(0).replaceAllUsesWith(number);
      op.erase();
    }
  }
  return success();
}
