//===- AheadOfTokens.cpp - what all tokens share, evaluated once --------------------------------------------------===//
//
// Tiles of tokens take the same blocks of weights one after the other. Their numbers for each row (scales, minima) are
// unpacked and stored once, for all columns, before the loop over these tiles, where it has room on the stack.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "DotTile.h"
#include "LoopSlice.h"

using namespace mlir;
using namespace quantc;

/// Bytes of the stack that one kernel's tiles may take for it.
static constexpr int64_t mostBytes = 64 << 10;

/// Vectors of a whole group.
int64_t DotTile::groupVectors() const {
  int64_t rest = 0;
  for (const DotTerm &term : factoring.terms())
    rest += term.kind == CodeKind::None && hasNarrowSums();
  return factorVectors(x.group) + rest * restVectors();
}

DotTile::StoredFactors DotTile::storedAt(Value memory) const {
  StoredFactors stored{memory, factorVectors(run)};
  stored.hasRest = stored.count > static_cast<int64_t>(codes.size());
  return stored;
}

LogicalResult DotTile::storeGroups(TileBody &blocks, Value memory) {
  const int64_t vector = 4 * b.lanes;
  for (int64_t first = 0; first < body.columns(); first += x.group, memory = b.at(memory, groupVectors() * vector)) {
    if (failed(storeFactors(blocks, first, std::min(x.group, body.columns() - first), memory)))
      return failure();
    if (!hasNarrowSums())
      continue;
    Value rest = b.at(memory, factorVectors(x.group) * vector);
    for (const DotTerm &term : factoring.terms()) {
      if (term.kind != CodeKind::None)
        continue;
      for (int64_t v = 0; v < restVectors(); v++) {
        FailureOr<Value> number =
            v + 1 < restVectors() ? restPair(blocks, term, first + 2 * v * x.sumRun) : restScale(blocks, term, first);
        if (failed(number))
          return failure();
        b.store(*number, b.at(rest, v * vector), vector);
      }
      rest = b.at(rest, restVectors() * vector);
    }
  }
  return success();
}

/// Sets `ahead` where there is a loop over tokens around the one over columns, and something to gain.
LogicalResult DotTile::storeAhead() {
  auto columns = dyn_cast<scf::ForOp>(op->getParentOp());
  auto tokens = columns ? dyn_cast<scf::ForOp>(columns->getParentOp()) : scf::ForOp();
  if (body.tokens() == 1 || hasMatrixUnit() || x.isHalf() || !tokens ||
      !llvm::is_contained(columns.getRegionIterArgs(), op.getAcc()) || !passes(0, std::min(x.group, body.columns())))
    return success();
  const auto low = getConstantIntValue(columns.getLowerBound()), high = getConstantIntValue(columns.getUpperBound()),
             step = getConstantIntValue(columns.getStep());
  const int64_t bytes = llvm::divideCeil(body.columns(), x.group) * groupVectors() * 4 * b.lanes;
  if (!low || !high || !step || llvm::divideCeil(*high - *low, *step) * bytes > mostBytes)
    return success();
  const std::optional<LoopSlice> blocksOf = LoopSlice::of(op.getW(), tokens, columns.getInductionVar());
  if (!blocksOf)
    return success();
  Value memory = body.scratch(llvm::divideCeil(*high - *low, *step) * bytes / (4 * b.lanes));
  auto at = [&](Value column) {
    Value i = arith::DivUIOp::create(b, arith::SubIOp::create(b, column, arith::ConstantIndexOp::create(b, *low)),
                                     arith::ConstantIndexOp::create(b, *step));
    return b.at(memory, arith::IndexCastOp::create(b, b.getI64Type(), i), bytes);
  };
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(tokens);
    auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
    Value isNeeded =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, tokens.getLowerBound(), tokens.getUpperBound());
    b.setInsertionPointToStart(scf::IfOp::create(b, isNeeded, /*withElseRegion=*/false).thenBlock());
    auto loop = scf::ForOp::create(b, index(*low), index(*high), index(*step));
    b.setInsertionPointToStart(loop.getBody());
    TileBody blocks = body.withBlocks(blocksOf->clone(b, loop.getInductionVar()));
    if (failed(storeGroups(blocks, at(loop.getInductionVar()))))
      return failure();
  }
  ahead = at(columns.getInductionVar());
  return success();
}
