//===- Schedule.cpp - how blocks and warps share a product ------------------------------------------------------===//

#include "Schedule.h"
#include "Fragments.h"
#include "WarpGroup.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Format/Factoring.h"
#include <fmt/format.h>
#include <numeric>

using namespace mlir;
using namespace quantc;

void Schedule::record(func::FuncOp function) const {
  function->setAttr(attribute, DenseI64ArrayAttr::get(function.getContext(), {blockTokens, blockRows, warpTokens,
                                                                              warpRows, columns, parts, stages}));
}

std::optional<Schedule> Schedule::of(Operation *function) {
  auto sizes = function->getAttrOfType<DenseI64ArrayAttr>(attribute);
  if (!sizes || sizes.size() != 7)
    return {};
  ArrayRef<int64_t> s = sizes.asArrayRef();
  return Schedule{s[0], s[1], s[2], s[3], s[4], s[5], s[6]};
}

namespace {
/// What the contractions of a kernel have in common.
struct Problem {
  int64_t M = 0, N = 0, K = 0;
  int64_t columns = FragmentStorage::leastColumns, whole = 1; ///< of the smallest tile; of whole units
  int64_t codeBits = 0;                                       ///< of a weight
  int64_t run = 0;                                            ///< columns with one scale, the fewest; 0: all
  bool dynamic = false;                                       ///< the number of tokens
  int64_t most = 0;                                           ///< tokens, where more than stream; 0: any number
  bool isPadded = false;                                      ///< columns, which rows of x lack in memory
};
} // namespace

static FailureOr<Problem> problemOf(ArrayRef<qf::ContractOp> sums) {
  Problem p;
  for (qf::ContractOp sum : sums) {
    auto x = cast<RankedTensorType>(sum.getX().getType()), w = cast<RankedTensorType>(sum.getW().getType());
    if (!x.getElementType().isF16() && !x.getElementType().isBF16())
      return sum.emitOpError("needs activations of f16 or bf16 on a GPU");
    auto format = dyn_cast<qf::ElemType>(w.getElementType());
    if (!format || !w.hasStaticShape() || x.isDynamicDim(1))
      return sum.emitOpError("needs weights of '!qf.elem' with a static shape");
    FailureOr<FragmentStorage> fragments = fragmentsOf(sum, format);
    if (failed(fragments))
      return failure();
    if (fragments->paddedColumns(w.getDimSize(1)) != w.getDimSize(1))
      return sum.emitOpError() << "has " << w.getDimSize(1) << " columns, no whole units of " << fragments->columns()
                               << ": run qf-pad-columns before";
    if (p.N && (p.N != w.getDimSize(0) || p.K != w.getDimSize(1) || p.M != x.getDimSize(0)))
      return sum.emitOpError("differs in its shape from another contraction of the kernel");
    p.M = x.getDimSize(0), p.N = w.getDimSize(0), p.K = w.getDimSize(1);
    if (auto argument = dyn_cast<BlockArgument>(sum.getX()))
      p.isPadded |=
          static_cast<bool>(sum->getParentOfType<func::FuncOp>().getArgAttr(argument.getArgNumber(), pitchInMemory));
    p.columns = std::lcm(p.columns, static_cast<int64_t>(fragments->tileColumns()));
    p.whole = std::lcm(p.whole, static_cast<int64_t>(fragments->columns()));
    const Factoring factoring(fragments->fields().format());
    for (const DotTerm &term : factoring.terms())
      if (const int64_t run = term.run())
        p.run = p.run ? std::min(p.run, run) : run;
    for (const FragmentPlane &plane : fragments->planes())
      p.codeBits += plane.inLanes ? plane.width : 0;
  }
  return p;
}

int64_t quantc::rowsOfBlock(int64_t rows, int64_t most) {
  while (most > FragmentStorage::rows && rows % most)
    most /= 2;
  return most;
}

/// Columns of the longest step, up to `most`, of which `extent` has whole ones, as units of storage have.
static int64_t longStep(const Problem &p, int64_t extent, int64_t most = 128) {
  int64_t columns = p.columns;
  while (2 * columns <= most && extent % (2 * columns) == 0 && (p.whole % (2 * columns) == 0 || columns % p.whole == 0))
    columns *= 2;
  return columns;
}

/// The warps of a block share the sum, in steps as long as can be where each has one; nothing where the activations do
/// not fit shared memory as a whole.
static std::optional<Schedule> streamed(const Problem &p, qf::GPUTargetAttr target) {
  const bool isTile = p.dynamic || p.M > target.getStream()[0];
  const int64_t tokens = isTile ? target.getStream()[0] : p.M;
  const int64_t warps = target.getStream()[1];
  const int64_t columns = longStep(p, p.K, std::min<int64_t>(128, std::max(p.whole, p.K / warps)));
  const int64_t parts = std::min(warps, p.K / std::lcm(p.whole, columns));
  if (tokens * ((p.K + 8) * 2 + parts * 16 * 4) + 256 > target.getShared())
    return {};
  return Schedule{isTile ? tokens : 0, 16, 0, 16, columns, parts, 0};
}

/// Sizes of tiles, the largest: of blocks, of their warps.
struct TileSizes {
  int64_t tokens, rows, warpTokens, warpRows, stages;
};

/// Tiles of tokens and rows, those of the columns on their way through shared memory; nothing, with the reason, where
/// that is not possible.
static std::optional<Schedule> tiled(const Problem &p, const TileSizes &sizes, qf::GPUTargetAttr target,
                                     std::string &why) {
  const int64_t rows = rowsOfBlock(p.N, sizes.rows), steps = p.K / p.columns;
  if (steps < 2) {
    why = fmt::format("has a sum of one tile of {} columns, too short to be staged", p.columns);
    return {};
  }
  const int64_t known = p.dynamic ? p.most : p.M;
  const int64_t most = known ? std::min<int64_t>(sizes.tokens, llvm::PowerOf2Ceil(known)) : sizes.tokens;
  for (int64_t tokens = std::max<int64_t>(most, 8); tokens >= 8; tokens /= 2)
    for (int64_t stages = std::min(sizes.stages, steps); stages >= 2; stages--) {
      const int64_t bytes = stages * p.columns * (2 * tokens + rows * p.codeBits / 8);
      if (bytes <= target.getShared())
        return Schedule{tokens, rows,  std::min(tokens, sizes.warpTokens), std::min(rows, sizes.warpRows), p.columns,
                        0,      stages};
    }
  why = fmt::format("does not fit the {} bytes of shared memory of {}", target.getShared(), target.getName().str());
  return {};
}

/// By single warps, or by groups of four where the target has them and there are whole groups of rows.
static std::optional<Schedule> tiled(func::FuncOp function, const Problem &p, qf::GPUTargetAttr target, bool warpGroups,
                                     std::string &why) {
  auto groups = function->getParentOfType<ModuleOp>()->getAttrOfType<DenseI64ArrayAttr>(warpGroupsOfTarget);
  // ptxas adds a run to the total under the products of the next one, in other registers: of many runs it spills some.
  // So tiles of super-blocks (256 columns) are no such tiles, and others are long where they are one run.
  // Panels of activations take copies of 16 bytes.
  if (warpGroups && groups && p.N % WarpGroup::rows == 0 && p.whole <= 128 && !p.isPadded) {
    const int64_t tokens = groups[0], rows = groups[1];
    Problem longer = p; // a step ends with a barrier, and factors for all sums
    longer.columns = p.run && p.run < 128 ? p.columns : longStep(p, p.K / 2);
    if (std::optional<Schedule> schedule =
            tiled(longer, {tokens, rows, tokens, FragmentStorage::rows, groups[2]}, target, why)) {
      function->setAttr(WarpGroup::attribute, UnitAttr::get(function.getContext()));
      return schedule;
    }
  }
  ArrayRef<int64_t> t = target.getTiled();
  return tiled(p, {t[0], t[1], t[2], t[3], target.getStages()}, target, why);
}

FailureOr<Schedule> quantc::chooseSchedule(func::FuncOp function, qf::GPUTargetAttr target, bool warpGroups) {
  SmallVector<qf::ContractOp> sums;
  function.walk([&](qf::ContractOp sum) { sums.push_back(sum); });
  FailureOr<Problem> problem = problemOf(sums);
  if (failed(problem))
    return failure();
  problem->dynamic = ShapedType::isDynamic(problem->M);
  auto most = function->getAttrOfType<IntegerAttr>(mostTokens);
  const int64_t known = !problem->dynamic ? problem->M : most ? most.getInt() : 0;
  const bool few = known && known <= target.getStream()[0];
  if (!few)
    problem->most = known;
  std::string why;
  std::optional<Schedule> schedule =
      few ? streamed(*problem, target) : tiled(function, *problem, target, warpGroups, why);
  if (!schedule && few)
    schedule = tiled(function, *problem, target, warpGroups, why);
  // Blocks of few tokens read the weights again for the next ones: slower than tiles, yet any shape goes.
  if (!schedule)
    schedule = streamed(*problem, target);
  if (!schedule)
    return function.emitOpError(why);
  return *schedule;
}
