//===- ByteProducts.cpp - bytes of weights times int8 activations -----------------------------------------------===//

#include "CodeProducts.h"

using namespace mlir;
using namespace quantc;

ByteProducts::ByteProducts(LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
                           qf::TargetAttr target, TileBody &body, FactorProducts &factors, const Factoring &factoring)
    : b(b), storage(storage), lookup(lookup), dot(target), body(body), factors(factors) {
  for (const DotTerm &term : factoring.terms())
    if (term.kind != CodeKind::None)
      byteCodes.push_back(ByteCode::of(factoring, term, storage));
}

SmallVector<const TermCode *> ByteProducts::codes() const {
  return llvm::map_to_vector(byteCodes, [](const ByteCode &code) -> const TermCode * { return &code; });
}

FailureOr<Value> ByteProducts::weights(size_t term, const Place &place, int64_t c) {
  const ByteCode &code = byteCodes[term];
  BlockReader &block = place.ofTile < 0 ? *place.block : body.block(place.ofTile + c);
  const auto column = static_cast<unsigned>((place.column + c) % storage.columns());
  if (code.item) {
    Value bits = block.quads(*code.item, column / 4);
    if (!code.table.empty())
      return lookup.bytes(b, code.table, bits);
    return code.flip ? b.bitXor(bits, b.splat(b.bytes, static_cast<int8_t>(code.flip))) : bits;
  }
  Value packed;
  for (unsigned j = 0; j < 4; j++) {
    factors.moveTo(block, column + j);
    FailureOr<Value> number = factors.integers(code.term->code);
    if (failed(number))
      return failure();
    Value byte = b.shl(b.sub(*number, b.splat(b.i32s, code.offset)), 8 * j);
    packed = packed ? b.bitOr(packed, byte) : byte;
  }
  return b.bitcast(b.bytes, packed);
}

Value ByteProducts::add(size_t term, Value sum, Value weights, const Place &place, int64_t t, int64_t c) const {
  return dot(b, sum, weights, byteCodes[term].largest, b.loadBroadcast(b.i32s, body.token(place.codes, t, c)));
}
