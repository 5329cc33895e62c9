//===- FastCodes.cpp - codes of weights as operands of matrix instructions ----------------------------------------===//
//
// Integers that are scale · code + offset: bits of a code, put under the mantissa of a constant 2^p, are the float 2^p
// + code · 2^shift: one lop3 for both numbers of a pair, and one addition or multiply-add, exact, takes the constant
// away. Other functions of a code of 4 bits: the two bytes of 16 numbers are looked up in registers by byte
// permutations. Which way is taken follows from the widths of planes and the kind of code, never from a format.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "FastCodes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "quantc/Format/Arithmetic.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <fmt/format.h>

using namespace mlir;
using namespace quantc;

Value quantc::asOperand(ImplicitLocOpBuilder &b, Value pair) {
  if (getElementTypeOrSelf(pair.getType()).isF16())
    return pair;
  auto word = VectorType::get({1}, b.getI32Type());
  return vector::ExtractOp::create(b, vector::BitCastOp::create(b, word, pair), 0);
}

Value FastCodes::integer(uint32_t i) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(i)));
}

Value FastCodes::pairOf(float number) {
  auto type = VectorType::get({2}, element);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, b.getFloatAttr(element, number)));
}

Fragment FastCodes::constant(float number) {
  Value pair = asOperand(b, pairOf(number));
  return {pair, pair, pair, pair};
}

Fragment FastCodes::rounded(Value numbers) {
  Value narrow = arith::TruncFOp::create(b, VectorType::get({8}, element), numbers);
  Fragment fragment;
  for (int64_t slot = 0; slot < 4; slot++)
    fragment[slot] = asOperand(b, vector::ExtractStridedSliceOp::create(b, narrow, ArrayRef<int64_t>{2 * slot},
                                                                        ArrayRef<int64_t>{2}, ArrayRef<int64_t>{1}));
  return fragment;
}

const StorageItem *FastCodes::itemOf(const Field *field) const {
  const StorageItem *item = field ? reader.fragments().fields().find(field->name) : nullptr;
  return item && reader.isInLanes(*item) ? item : nullptr;
}

std::optional<Fragment> FastCodes::emit(const Factoring &factoring, const DotTerm &term,
                                        const std::vector<Factor> &code, unsigned step,
                                        const std::optional<CodeOffsets> &offsets) {
  if (term.kind == CodeKind::Integer)
    if (std::optional<FieldFunction> function = factoring.fieldFunction(code))
      if (const StorageItem *item = itemOf(function->field); item && function->affine)
        return affine(*item, *function->affine, step, offsets);
  if (offsets)
    return {};
  if (const StorageItem *item = onlyItem(code))
    if (auto numbers = numbersOf(*item, code))
      if (std::optional<Fragment> codes = lookedUp(*item, *numbers, step))
        return codes;
  if (code.size() == 1 && code.front().exponent == 0 && code.front().expr->kind == ExprKind::Name)
    if (const StorageItem *item = reader.fragments().fields().find(code.front().expr->name);
        item && itemOf(item->field))
      return stored(*item, step);
  return {};
}

/// The fields that an expression reads.
static void collectFields(const Format &format, const Expr &expr, SmallPtrSetImpl<const Field *> &fields) {
  if (const Field *field = expr.kind == ExprKind::Name && !format.table(expr.name) ? format.field(expr.name) : nullptr)
    fields.insert(field);
  for (const ExprPtr &arg : expr.args)
    collectFields(format, *arg, fields);
}

/// The one item that factors read, if they depend on nothing else but tables.
const StorageItem *FastCodes::onlyItem(const std::vector<Factor> &code) const {
  const Format &format = *reader.fragments().fields().format();
  SmallPtrSet<const Field *, 2> fields;
  for (const Factor &factor : code) {
    collectFields(format, *factor.expr, fields);
    if (llvm::any_of(ArrayRef<StringRef>{"i", "n", "k"},
                     [&](StringRef place) { return readsName(*factor.expr, place); }))
      return nullptr;
  }
  return fields.size() == 1 ? itemOf(*fields.begin()) : nullptr;
}

/// The product of factors for each pattern of a field of 4 bits, as bits of the activations' type.
std::optional<std::vector<uint16_t>> FastCodes::numbersOf(const StorageItem &item,
                                                          const std::vector<Factor> &code) const {
  const KernelStorage &storage = reader.fragments().fields();
  const Format &format = *storage.format();
  if (item.field->width != 4)
    return {};
  const int64_t rows = format.block() ? format.block()->rows : 1, columns = storage.columns();
  std::vector<uint16_t> numbers;
  for (uint64_t pattern = 0; pattern < 16; pattern++) {
    FieldValues fields = zeroFields(format, rows, columns);
    fields[item.field->index][static_cast<size_t>(cellIndex(format, *item.field, 0, 0, rows, columns))] = pattern;
    float product = 1;
    for (const Factor &factor : code) {
      Result<Program> program = Program::compile(format, factor.expr);
      if (!program)
        return {};
      float value = 0;
      int64_t integer = 0;
      if (program->type() == ValueType::Float)
        program->floats(fields, rows, columns, 0, 0, 1, &value);
      else
        program->integers(fields, rows, columns, 0, 0, 1, &integer);
      value = program->type() == ValueType::Float ? value : static_cast<float>(integer);
      product *= std::ldexp(value, static_cast<int>(factor.exponent));
    }
    numbers.push_back(element.isF16() ? toF16(product) : toBF16(product));
  }
  return numbers;
}

/// Whether the activations' type has a number.
bool FastCodes::isExact(double number) const {
  llvm::APFloat value(number);
  bool loses = false;
  value.convert(cast<FloatType>(element).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &loses);
  return !loses;
}

/// A word shifted right, or left.
Value FastCodes::shifted(Value word, int right) {
  if (right > 0)
    return arith::ShRUIOp::create(b, word, integer(right));
  return right ? arith::ShLIOp::create(b, word, integer(-right)).getResult() : word;
}

/// Any function of three bits, by its table; `ptxas` does not find the one with two constants by itself.
Value FastCodes::lop3(Value a, uint32_t mask, Value c, unsigned table) {
  auto none = LLVM::TailCallKindAttr::get(b.getContext(), LLVM::tailcallkind::TailCallKind::None);
  auto att = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  return LLVM::InlineAsmOp::create(b, TypeRange{b.getI32Type()}, ValueRange{a, integer(mask), c},
                                   b.getStringAttr(fmt::format("lop3.b32 $0, $1, $2, $3, 0x{:X};", table)),
                                   b.getStringAttr("=r,r,n,r"), UnitAttr(), UnitAttr(), none, att, ArrayAttr())
      .getResult(0);
}

/// Bytes of {a, c} (c the upper ones) by the nibbles of a selector.
Value FastCodes::prmt(Value a, Value c, Value selector) {
  auto none = LLVM::TailCallKindAttr::get(b.getContext(), LLVM::tailcallkind::TailCallKind::None);
  auto att = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  return LLVM::InlineAsmOp::create(b, TypeRange{b.getI32Type()}, ValueRange{a, c, selector},
                                   b.getStringAttr("prmt.b32 $0, $1, $2, $3;"), b.getStringAttr("=r,r,r,r"), UnitAttr(),
                                   UnitAttr(), none, att, ArrayAttr())
      .getResult(0);
}

Value FastCodes::asPair(Value word) {
  Value one = vector::BroadcastOp::create(b, VectorType::get({1}, b.getI32Type()), word);
  return vector::BitCastOp::create(b, VectorType::get({2}, element), one);
}

/// Whether it has a number plus every offset: all of them are integers.
bool FastCodes::isExact(double number, const std::optional<CodeOffsets> &offsets) const {
  if (!offsets)
    return isExact(number);
  const double most = element.isF16() ? 2048 : 256, low = number + offsets->low, high = number + offsets->high;
  return std::rint(number) == number && low >= -most && high <= most;
}

/// Pairs of even slots are of row g, those of odd ones of row g + 8.
Value FastCodes::pairOf(float number, const std::optional<CodeOffsets> &offsets, unsigned slot) {
  if (!offsets)
    return pairOf(number);
  Value sum = vector::ExtractOp::create(b, offsets->rows, static_cast<int64_t>(slot % 2));
  sum = arith::AddFOp::create(b, sum, arith::ConstantOp::create(b, b.getF32FloatAttr(number)));
  return vector::BroadcastOp::create(b, VectorType::get({2}, element), arith::TruncFOp::create(b, element, sum));
}

std::optional<Fragment> FastCodes::affine(const StorageItem &item, FieldFunction::Affine function, unsigned step,
                                          const std::optional<CodeOffsets> &offsets) {
  const Field &field = *item.field;
  const unsigned mantissa = element.isF16() ? 10 : 7;
  if (field.width > mantissa)
    return {};
  constexpr unsigned andOr = 0xea, andXor = 0x6a;
  const bool isSigned = field.kind == FieldKind::Signed;
  const double sign = isSigned ? std::ldexp(1, static_cast<int>(field.width) - 1) : 0, base = std::ldexp(1, mantissa);
  size_t count = 0;
  for (const FragmentPlane &plane : reader.fragments().planes())
    count += plane.item == &item;
  Fragment fragment;
  for (unsigned slot = 0; slot < 4; slot++) {
    Value word;
    unsigned place = 0; // of the code in the mantissa
    for (auto [p, plane] : llvm::enumerate(reader.fragments().planes())) {
      if (plane.item != &item)
        continue;
      auto [stored, shift] = reader.pair(p, step, slot);
      // A single plane can stay where it is, if it does not reach the exponent.
      if (count == 1)
        place = shift + plane.width <= mantissa ? shift : (shift % 8 + plane.width <= mantissa ? shift % 8 : 0);
      const unsigned low = place + plane.low;
      const uint32_t mask = ((1u << plane.width) - 1) << low, both = mask | mask << 16;
      const bool last = plane.low + plane.width == field.width;
      Value rest = word;
      if (!rest) {
        const uint32_t exponent = element.isF16() ? 0x6400 : 0x4300;
        const uint32_t flipped = isSigned ? 1u << (place + field.width - 1) : 0;
        rest = integer((exponent | flipped) | (exponent | flipped) << 16);
      }
      word = lop3(shifted(stored, static_cast<int>(shift) - static_cast<int>(low)), both, rest,
                  isSigned && last ? andXor : andOr);
    }
    const double unit = std::ldexp(function.scale, -static_cast<int>(place));
    const double offset =
        static_cast<double>(function.offset) - base * unit - sign * static_cast<double>(function.scale);
    if (!isExact(unit) || !isExact(offset, offsets))
      return {};
    Value pair = asPair(word);
    Value rest = pairOf(static_cast<float>(offset), offsets, slot);
    if (unit == 1)
      pair = arith::AddFOp::create(b, pair, rest);
    else
      pair = LLVM::FMAOp::create(b, pair, pairOf(static_cast<float>(unit)), rest);
    fragment[slot] = asOperand(b, pair);
  }
  return fragment;
}

/// Weights of the activations' type are stored as operands.
std::optional<Fragment> FastCodes::stored(const StorageItem &item, unsigned step) {
  if (item.field->kind != (element.isF16() ? FieldKind::F16 : FieldKind::BF16))
    return {};
  for (auto [p, plane] : llvm::enumerate(reader.fragments().planes()))
    if (plane.item == &item) {
      Fragment fragment;
      for (unsigned slot = 0; slot < 4; slot++)
        fragment[slot] = asOperand(b, asPair(reader.pair(p, step, slot).first));
      return fragment;
    }
  return {};
}

/// The nibbles of a word are the codes of the four pairs' first numbers, then of their second ones: selectors as they
/// are, but for the highest bit, which chooses between the halves of the table.
std::optional<Fragment> FastCodes::lookedUp(const StorageItem &item, ArrayRef<uint16_t> numbers, unsigned step) {
  const ArrayRef<FragmentPlane> planes = reader.fragments().planes();
  const auto *plane = llvm::find_if(planes, [&](const FragmentPlane &p) { return p.item == &item; });
  if (plane->width != 4)
    return {};
  Value word = reader.pair(static_cast<size_t>(plane - planes.begin()), step, 0).first;
  auto quarter = [&](unsigned byte, unsigned first) { // four bytes of the table
    uint32_t bytes = 0;
    for (unsigned i = 0; i < 4; i++)
      bytes |= uint32_t(numbers[first + i] >> 8 * byte & 255) << 8 * i;
    return integer(bytes);
  };
  Value whole[2][2]; // of the first and the second numbers, the low and the high bytes
  for (unsigned second = 0; second < 2; second++) {
    Value codes = shifted(word, second ? 16 : 0);
    Value within = arith::AndIOp::create(b, codes, integer(0x7777));
    Value upper = arith::AndIOp::create(b, shifted(codes, 1), integer(0x4444));
    Value which = arith::OrIOp::create(b, upper, integer(0x3210));
    for (unsigned byte = 0; byte < 2; byte++) {
      Value low = prmt(quarter(byte, 0), quarter(byte, 4), within);
      Value high = prmt(quarter(byte, 8), quarter(byte, 12), within);
      whole[second][byte] = prmt(low, high, which);
    }
  }
  Fragment fragment;
  for (unsigned half = 0; half < 2; half++) { // two pairs each
    Value first = prmt(whole[0][0], whole[0][1], integer(half ? 0x7362 : 0x5140));
    Value second = prmt(whole[1][0], whole[1][1], integer(half ? 0x7362 : 0x5140));
    fragment[2 * half] = asOperand(b, asPair(prmt(first, second, integer(0x5410))));
    fragment[2 * half + 1] = asOperand(b, asPair(prmt(first, second, integer(0x7632))));
  }
  return fragment;
}
