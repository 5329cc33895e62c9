//===- RowNumbers.cpp - what the rows of a tile are multiplied with -----------------------------------------------===//
//
// The scales, integers and minima of the normal form (DotTile.h) as vectors with a number for each row.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "DotTile.h"

using namespace mlir;
using namespace quantc;

/// The product of the chosen group factors of a term, with the term's sign.
FailureOr<Value> DotTile::product(const DotTerm &term, FactorProducts::Filter chosen) {
  FailureOr<Value> product = numbers.floats(term.group, chosen);
  if (failed(product) || !term.negative)
    return product;
  return arith::NegFOp::create(b, *product).getResult();
}

/// Whether the sums of a term's runs are multiplied: codes of integers may be, or nothing, and on a matrix unit always
/// are.
bool DotTile::hasRunFactor(size_t term) const {
  return !inIntegers || (!hasMatrixUnit() && (codes[term]->multipliesSums() || codes[term]->scale != 1));
}

FailureOr<DotTile::RunFactors> DotTile::factors(BlockReader &block, unsigned column) {
  RunFactors result;
  numbers.moveTo(block, column);
  for (auto [term, code] : llvm::enumerate(codes)) {
    if (!hasRunFactor(term)) {
      result.scales.push_back({});
      continue;
    }
    FailureOr<Value> scale =
        inIntegers ? numbers.integers(code->term->multipliers) : product(*code->term, FactorProducts::any);
    if (failed(scale))
      return failure();
    if (code->scale != 1)
      scale = b.mul(*scale, b.splat(cast<VectorType>((*scale).getType()), code->scale));
    result.scales.push_back(*scale);
  }
  for (const DotTerm &term : factoring.terms()) {
    if (term.kind != CodeKind::None || hasNarrowSums())
      continue;
    FailureOr<Value> scale = product(term, FactorProducts::any);
    if (failed(scale))
      return failure();
    result.rest = result.rest ? b.add(result.rest, *scale) : *scale;
  }
  return result;
}

/// The factors of all runs of a group: at once, because the head of a block is read once.
FailureOr<DotTile::StoredFactors> DotTile::storeFactors(TileBody &blocks, int64_t first, int64_t count, Value memory) {
  const int64_t vector = 4 * b.lanes;
  StoredFactors stored = storedAt(memory);
  for (int64_t column = 0; column < count && stored.count; column += run) {
    const int64_t at = first + column;
    FailureOr<RunFactors> shared = factors(blocks.block(at), at % storage.columns());
    if (failed(shared))
      return failure();
    if (stored.hasRest)
      shared->scales.push_back(shared->rest);
    llvm::erase(shared->scales, Value());
    for (auto [v, value] : llvm::enumerate(shared->scales))
      b.store(value, b.at(memory, (column / run * stored.count + v) * vector), vector);
  }
  return stored;
}

/// What is stored of factors from `memory` on.
DotTile::StoredFactors DotTile::storedAt(Value memory) const {
  const bool hasRest = !hasNarrowSums() &&
                       llvm::any_of(factoring.terms(), [](const DotTerm &term) { return term.kind == CodeKind::None; });
  int64_t factors = 0;
  for (size_t term = 0; term < codes.size(); term++)
    factors += hasRunFactor(term);
  return {memory, factors + hasRest, hasRest};
}

/// Vectors of the factors of `count` columns.
int64_t DotTile::factorVectors(int64_t count) const {
  return llvm::divideCeil(count, run) * storedAt({}).count;
}

/// Those of the run `offset` runs after `run`, which is an address within the memory of `stored`.
DotTile::RunFactors DotTile::loadFactors(const StoredFactors &stored, Value run, int64_t offset) {
  const int64_t vector = 4 * b.lanes;
  RunFactors shared;
  int64_t v = offset * stored.count;
  auto load = [&](VectorType type) { return b.load(type, b.at(run, v++ * vector), vector); };
  for (size_t term = 0; term < codes.size(); term++)
    shared.scales.push_back(hasRunFactor(term) ? load(inIntegers ? b.i32s : b.f32s) : Value());
  if (stored.hasRest)
    shared.rest = load(b.f32s);
  return shared;
}

/// G of a term.
FailureOr<Value> DotTile::groupScale(TileBody &blocks, size_t term, int64_t first) {
  numbers.moveTo(blocks.block(first), first % storage.columns());
  return product(*codes[term]->term, FactorProducts::any);
}

/// The integers of two runs of sums as pairs of 16 bits.
FailureOr<Value> DotTile::restPair(TileBody &blocks, const DotTerm &term, int64_t first) {
  Value pair[2];
  for (int64_t j : {0, 1}) {
    // Where columns end, sums of codes are zeros: any column does.
    const int64_t column = std::min(first + j * x.sumRun, body.columns() - 1);
    numbers.moveTo(blocks.block(column), column % storage.columns());
    FailureOr<Value> number = numbers.integers(term.group, [&](const Factor &f) { return !f.isConstantOver(x.group); });
    if (failed(number))
      return failure();
    pair[j] = *number;
  }
  return b.wordPair(pair[0], pair[1]);
}

/// What is constant over a group of a term without code.
FailureOr<Value> DotTile::restScale(TileBody &blocks, const DotTerm &term, int64_t first) {
  numbers.moveTo(blocks.block(first), first % storage.columns());
  return product(term, [&](const Factor &f) { return f.isConstantOver(x.group); });
}
