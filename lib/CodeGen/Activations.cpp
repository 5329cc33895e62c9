//===- Activations.cpp - activations as kernels read them -------------------------------------------------------===//

#include "Activations.h"
#include "Units.h"
#include "quantc/Format/Layout.h"
#include <utility>

using namespace quantc;

/// The byte at which the cells of a field begin, one after the other and whole; nothing where they do not lie so.
static std::optional<int64_t> startOf(const BlockLayout &layout, const Field &field) {
  std::optional<int64_t> start;
  for (const BitMove &move : layout.moves()) {
    if (move.field != &field)
      continue;
    if (!start)
      start = move.address - move.cell * field.width;
    if (move.transform || move.address != *start + move.cell * field.width + move.low)
      return {};
  }
  return start && *start % 8 == 0 ? std::optional(*start / 8) : std::nullopt;
}

/// bf16 codes, the same as f32, and sums of them, if any.
static std::optional<ActivationLayout> halves(const Format &format, const BlockLayout &layout) {
  const Field *code = nullptr, *wide = nullptr, *sums = nullptr;
  for (const Field &field : format.fields()) {
    if (field.extra && field.kind != FieldKind::F32)
      return {};
    const Field *&kind = !field.extra ? code : field.columns == 1 ? wide : sums;
    if (std::exchange(kind, &field))
      return {};
  }
  if (!code || !wide || code->kind != FieldKind::BF16 || code->columns != 1 || (sums && sums->columns <= 0) ||
      !readsName(*format.value(), code->name) || format.value()->kind != ExprKind::Name)
    return {};
  const auto codesAt = startOf(layout, *code), wideAt = startOf(layout, *wide);
  const auto sumsAt = startOf(layout, sums ? *sums : *wide);
  if (!codesAt || !wideAt || !sumsAt)
    return {};
  return ActivationLayout{.group = format.block()->columns,
                          .sumRun = sums ? sums->columns : 1,
                          .sumBytes = 4,
                          .codes = *codesAt,
                          .sums = *sumsAt,
                          .scale = {},
                          .wide = wideAt};
}

/// Codes of one byte, one scale, and sums of codes.
static std::optional<ActivationLayout> integers(const std::shared_ptr<const Format> &format,
                                                const BlockLayout &layout) {
  Factoring factoring(format);
  if (factoring.terms().size() != 1)
    return {};
  const DotTerm &term = factoring.terms().front();
  if (term.negative || term.group.size() != 1 || term.code.size() != 1 || term.code[0].expr->kind != ExprKind::Name ||
      term.group[0].expr->kind != ExprKind::Name)
    return {};
  const Field *code = format->field(term.code[0].expr->name), *scale = format->field(term.group[0].expr->name),
              *sums = nullptr;
  for (const Field &field : format->fields())
    if (field.extra)
      sums = &field;
  if (!code || !scale || !sums || code->kind != FieldKind::Signed || code->width != 8 ||
      scale->kind != FieldKind::F32 || scale->columns != format->block()->columns || sums->kind != FieldKind::Signed ||
      (sums->width != 16 && sums->width != 32) || sums->columns <= 0)
    return {};
  auto codesAt = startOf(layout, *code), scaleAt = startOf(layout, *scale), sumsAt = startOf(layout, *sums);
  if (!codesAt || !scaleAt || !sumsAt)
    return {};
  return ActivationLayout{.group = format->block()->columns,
                          .sumRun = sums->columns,
                          .sumBytes = sums->width / 8,
                          .codes = *codesAt,
                          .sums = *sumsAt,
                          .scale = scaleAt,
                          .wide = {}};
}

int64_t ActivationLayout::runOf(const Factoring &weight) const {
  int64_t run = group;
  for (const DotTerm &term : weight.terms())
    if (term.kind != CodeKind::None || sumBytes != 2) // narrow sums are multiplied apart
      run = std::gcd(run, term.run());
  return run;
}

Result<ActivationLayout> ActivationLayout::of(qf::BlockType block) {
  std::shared_ptr<const Format> format = block.getFormat();
  if (format->block() && format->block()->rows == 1) {
    QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(*format));
    std::optional<ActivationLayout> found = halves(*format, layout);
    if (!found)
      found = integers(format, layout);
    if (found) {
      found->bytes = block.getBytes();
      return *found;
    }
  }
  return fail("'{}' holds no activations: expected one signed byte for each column, one f32 scale for each block of "
              "a row, and integer sums of codes, of 16 or 32 bits; or bf16, the same as f32, and f32 sums, if any",
              format->spec());
}

bool quantc::multipliesAsFloats(mlir::Operation *op, mlir::Type activation) {
  if (activation.isF32())
    return true;
  const TargetUnits units(op);
  auto block = mlir::dyn_cast<qf::BlockType>(activation);
  if (!block || units.halves() || units.hasMatrix("halves"))
    return false;
  Result<ActivationLayout> layout = ActivationLayout::of(block);
  return layout && layout->isHalf();
}
