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
static constexpr int64_t rowBytes = 64; // also those of a vector of lanes

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
      if (products->isSigned(term))
        weights = b.add(*weights, b.splat(b.bytes, codes[term]->offset));
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
  const TermCode &code = *codes[term];
  const Place place = placeIn(blocks, column);
  FailureOr<Value> bytes = products->weights(term, place, 0);
  numbers.moveTo(*place.block, place.column);
  FailureOr<Value> integer = numbers.integers(code.term->multipliers);
  if (failed(bytes) || failed(integer))
    return failure();
  Value scale = b.mul(*integer, b.splat(b.i32s, code.scale));
  Value factor = b.bitcast(words, b.wordPair(scale, scale));
  auto times = [&](Value numbers) { return b.mul(b.add(numbers, b.splat(words, code.offset)), factor); };
  Value lowBytes = b.splat(words, 0xff), highBytes = b.splat(words, -0x100), bits = b.bitcast(words, *bytes);
  Value even = times(b.bitAnd(bits, lowBytes)), odd = times(b.shr(bits, 8));
  b.store(b.bitOr(b.bitAnd(even, lowBytes), b.shl(odd, 8)), low, rowBytes);
  b.store(b.bitOr(b.shr(even, 8), b.bitAnd(odd, highBytes)), high, rowBytes);
  return success();
}

/// sums += what all groups of the tile give, 16 tokens after the other.
LogicalResult DotTile::matrixSums(MutableArrayRef<Value> sums) {
  const int64_t groups = llvm::divideCeil(body.columns(), x.group);
  Value memory = ahead ? ahead : body.scratch(groups * groupPlan().vectors);
  if (!ahead && failed(storeGroups(body, memory)))
    return failure();
  int64_t productsOfGroup = 0;
  for (size_t term = 0; term < codes.size(); term++)
    productsOfGroup += inIntegers ? planesOf(term) : llvm::divideCeil(x.group, run);
  Value results[2];
  for (Value &result : results)
    result = body.scratch(productsOfGroup * MatrixUnit::tokens);
  for (int64_t token = 0; token < body.tokens(); token += MatrixUnit::tokens) {
    MutableArrayRef<Value> part = sums.slice(token, std::min<int64_t>(MatrixUnit::tokens, body.tokens() - token));
    // Products of the next group are under way while sums of this one are scaled.
    auto multiply = [&](int64_t group) {
      const int64_t first = group * x.group;
      multiplyGroup(first, token, part.size(), storedGroup(memory, first), results[group % 2]);
    };
    multiply(0);
    for (int64_t group = 0; group < groups; group++) {
      const int64_t first = group * x.group;
      if (group + 1 < groups)
        multiply(group + 1);
      if (failed(addGroup(first, token, storedGroup(memory, first), results[group % 2], part)))
        return failure();
    }
  }
  return success();
}

/// All products of a group of activations, to `results`: planes of each term in integers, else all terms run by run.
void DotTile::multiplyGroup(int64_t first, int64_t token, int64_t tokens, Value stored, Value results) {
  const int64_t count = std::min(x.group, body.columns() - first), step = products->columns(),
                plane = llvm::divideCeil(x.group, step) * rowBytes, ofProduct = MatrixUnit::tokens * rowBytes;
  SmallVector<Value> codesOf;
  for (Value memory = b.at(stored, groupPlan().codes * rowBytes); codesOf.size() < codes.size();) {
    codesOf.push_back(memory);
    memory = b.at(memory, planesOf(codesOf.size() - 1) * plane);
  }
  Value xs = body.token(placeOf(first).codes, token, 0);
  auto dotOf = [&](size_t term) { return products->isSigned(term) ? "signed_bytes" : *products->matrixDot(); };
  if (inIntegers) {
    for (size_t term = 0; term < codes.size(); term++) {
      SmallVector<Plane, 2> planes = {{codesOf[term], planesOf(term) == 2 ? "bytes" : dotOf(term), results}};
      if (planesOf(term) == 2)
        planes.push_back({b.at(codesOf[term], plane), "signed_bytes", b.at(results, ofProduct)});
      multiplyTiles(xs, planes, count, tokens);
      results = b.at(results, planesOf(term) * ofProduct);
    }
    return;
  }
  for (int64_t c = 0; c < count; c += run)
    for (size_t term = 0; term < codes.size(); term++) {
      multiplyTiles(b.at(xs, c * x.codeBytes()), Plane{b.at(codesOf[term], c / step * rowBytes), dotOf(term), results},
                    std::min(run, count - c), tokens);
      results = b.at(results, ofProduct);
    }
}

/// sums += the results of a group with its scales.
LogicalResult DotTile::addGroup(int64_t first, int64_t token, Value stored, Value results,
                                MutableArrayRef<Value> sums) {
  const int64_t count = std::min(x.group, body.columns() - first);
  const GroupPlan plan = groupPlan();
  FailureOr<SmallVector<Value>> partial =
      restSums(first, token, static_cast<int64_t>(sums.size()), b.at(stored, plan.rest * rowBytes));
  if (failed(partial))
    return failure();
  int64_t product = 0;
  Place place = placeOf(first);
  place.sums = body.token(place.sums, token, 0);
  auto result = [&](int64_t product, size_t t) {
    const int64_t row = product * MatrixUnit::tokens + static_cast<int64_t>(t);
    return b.load(products->sumType(), b.at(results, row * rowBytes), rowBytes);
  };
  auto withOffset = [&](Value sum, size_t term, const Place &at, size_t t, int64_t columns) {
    const int64_t offset = products->isSigned(term) ? 0 : codes[term]->offset;
    return offset ? b.add(sum, codeSum(at, static_cast<int64_t>(t), columns, offset)) : sum;
  };
  for (size_t term = 0; inIntegers && term < codes.size(); term++) {
    Value scale = b.load(b.f32s, b.at(stored, (plan.scales + static_cast<int64_t>(term)) * rowBytes), rowBytes);
    for (auto [t, part] : llvm::enumerate(*partial)) {
      Value total = result(product, t);
      if (planesOf(term) == 2)
        total = b.add(total, b.shl(result(product + 1, t), 8));
      else
        total = withOffset(total, term, place, t, count);
      if (planesOf(term) == 1 && codes[term]->scale != 1)
        total = b.mul(total, b.splat(b.i32s, codes[term]->scale));
      part = b.fma(b.toF32(total), scale, part);
    }
    product += planesOf(term);
  }
  const StoredFactors factors = storedAt(stored);
  for (int64_t c = 0; !inIntegers && c < count; c += run) {
    const RunFactors shared = loadFactors(factors, stored, c / run);
    const Place at = moved(place, nullptr, 0, c);
    for (auto [term, scale] : llvm::enumerate(shared.scales)) {
      for (auto [t, part] : llvm::enumerate(*partial))
        part = b.fma(b.asFloats(withOffset(result(product, t), term, at, t, run)), scale, part);
      product++;
    }
    for (auto [t, part] : llvm::enumerate(*partial))
      if (shared.rest)
        part = b.fma(b.asFloats(codeSum(at, static_cast<int64_t>(t), run, 1)), shared.rest, part);
  }
  for (auto [t, part] : llvm::enumerate(*partial))
    sums[t] = scaled(sums[t], part, first, token + static_cast<int64_t>(t));
  return success();
}

/// The sums of some columns for up to 16 tokens, of each plane of codes.
void DotTile::multiplyTiles(Value xs, ArrayRef<Plane> planes, int64_t columns, int64_t tokens) {
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
  for (auto [sum, plane] : llvm::zip(sums, planes))
    unit.store(sum, plane.sums, rows);
}
