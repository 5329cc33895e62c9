//===- AheadOfTokens.cpp - what all tokens share, evaluated once --------------------------------------------------===//
//
// Tiles of tokens take the same blocks of weights one after the other. Their numbers for each row (scales, minima) are
// unpacked and stored once, for all columns, before the loop over these tiles, where it has room on the stack; so are
// codes for a matrix unit.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "DotTile.h"
#include "LoopSlice.h"

using namespace mlir;
using namespace quantc;

/// Bytes of the stack that one kernel's tiles may take for it, without codes and with them: those of 32,768 columns.
static constexpr int64_t mostBytes = 64 << 10, mostBytesOfCodes = 1100 << 10;

DotTile::GroupPlan DotTile::groupPlan() const {
  int64_t rest = 0;
  for (const DotTerm &term : factoring.terms())
    rest += term.kind == CodeKind::None && hasNarrowSums();
  GroupPlan plan;
  plan.rest = factorVectors(x.group);
  plan.scales = plan.rest + rest * restVectors();
  plan.codes = plan.scales + (inIntegers ? static_cast<int64_t>(codes.size()) : 0);
  plan.vectors = plan.codes + (hasMatrixUnit() ? codeVectors() : 0);
  return plan;
}

/// Where what is stored of the group at this column of the tile lies, those of all its groups from `memory` on.
Value DotTile::storedGroup(Value memory, int64_t first) const {
  return b.at(memory, first / x.group * groupPlan().vectors * 4 * b.lanes);
}

LogicalResult DotTile::storeGroup(TileBody &blocks, int64_t first, Value memory) {
  const int64_t vector = 4 * b.lanes, count = std::min(x.group, body.columns() - first);
  const GroupPlan plan = groupPlan();
  if (failed(storeFactors(blocks, first, count, memory)))
    return failure();
  Value rest = b.at(memory, plan.rest * vector);
  for (const DotTerm &term : factoring.terms()) {
    if (term.kind != CodeKind::None || !hasNarrowSums())
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
  for (size_t term = 0; inIntegers && term < codes.size(); term++) {
    FailureOr<Value> scale = groupScale(blocks, term, first);
    if (failed(scale))
      return failure();
    b.store(*scale, b.at(memory, (plan.scales + static_cast<int64_t>(term)) * vector), vector);
  }
  return hasMatrixUnit() ? storeCodes(blocks, first, count, b.at(memory, plan.codes * vector)) : success();
}

LogicalResult DotTile::storeGroups(TileBody &blocks, Value memory) {
  for (int64_t first = 0; first < body.columns(); first += x.group)
    if (failed(storeGroup(blocks, first, storedGroup(memory, first))))
      return failure();
  return success();
}

/// Sets `ahead` where there is a loop over tokens around the one over columns, and something to gain.
LogicalResult DotTile::storeAhead() {
  auto columns = dyn_cast<scf::ForOp>(op->getParentOp());
  auto tokens = columns ? dyn_cast<scf::ForOp>(columns->getParentOp()) : scf::ForOp();
  const bool hasGain = hasMatrixUnit() ? body.tokens() % MatrixUnit::tokens == 0
                                       : !x.isHalf() && passes(0, std::min(x.group, body.columns()));
  if (body.tokens() == 1 || !hasGain || !tokens || !llvm::is_contained(columns.getRegionIterArgs(), op.getAcc()))
    return success();
  const auto low = getConstantIntValue(columns.getLowerBound()), high = getConstantIntValue(columns.getUpperBound()),
             step = getConstantIntValue(columns.getStep());
  const int64_t bytes =
                    static_cast<int64_t>(llvm::divideCeil(body.columns(), x.group)) * groupPlan().vectors * 4 * b.lanes,
                most = hasMatrixUnit() ? mostBytesOfCodes : mostBytes;
  if (!low || !high || !step || static_cast<int64_t>(llvm::divideCeil(*high - *low, *step)) * bytes > most)
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
