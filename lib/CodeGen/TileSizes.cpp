//===- TileSizes.cpp - how large tasks and register tiles are ---------------------------------------------------===//

#include "quantc/CodeGen/TileSizes.h"
#include "Activations.h"
#include "Units.h"
#include "mlir/IR/Builders.h"
#include "quantc/CodeGen/Choices.h"
#include "quantc/CodeGen/Storage.h"
#include "quantc/Format/KernelStorage.h"
#include <numeric>

using namespace mlir;
using namespace quantc;

void TileSizes::record(Operation *root) const {
  root->setAttr(attribute,
                Builder(root->getContext()).getDenseI64ArrayAttr({taskTokens, taskRows, tokens, rows, restRows}));
}

TileSizes TileSizes::of(Operation *root) {
  ArrayRef<int64_t> s = root->getAttrOfType<DenseI64ArrayAttr>(attribute).asArrayRef();
  return {s[0], s[1], s[2], s[3], s[4]};
}

FailureOr<int64_t> quantc::sumColumns(qf::ContractOp sum) {
  FailureOr<qf::BlockType> w = weightBlock(sum, sum.getW().getType());
  if (failed(w) || !isQuantized(sum.getX().getType()))
    return failed(w) ? FailureOr<int64_t>() : w->getColumns();
  FailureOr<qf::BlockType> x = activationBlock(sum, sum.getX().getType());
  if (failed(x))
    return failure();
  // Products of several groups at once keep a matrix unit busy.
  constexpr int64_t leastColumns = 128;
  int64_t columns = std::lcm(w->getColumns(), x->getColumns());
  const int64_t all = cast<ShapedType>(sum.getX().getType()).getDimSize(1);
  if (TargetUnits(sum).matrix())
    while (columns < leastColumns && all % (2 * columns) == 0)
      columns *= 2;
  return columns;
}

/// The largest multiple of `unit` that divides `extent` and is at most `limit`: then all tasks are equal. Where N is no
/// multiple of a block, the last task is smaller.
static int64_t divideEvenly(int64_t extent, int64_t unit, int64_t limit) {
  if (extent % unit)
    return std::min<int64_t>(limit, llvm::alignTo(extent, unit));
  for (int64_t size = limit; size > unit; size -= unit)
    if (extent % size == 0)
      return size;
  return unit;
}

/// Why no matrix unit takes a product; "" where one does: the target has one, and sums are long enough for it. What it
/// costs to get them back does not depend on their length.
static std::string whyNoMatrixUnit(qf::ContractOp product) {
  constexpr int64_t leastColumns = 32;
  const TargetUnits units(product);
  if (!units.matrix())
    return "the target has none";
  if (!isQuantized(product.getX().getType()))
    return "activations are f32";
  FailureOr<qf::BlockType> w = weightBlock(product, product.getW().getType());
  FailureOr<qf::BlockType> x = activationBlock(product, product.getX().getType());
  if (failed(w) || failed(x) || !w->getKernelStorage())
    return "weights are in no kernel storage";
  Result<ActivationLayout> layout = ActivationLayout::of(*x);
  if (!layout)
    return layout.error().message;
  if (!units.hasMatrix(layout->isHalf() ? "halves" : "bytes"))
    return layout->isHalf() ? "that of the target multiplies no bf16" : "that of the target multiplies no bytes";
  if (layout->isHalf())
    return "";
  const Factoring factoring =
      Factoring(w->getKernelStorage()->format()).withMultipliers(layout->group, layout->sumBytes == 2);
  for (const DotTerm &term : factoring.terms())
    if (!term.multipliers.empty() && !term.hasWordProducts())
      return "codes times their fine scales have more than 16 bits";
  if (const int64_t columns = layout->runOf(factoring); columns < leastColumns)
    return fmt::format("sums of {} columns are shorter than {}", columns, leastColumns);
  return "";
}

/// Blocks of rows of a register tile: two where a register holds one, so that a load of an activation serves two
/// products. Codes have too many sums for that.
static int64_t rowBlocks(qf::ContractOp product, qf::TargetAttr target) {
  Type x = cast<ShapedType>(product.getX().getType()).getElementType();
  if (isQuantized(product.getX().getType())) {
    FailureOr<qf::BlockType> block = activationBlock(product, product.getX().getType());
    if (failed(block))
      return 1;
    x = *block;
  }
  return target.getLanes() >= target.getRows() && multipliesAsFloats(product, x) ? 2 : 1;
}

/// Says what was chosen for a matrix product, and by what.
static void explain(Operation *root, const TileSizes &sizes, StringRef from) {
  Choices choices(root);
  choices.tile({sizes.taskTokens, sizes.taskRows, sizes.tokens, sizes.rows, sizes.restRows});
  const std::string rest = sizes.restRows ? fmt::format(", the last of {} rows", sizes.restRows) : "";
  choices.because(fmt::format("tasks of {} tokens and {} rows, register tiles of {} tokens and {} rows{}: {}",
                              sizes.taskTokens, sizes.taskRows, sizes.tokens, sizes.rows, rest, from.str()));
}

FailureOr<TileSizes> quantc::chooseTileSizes(TilingInterface root, ArrayRef<int64_t> overrides) {
  if (auto given = root->getAttrOfType<DenseI64ArrayAttr>(TileSizes::attribute)) {
    if (given.size() == 5 && llvm::all_of(given.asArrayRef(), [](int64_t s) { return s >= 0; })) {
      explain(root, TileSizes::of(root), "as the schedule says");
      return TileSizes::of(root);
    }
    root->emitOpError() << "'" << TileSizes::attribute
                        << "' takes five sizes: tokens and rows of a task, tokens and rows "
                        << "of a register tile, rows left over";
    return failure();
  }
  auto target = qf::TargetAttr::of(root);
  if (!target) {
    root->emitOpError("needs the attribute 'qf.target' of its module to choose tile sizes");
    return failure();
  }
  ArrayRef<int64_t> sizes = overrides.empty() ? target.getTiles() : overrides;
  if (sizes.size() != 3 || llvm::any_of(sizes, [](int64_t s) { return s < 1; })) {
    root->emitOpError("three positive tile sizes are needed: tokens and rows of a task, tokens of a register tile");
    return failure();
  }
  auto type = dyn_cast<RankedTensorType>(root->getResult(0).getType());
  if (!type || type.getRank() != 2 || type.isDynamicDim(1)) {
    root->emitOpError("is not tiled: its result is no matrix with a static number of columns");
    return failure();
  }

  // Rows of activations are quantized and decoded token by token, a block at a time.
  constexpr int64_t rowTask = 16, plainWidth = 64;
  int64_t extent = type.getDimSize(1);
  auto perRow = [&](int64_t width) { return TileSizes{rowTask, 0, 1, width, extent % width}; };
  if (isa<qf::EncodeOp, qf::DecodeOp>(root)) {
    auto decode = dyn_cast<qf::DecodeOp>(*root);
    FailureOr<qf::BlockType> block = decode ? weightBlock(root, decode.getW().getType()) : activationBlock(root, type);
    if (failed(block))
      return failure();
    return perRow(block->getColumns());
  }
  SmallVector<Operation *> behind{root};
  bool contracts = false;
  int64_t tokens = sizes[2], blocks = 2;
  std::string from = overrides.empty() ? "those of target " + target.getName().str() : "as asked for";
  while (!behind.empty()) {
    Operation *op = behind.pop_back_val();
    if (auto contract = dyn_cast<qf::ContractOp>(op)) {
      contracts = true;
      blocks = std::min(blocks, rowBlocks(contract, target));
      if (const std::string why = whyNoMatrixUnit(contract); !why.empty())
        Choices(root).because("no matrix unit: " + why);
      else if (overrides.empty())
        tokens = TargetUnits(root).matrix().getAs<IntegerAttr>("tokens").getInt();
    }
    for (Value operand : op->getOperands())
      if (auto producer = operand.getDefiningOp<TilingInterface>())
        behind.push_back(producer);
  }
  if (!contracts)
    return perRow(plainWidth);
  const int64_t rows = blocks * target.getRows(), most = llvm::alignTo(sizes[1], rows);
  const TileSizes chosen{sizes[0], divideEvenly(extent, rows, most), tokens, rows, extent % rows};
  if (chosen.taskRows != most)
    from += fmt::format(", but equal tasks of {} rows", extent);
  explain(root, chosen, from);
  return chosen;
}
