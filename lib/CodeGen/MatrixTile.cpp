//===- MatrixTile.cpp - a register tile on a matrix unit --------------------------------------------------------===//
//
// A matrix unit multiplies the codes of 16 tokens, rows of 64 bytes as they lie in x, with those of 16 rows of a
// weight, whose dwords lie in kernel storage as it wants them. Sums of a run come back through memory, and scales go to
// them in f32 as without the unit: the same operations in the same order, so the same bits.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "DotTile.h"

using namespace mlir;
using namespace quantc;

/// Bytes of a row of a tile register.
static constexpr int64_t rowBytes = 64;

MatrixUnit::MatrixUnit(LaneBuilder &b, DictionaryAttr names, StringRef dot)
    : b(b), names(names), dot(dot), tile(LLVM::LLVMX86AMXType::get(b.getContext())) {}

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

Value MatrixUnit::multiply(Value sum, Value x, Value weights, int64_t rows, int64_t bytes) const {
  return call(dot, tile, {size(rows), size(rowBytes), size(bytes), sum, x, weights});
}

void MatrixUnit::store(Value sum, Value address, int64_t rows) const {
  LLVM::CallIntrinsicOp::create(b, names.getAs<StringAttr>("store"),
                                ValueRange{size(rows), size(rowBytes), address, b.i64(rowBytes), sum});
}

/// The codes of each term of a group as they are multiplied, on the stack: a row for `columns()` columns.
FailureOr<SmallVector<Value>> DotTile::storeCodes(int64_t first, int64_t count) {
  const int64_t step = products->columns();
  SmallVector<Value> memory;
  for (size_t term = 0; term < codes.size(); term++)
    memory.push_back(body.scratch(llvm::divideCeil(count, step)));
  auto store = [&](const Place &place, int64_t columns, Value offset) -> LogicalResult {
    for (size_t term = 0; term < codes.size(); term++)
      for (int64_t c = 0; c < columns; c += step) {
        FailureOr<Value> weights = products->weights(term, place, c);
        if (failed(weights))
          return failure();
        b.store(*weights, b.at(b.at(memory[term], offset, rowBytes / step), c / step * rowBytes), rowBytes);
      }
    return success();
  };
  LogicalResult good = success();
  if (const std::optional<Passes> weights = passes(first, count)) {
    SmallVector<Value> nothing;
    good = body.loop(count / weights->columns, nothing, [&](Value i, MutableArrayRef<Value>) {
      BlockReader block = reader(*weights, i);
      Value column = arith::MulIOp::create(b, i, b.i64(weights->columns));
      return store(Place{&block, 0, {}, {}}, weights->columns, column);
    });
  } else {
    good = store(placeOf(first), count, b.i64(0));
  }
  if (failed(good))
    return failure();
  return memory;
}

/// sums += what a group of activations gives: 16 tokens after the other, whose sums without scales of x stay in
/// registers.
LogicalResult DotTile::matrixSums(int64_t first, int64_t count, SmallVectorImpl<Value> &sums) {
  FailureOr<StoredFactors> factors = storeFactors(body, first, count, body.scratch(factorVectors(count)));
  FailureOr<SmallVector<Value>> stored = storeCodes(first, count);
  if (failed(factors) || failed(stored))
    return failure();
  const Place start = placeOf(first);
  Value results = body.scratch(MatrixUnit::tokens);
  for (int64_t token = 0; token < body.tokens(); token += MatrixUnit::tokens) {
    const int64_t tokens = std::min(MatrixUnit::tokens, body.tokens() - token);
    FailureOr<SmallVector<Value>> partial = restSums(first, token, tokens, {});
    if (failed(partial))
      return failure();
    auto addRun = [&](Value i, int64_t columns, MutableArrayRef<Value> partial) {
      const RunFactors shared = loadFactors(*factors, b.at(factors->memory, i, factors->count * rowBytes), 0);
      Value xs = body.token(b.at(start.codes, i, run * x.codeBytes()), token, 0);
      Place place = start;
      place.sums = b.at(start.sums, i, run / x.sumRun * x.sumBytes);
      for (auto [term, scale] : llvm::enumerate(shared.scales)) {
        multiplyTiles(xs, b.at((*stored)[term], i, run / products->columns() * rowBytes), columns, tokens, results);
        for (auto [t, part] : llvm::enumerate(partial)) {
          Value sum = b.load(products->sumType(), b.at(results, t * rowBytes), rowBytes);
          if (const int64_t offset = codes[term]->offset)
            sum = b.add(sum, codeSum(place, token + static_cast<int64_t>(t), 0, run, offset));
          part = b.fma(b.asFloats(sum), scale, part);
        }
      }
      if (!shared.rest)
        return success();
      for (auto [t, part] : llvm::enumerate(partial))
        part = b.fma(b.asFloats(codeSum(place, token + static_cast<int64_t>(t), 0, run, 1)), shared.rest, part);
      return success();
    };
    if (failed(body.loop(count / run, *partial,
                         [&](Value i, MutableArrayRef<Value> partial) { return addRun(i, run, partial); })))
      return failure();
    if (count % run && failed(addRun(b.i64(count / run), count % run, *partial)))
      return failure();
    for (auto [t, part] : llvm::enumerate(*partial))
      sums[token + t] = scaled(sums[token + t], part, first, token + static_cast<int64_t>(t));
  }
  return success();
}

/// The sums of a run for up to 16 tokens, to `results`: rows of 16 sums.
void DotTile::multiplyTiles(Value xs, Value weights, int64_t columns, int64_t tokens, Value results) {
  const MatrixUnit unit(b, units.matrix(), *products->matrixDot());
  const int64_t step = products->columns(), tileColumns = rowBytes / x.codeBytes();
  // Registers have one shape in a whole function: a single token has the shape of few, each of them that token.
  const int64_t rows = tokens == 1 ? MatrixUnit::leastRows : tokens, stride = tokens == 1 ? 0 : body.stride();
  Value sum = unit.zero(rows);
  for (int64_t c = 0; c < columns; c += tileColumns) {
    const int64_t dwords = llvm::divideCeil(std::min(tileColumns, columns - c), step);
    Value x = unit.load(b.at(xs, c * this->x.codeBytes()), stride, rows, 4 * dwords);
    Value w = unit.load(b.at(weights, c / step * rowBytes), rowBytes, dwords, rowBytes);
    sum = unit.multiply(sum, x, w, rows, 4 * dwords);
  }
  unit.store(sum, results, rows);
}
