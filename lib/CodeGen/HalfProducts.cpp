//===- HalfProducts.cpp - codes of weights times bf16 activations -----------------------------------------------===//

#include "CodeProducts.h"

using namespace mlir;
using namespace quantc;

HalfProducts::HalfProducts(LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup, StringAttr dot,
                           TileBody &body, FactorProducts &factors, const Factoring &factoring)
    : b(b), storage(storage), lookup(lookup), dot(dot), body(body), factors(factors) {
  for (const DotTerm &term : factoring.terms())
    if (term.kind != CodeKind::None)
      halfCodes.push_back(HalfCode::of(factoring, term, storage));
}

SmallVector<const TermCode *> HalfProducts::codes() const {
  return llvm::map_to_vector(halfCodes, [](const HalfCode &code) -> const TermCode * { return &code; });
}

FailureOr<Value> HalfProducts::weights(size_t term, const Place &place, int64_t c) {
  const HalfCode &code = halfCodes[term];
  BlockReader &block = place.ofTile < 0 ? *place.block : body.block(place.ofTile + c);
  const auto column = static_cast<unsigned>((place.column + c) % storage.columns());
  if (code.item && code.table.empty()) // a field of 16 bits: as it is
    return block.pairs(*code.item, column);
  if (code.item && code.item->order == CellOrder::Quads)
    if (Value pair = lookup.halves(b, code.table, block.quads(*code.item, column / 4), column % 4))
      return pair;
  FailureOr<Value> low = evaluated(code, block, column), high = evaluated(code, block, column + 1);
  if (failed(low) || failed(high))
    return failure();
  return b.bitOr(*low, b.shl(*high, 16));
}

/// The bits of the bf16 of one column.
FailureOr<Value> HalfProducts::evaluated(const HalfCode &code, BlockReader &block, unsigned column) {
  factors.moveTo(block, column);
  FailureOr<Value> number = factors.floats(code.term->code);
  if (failed(number))
    return failure();
  Value half = arith::TruncFOp::create(b, b.vectorOf(b.getBF16Type()), *number);
  return arith::ExtUIOp::create(b, b.i32s, b.bitcast(b.vectorOf(b.getI16Type()), half)).getResult();
}

Value HalfProducts::add(size_t, Value sum, Value weights, const Place &place, int64_t t, int64_t c) const {
  VectorType halves = VectorType::get({2 * b.lanes}, b.getBF16Type());
  Value x = b.loadBroadcast(b.i32s, body.token(place.codes, t, 2 * c));
  return LLVM::CallIntrinsicOp::create(b, b.f32s, dot,
                                       ValueRange{sum, b.bitcast(halves, weights), b.bitcast(halves, x)})
      .getResult(0);
}
