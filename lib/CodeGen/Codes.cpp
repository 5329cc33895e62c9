//===- Codes.cpp - the codes of weights as instructions take them -----------------------------------------------===//

#include "Codes.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <utility>

using namespace quantc;

static ByteCode ownCode(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage) {
  ByteCode code{{&term}, {}};
  std::optional<FieldFunction> function = factoring.fieldFunction(term.code);
  const StorageItem *item = function ? storage.find(function->field->name) : nullptr;
  // What multiplies a sum multiplies the offset too, but where multipliers come between.
  const bool isAffine = function && function->affine && function->affine->scale != 0 &&
                        (!term.multipliers.empty() || function->affine->offset % function->affine->scale == 0);
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

ByteCode ByteCode::of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage, bool ahead) {
  ByteCode code = ownCode(factoring, term, storage);
  if (term.multipliers.empty()) {
    code.offset /= code.scale;
    return code;
  }
  code.ownScale = std::exchange(code.scale, 1);
  code.ownOffset = std::exchange(code.offset, ahead ? std::min<int64_t>(term.product.low, 0) : 0);
  if (ahead)
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
