//===- Codes.cpp - the codes of weights as instructions take them -----------------------------------------------===//

#include "Codes.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <utility>

using namespace quantc;

/// Whether integers of this range are unsigned bytes plus an offset that is a byte as well.
static bool isByteRange(Interval range) {
  const int64_t offset = std::min<int64_t>(range.low, 0);
  return offset >= -128 && range.high - offset <= 255;
}

/// The code without multipliers.
static ByteCode ownCode(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage,
                        TermCode::Multiplied multiplied) {
  ByteCode code{{&term}, {}};
  code.multiplied = multiplied;
  std::optional<FieldFunction> function = factoring.fieldFunction(term.code);
  const StorageItem *item = function ? storage.find(function->field->name) : nullptr;
  // What multiplies a sum multiplies the offset too, but where multipliers come between.
  const bool isAffine = function && function->affine && function->affine->scale != 0 &&
                        (code.multipliesCodes() || function->affine->offset % function->affine->scale == 0);
  if (item && item->order == CellOrder::Quads && isAffine) {
    const unsigned width = function->field->width;
    code.item = item;
    code.scale = function->affine->scale;
    code.offset = function->affine->offset;
    code.largest = (1u << width) - 1;
    if (function->field->kind == FieldKind::Signed) {
      code.flip = 1u << (width - 1);
      code.offset -= code.scale * code.flip;
    }
    return code;
  }
  code.offset = std::min<int64_t>(term.range.low, 0);
  code.largest = static_cast<unsigned>(term.range.high - code.offset);
  if (item && item->order == CellOrder::Quads && function->values.size() <= 16) {
    code.item = item;
    for (int64_t value : function->values)
      code.table.push_back(static_cast<uint8_t>(value - code.offset));
  }
  return code;
}

ByteCode ByteCode::of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage,
                      Multiplied multiplied) {
  ByteCode code = ownCode(factoring, term, storage, isByteRange(term.product) ? multiplied : Multiplied::Sums);
  if (!code.multipliesCodes()) {
    code.offset /= code.scale;
    return code;
  }
  code.ownScale = std::exchange(code.scale, 1);
  code.ownOffset = std::exchange(code.offset, std::min<int64_t>(term.product.low, 0));
  code.largest = static_cast<unsigned>(term.product.high - code.offset);
  return code;
}

HalfCode HalfCode::of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage) {
  HalfCode code{{&term}, {}};
  if (std::optional<NumberFunction> function = factoring.numberFunction(term.code)) {
    code.item = storage.find(function->field->name);
    for (float value : function->values)
      code.table.push_back(toBF16(value));
  } else if (const Field *field = factoring.halfField(term)) {
    code.item = storage.find(field->name);
  }
  return code;
}
