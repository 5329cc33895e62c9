//===- MatrixTile.cpp - a register tile on a matrix unit --------------------------------------------------------===//
//
// A matrix unit multiplies the codes of 16 tokens, rows of 64 bytes as they lie in x, with those of 16 rows of a
// weight, whose dwords lie in kernel storage as it wants them. Sums of a run come back through memory, and scales go to
// them in f32 as without the unit: the same operations in the same order, so the same bits.
//
// Getting sums back costs as much as products. So integers that would multiply sums multiply codes instead, which then
// have 16 bits and are two planes of bytes; sums of both planes stay in tile registers for a whole group.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "DotTile.h"

using namespace mlir;
using namespace quantc;

/// Bytes of a row of a tile register.
static constexpr int64_t rowBytes = 64;

MatrixUnit::MatrixUnit(LaneBuilder &b, DictionaryAttr names)
    : b(b), names(names), tile(LLVM::LLVMX86AMXType::get(b.getContext())) {}

Value MatrixUnit::call(StringRef name, Type result, ValueRange operands) const {
  return LLVM::CallIntrinsicOp::create(b, result, names.getAs<StringAttr>(name), operands).getResult(0);
}

Value MatrixUnit::size(int64_t n) const {
  return arith::ConstantIntOp::create(b, b.getIntegerType(16), n);
}

Value MatrixUnit::zero(int64_t rows) const {
  return call("zero", tile, {size(rows), size(rowBytes)});
}

Value MatrixUnit::load(Value address, int64_t stride, int64_t rows, int64_t bytes) const {
  return call("load", tile, {size(rows), size(bytes), address, b.i64(stride)});
}

Value MatrixUnit::multiply(StringRef dot, Value sum, Value x, Value weights, int64_t rows, int64_t bytes) const {
  return call(dot, tile, {size(rows), size(rowBytes), size(bytes), sum, x, weights});
}

void MatrixUnit::store(Value sum, Value address, int64_t rows) const {
  LLVM::CallIntrinsicOp::create(b, names.getAs<StringAttr>("store"),
                                ValueRange{size(rows), size(rowBytes), address, b.i64(rowBytes), sum});
}

/// Vectors of the codes of a group.
int64_t DotTile::codeVectors() const {
  int64_t planes = 0;
  for (size_t term = 0; term < codes.size(); term++)
    planes += planesOf(term);
  return planes * llvm::divideCeil(x.group, products->columns());
}

/// The codes of each term of a group as they are multiplied, to `memory`: planes of a row for `columns()` columns each.
LogicalResult DotTile::storeCodes(TileBody &blocks, int64_t first, int64_t count, Value memory) {
  const int64_t step = products->columns(), plane = llvm::divideCeil(x.group, step) * rowBytes;
  for (size_t term = 0; term < codes.size(); term++) {
    for (int64_t c = 0; c < count; c += step) {
      Value row = b.at(memory, c / step * rowBytes);
      if (planesOf(term) == 2) {
        if (failed(storePlanes(blocks, term, first + c, row, b.at(row, plane))))
          return failure();
        continue;
      }
      FailureOr<Value> weights = products->weights(term, placeIn(blocks, first + c), 0);
      if (failed(weights))
        return failure();
      b.store(*weights, row, rowBytes);
    }
    memory = b.at(memory, planesOf(term) * plane);
  }
  return success();
}

/// The products of four codes of each row and the term's integers, of 16 bits: their low bytes to `low`, the high ones,
/// which are signed, to `high`.
LogicalResult DotTile::storePlanes(TileBody &blocks, size_t term, int64_t column, Value low, Value high) {
  const VectorType words = VectorType::get({2 * b.lanes}, b.getI16Type());
  const Place place = placeIn(blocks, column);
  FailureOr<Value> codes = products->weights(term, place, 0);
  numbers.moveTo(*place.block, place.column);
  FailureOr<Value> integer = numbers.integers(this->codes[term]->term->multipliers);
  if (failed(codes) || failed(integer))
    return failure();
  Value scale = b.mul(*integer, b.splat(b.i32s, this->codes[term]->scale));
  Value factor = b.bitcast(words, b.bitOr(b.bitAnd(scale, b.splat(b.i32s, 0xffff)), b.shl(scale, 16)));
  Value lowBytes = b.splat(words, 0xff), highBytes = b.splat(words, -0x100);
  auto times = [&](Value codes) {
    return b.mul(b.add(codes, b.splat(words, this->codes[term]->offset)), factor);
  };
  Value bits = b.bitcast(words, *codes), even = times(b.bitAnd(bits, lowBytes)), odd = times(b.shr(bits, 8));
  b.store(b.bitOr(b.bitAnd(even, lowBytes), b.shl(odd, 8)), low, rowBytes);
  b.store(b.bitOr(b.shr(even, 8), b.bitAnd(odd, highBytes)), high, rowBytes);
  return success();
}

/// sums += what a group of activations gives: 16 tokens after the other, whose sums without scales of x stay in
/// registers.
LogicalResult DotTile::matrixSums(int64_t first, int64_t count, SmallVectorImpl<Value> &sums) {
  const int64_t vector = 4 * b.lanes, plane = llvm::divideCeil(x.group, products->columns()) * rowBytes;
  const GroupPlan plan = groupPlan();
  Value stored = ahead ? storedGroup(first) : body.scratch(plan.vectors);
  if (!ahead && failed(storeGroup(body, first, stored)))
    return failure();
  const StoredFactors factors = storedAt(stored);
  const Place start = placeOf(first);
  const std::array<Value, 2> results = {body.scratch(MatrixUnit::tokens), body.scratch(MatrixUnit::tokens)};
  SmallVector<Value> codesOf;
  for (Value memory = b.at(stored, plan.codes * vector); codesOf.size() < codes.size();) {
    codesOf.push_back(memory);
    memory = b.at(memory, planesOf(codesOf.size() - 1) * plane);
  }
  for (int64_t token = 0; token < body.tokens(); token += MatrixUnit::tokens) {
    const int64_t tokens = std::min(MatrixUnit::tokens, body.tokens() - token);
    FailureOr<SmallVector<Value>> partial = restSums(first, token, tokens, b.at(stored, plan.rest * vector));
    if (failed(partial))
      return failure();
    auto result = [&](Value of, int64_t t) { return b.load(products->sumType(), b.at(of, t * rowBytes), rowBytes); };
    auto addRun = [&](Value i, int64_t columns, MutableArrayRef<Value> partial) {
      const RunFactors shared = loadFactors(factors, b.at(factors.memory, i, factors.count * rowBytes), 0);
      Value xs = body.token(b.at(start.codes, i, run * x.codeBytes()), token, 0);
      Place place = start;
      place.sums = body.token(b.at(start.sums, i, run / x.sumRun * x.sumBytes), token, 0);
      for (auto [term, scale] : llvm::zip(runTerms, shared.scales)) {
        Value weights = b.at(codesOf[term], i, run / products->columns() * rowBytes);
        multiplyTiles(xs, Plane{weights, *products->matrixDot()}, columns, tokens, results);
        for (auto [t, part] : llvm::enumerate(partial)) {
          Value sum = result(results[0], static_cast<int64_t>(t));
          if (const int64_t offset = codes[term]->offset)
            sum = b.add(sum, codeSum(place, static_cast<int64_t>(t), run, offset));
          part = b.fma(b.asFloats(sum), scale, part);
        }
      }
      if (!shared.rest)
        return success();
      for (auto [t, part] : llvm::enumerate(partial))
        part = b.fma(b.asFloats(codeSum(place, static_cast<int64_t>(t), run, 1)), shared.rest, part);
      return success();
    };
    if (factors.count) {
      if (failed(body.loop(count / run, *partial,
                           [&](Value i, MutableArrayRef<Value> partial) { return addRun(i, run, partial); })))
        return failure();
      if (count % run && failed(addRun(b.i64(count / run), count % run, *partial)))
        return failure();
    }
    for (auto [i, term] : llvm::enumerate(groupTerms)) {
      Value xs = body.token(start.codes, token, 0), codes = codesOf[term];
      multiplyTiles(xs, {Plane{codes, "bytes"}, Plane{b.at(codes, plane), "signed_bytes"}}, count, tokens, results);
      Value scale = b.load(b.f32s, b.at(stored, (plan.scales + static_cast<int64_t>(i)) * vector), vector);
      for (auto [t, part] : llvm::enumerate(*partial)) {
        Value high = b.shl(result(results[1], static_cast<int64_t>(t)), 8);
        part = b.fma(b.toF32(b.add(result(results[0], static_cast<int64_t>(t)), high)), scale, part);
      }
    }
    for (auto [t, part] : llvm::enumerate(*partial))
      sums[token + t] = scaled(sums[token + t], part, first, token + static_cast<int64_t>(t));
  }
  return success();
}

/// The sums of some columns for up to 16 tokens, of each plane of codes, to `results`: rows of 16 sums.
void DotTile::multiplyTiles(Value xs, ArrayRef<Plane> planes, int64_t columns, int64_t tokens,
                            ArrayRef<Value> results) {
  const int64_t step = products->columns(), tileColumns = rowBytes / x.codeBytes();
  // Registers have one shape in a whole function: a single token has the shape of few, each of them that token.
  const int64_t rows = tokens == 1 ? MatrixUnit::leastRows : tokens, stride = tokens == 1 ? 0 : body.stride();
  const MatrixUnit unit(b, units.matrix());
  SmallVector<Value> sums = llvm::map_to_vector(planes, [&](const Plane &) { return unit.zero(rows); });
  for (int64_t c = 0; c < columns; c += tileColumns) {
    const int64_t dwords = llvm::divideCeil(std::min(tileColumns, columns - c), step);
    Value x = unit.load(b.at(xs, c * this->x.codeBytes()), stride, rows, 4 * dwords);
    for (auto [plane, sum] : llvm::zip(planes, sums)) {
      Value w = unit.load(b.at(plane.codes, c / step * rowBytes), rowBytes, dwords, rowBytes);
      sum = unit.multiply(plane.dot, sum, x, w, rows, 4 * dwords);
    }
  }
  for (auto [sum, result] : llvm::zip(sums, results))
    unit.store(sum, result, rows);
}
