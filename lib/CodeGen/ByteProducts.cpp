//===- ByteProducts.cpp - bytes of weights times int8 activations -----------------------------------------------===//

#include "CodeProducts.h"

using namespace mlir;
using namespace quantc;

ByteProducts::ByteProducts(LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
                           qf::TargetAttr target, TileBody &body, FactorProducts &factors, const Factoring &factoring)
    : b(b), storage(storage), lookup(lookup), dot(target), body(body), factors(factors),
      takesAnyByte(dot.takesAnyByte(b)) {
  // A code is multiplied once for all tokens, a sum for each.
  const auto multiplied = takesAnyByte && body.tokens() > 1 ? TermCode::Multiplied::Codes : TermCode::Multiplied::Sums;
  for (const DotTerm &term : factoring.terms())
    if (term.kind != CodeKind::None)
      byteCodes.push_back(ByteCode::of(factoring, term, storage, multiplied));
}

SmallVector<const TermCode *> ByteProducts::codes() const {
  return llvm::map_to_vector(byteCodes, [](const ByteCode &code) -> const TermCode * { return &code; });
}

FailureOr<Value> ByteProducts::weights(size_t term, const Place &place, int64_t c) {
  const ByteCode &code = byteCodes[term];
  const auto [block, column] = cellOf(place, c);
  factors.moveTo(*block, column);
  FailureOr<Value> multiplier = Value();
  if (code.multipliesCodes() && failed(multiplier = factors.integers(code.term->multipliers)))
    return failure();
  if (code.item) {
    Value bits = block->quads(*code.item, column / 4);
    if (!code.table.empty())
      bits = lookup.bytes(b, code.table, bits);
    else if (code.flip)
      bits = b.bitXor(bits, b.splat(b.bytes, static_cast<int8_t>(code.flip)));
    return *multiplier ? multiplied(code, bits, *multiplier) : bits;
  }
  Value packed;
  for (unsigned j = 0; j < 4; j++) {
    factors.moveTo(*block, column + j);
    FailureOr<Value> number = factors.integers(code.term->code);
    if (failed(number))
      return failure();
    if (*multiplier)
      number = b.mul(*number, *multiplier);
    Value byte = b.shl(b.sub(*number, b.splat(b.i32s, code.offset)), 8 * j);
    packed = packed ? b.bitOr(packed, byte) : byte;
  }
  return b.bitcast(b.bytes, packed);
}

bool ByteProducts::isInPlace(size_t term, int64_t columns) const {
  const ByteCode &code = byteCodes[term];
  if (!takesAnyByte || !code.item || code.item->planes.size() != 1 || !code.table.empty() || code.flip)
    return false;
  const int64_t places = 8 / code.item->planes.front().width;
  return places > 1 && columns >= 2 * places * this->columns();
}

std::pair<Value, unsigned> ByteProducts::weightsInPlace(size_t term, const Place &place, int64_t c) {
  const auto [block, column] = cellOf(place, c);
  return block->quadsInPlace(*byteCodes[term].item, column / 4);
}

/// The block and the column within it of the c-th column from a place on.
std::pair<BlockReader *, unsigned> ByteProducts::cellOf(const Place &place, int64_t c) {
  BlockReader &block = place.ofTile < 0 ? *place.block : body.block(place.ofTile + c);
  return {&block, static_cast<unsigned>((place.column + c) % storage.columns())};
}

/// The four bytes of each row, multiplied: as one dword, because all of the products are bytes.
Value ByteProducts::multiplied(const ByteCode &code, Value bits, Value multiplier) {
  auto times = [&](Value v, int64_t n) { return n == 1 ? v : b.mul(v, b.splat(b.i32s, n)); };
  Value products = b.mul(b.bitcast(b.i32s, bits), times(multiplier, code.ownScale));
  if (code.ownOffset || code.offset) {
    Value offset = b.sub(times(multiplier, code.ownOffset), b.splat(b.i32s, code.offset));
    products = b.add(products, times(offset, 0x01010101));
  }
  return b.bitcast(b.bytes, products);
}

bool ByteProducts::isSigned(size_t term) const {
  const ByteCode &code = byteCodes[term];
  return code.offset < 0 && code.offset >= INT8_MIN && static_cast<int64_t>(code.largest) + code.offset <= INT8_MAX;
}

std::optional<StringRef> ByteProducts::matrixDot() const {
  // Products that are no bytes go in two, of 16 bits.
  if (llvm::any_of(byteCodes,
                   [](const ByteCode &code) { return code.multipliesSums() && !code.term->hasWordProducts(); }))
    return {};
  return "bytes";
}

Value ByteProducts::add(size_t term, Value sum, Value weights, const Place &place, int64_t t, int64_t c) const {
  return dot(b, sum, weights, byteCodes[term].largest, b.loadBroadcast(b.i32s, body.token(place.codes, t, c)));
}
