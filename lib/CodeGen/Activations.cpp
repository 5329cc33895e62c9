//===- Activations.cpp - int8 activations as kernels read them --------------------------------------------------===//

#include "Activations.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Format/Layout.h"

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

Result<ActivationLayout> ActivationLayout::of(qf::BlockType block) {
  std::shared_ptr<const Format> format = block.getFormat();
  auto unsuitable = [&] {
    return fail("'{}' holds no activations: expected one signed byte for each column, one f32 scale for each block of "
                "a row, and "
                "integer sums of codes, of 16 or 32 bits",
                format->spec());
  };
  const auto &shape = format->block();
  Factoring factoring(format);
  if (!shape || shape->rows != 1 || factoring.terms().size() != 1)
    return unsuitable();
  const DotTerm &term = factoring.terms().front();
  if (term.negative || term.group.size() != 1 || term.code.size() != 1 || term.code[0].expr->kind != ExprKind::Name ||
      term.group[0].expr->kind != ExprKind::Name)
    return unsuitable();
  const Field *code = format->field(term.code[0].expr->name), *scale = format->field(term.group[0].expr->name),
              *sums = nullptr;
  for (const Field &field : format->fields())
    if (field.extra)
      sums = &field;
  if (!code || !scale || !sums || code->kind != FieldKind::Signed || code->width != 8 ||
      scale->kind != FieldKind::F32 || scale->columns != shape->columns || sums->kind != FieldKind::Signed ||
      (sums->width != 16 && sums->width != 32) || sums->columns <= 0)
    return unsuitable();
  QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(*format));
  auto codesAt = startOf(layout, *code), scaleAt = startOf(layout, *scale), sumsAt = startOf(layout, *sums);
  if (!codesAt || !scaleAt || !sumsAt)
    return unsuitable();
  return ActivationLayout{shape->columns, sums->columns, sums->width / 8, shape->bytes, *codesAt, *scaleAt, *sumsAt};
}
