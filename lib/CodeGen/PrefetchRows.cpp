//===- PrefetchRows.cpp - one line of each page of the next rows -----------------------------------------------===//
//
// Few tokens wait for memory. What prefetches by itself in a processor follows a stream of weights to the end of its
// page of 4 KB, and finds it again in the next one after some misses. So before the loop over the columns of a block of
// rows, one line of each page of rows that come later is prefetched. More lines, or lines that are nearer, cost more
// than they bring.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "LoopSlice.h"
#include "TileBody.h"

using namespace mlir;
using namespace quantc;

void quantc::prefetchRows(qf::TileDotOp op, LaneBuilder &b, const TileBody &body) {
  constexpr int64_t page = 4096, mostPages = 64, leastAhead = 32 << 10, mostTokens = 4;
  auto columns = dyn_cast<scf::ForOp>(op->getParentOp());
  const int64_t rowBytes = body.rowBytes();
  if (body.tokens() > mostTokens || rowBytes > mostPages * page || !columns ||
      !llvm::is_contained(columns.getRegionIterArgs(), op.getAcc()))
    return;
  const std::optional<LoopSlice> blocks = LoopSlice::of(op.getW(), columns, columns.getInductionVar());
  if (!blocks)
    return;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(columns);
  Value first = qf::AddressOp::create(b, b.pointer, blocks->clone(b, columns.getLowerBound()));
  const auto ahead = static_cast<int64_t>(llvm::alignTo(leastAhead, rowBytes));
  for (int64_t at = 0; at < rowBytes; at += page)
    LLVM::Prefetch::create(b, b.at(first, ahead + at), /*rw=*/0, /*hint=*/3, /*cache=*/1);
}
