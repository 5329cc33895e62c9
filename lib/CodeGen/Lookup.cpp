//===- Lookup.cpp - tables of a format in kernels ---------------------------------------------------------------===//

#include "Lookup.h"
#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace quantc;

static Value constantVector(LaneBuilder &b, ArrayRef<int32_t> numbers) {
  auto type = VectorType::get({static_cast<int64_t>(numbers.size())}, b.getI32Type());
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, numbers));
}

Value TableLookup::permute(LaneBuilder &b, ArrayRef<int32_t> numbers, Value index) const {
  const int64_t width = target.getLanes();
  SmallVector<int32_t> padded(numbers);
  padded.resize(llvm::alignTo(numbers.size(), width), 0);
  Value result = index;
  for (int64_t first = 0; first < b.lanes; first += width) {
    Value at = b.part(index, first, width), chosen;
    for (size_t from = 0; from < padded.size(); from += width) {
      // The intrinsic takes the low bits of the index; those above choose the register.
      Value found =
          LLVM::CallIntrinsicOp::create(b, at.getType(), target.getPermute(),
                                        ValueRange{constantVector(b, ArrayRef(padded).slice(from, width)), at})
              .getResult(0);
      if (chosen) {
        Value isHere =
            arith::CmpIOp::create(b, arith::CmpIPredicate::uge, at, b.splat(cast<VectorType>(at.getType()), from));
        found = arith::SelectOp::create(b, isHere, found, chosen);
      }
      chosen = found;
    }
    result = b.insert(chosen, result, first);
  }
  return result;
}

Value TableLookup::gather(LaneBuilder &b, const std::string &name, ArrayRef<int32_t> numbers, Value index) const {
  ModuleOp top = module;
  auto values =
      DenseElementsAttr::get(RankedTensorType::get({static_cast<int64_t>(numbers.size())}, b.getI32Type()), numbers);
  // Tables of several formats can have one name.
  std::string symbol = "table_" + name;
  LLVM::GlobalOp table;
  for (unsigned i = 1; (table = top.lookupSymbol<LLVM::GlobalOp>(symbol)) && table.getValueAttr() != values; i++)
    symbol = "table_" + name + "_" + std::to_string(i);
  if (!table) {
    OpBuilder atStart = OpBuilder::atBlockBegin(top.getBody());
    LLVM::GlobalOp::create(atStart, b.getLoc(), LLVM::LLVMArrayType::get(b.getI32Type(), numbers.size()),
                           /*isConstant=*/true, LLVM::Linkage::Private, symbol, values, /*alignment=*/64);
  }
  Value base = LLVM::AddressOfOp::create(b, b.pointer, symbol);
  Value addresses = LLVM::GEPOp::create(b, VectorType::get({b.lanes}, b.pointer), b.getI32Type(), base,
                                        ArrayRef<LLVM::GEPArg>{index});
  Value all = arith::ConstantOp::create(b, DenseElementsAttr::get(b.vectorOf(b.getI1Type()), true));
  return LLVM::masked_gather::create(b, b.i32s, addresses, all, ValueRange{}, /*alignment=*/4);
}

Value TableLookup::lanes(LaneBuilder &b, const Table &table, Value index) const {
  SmallVector<int32_t> numbers;
  for (float number : table.floats)
    numbers.push_back(llvm::bit_cast<int32_t>(number));
  for (int64_t number : table.integers)
    numbers.push_back(static_cast<int32_t>(number));
  if (numbers.size() <= 16 && !target.getPermute().empty())
    return permute(b, numbers, index);
  return gather(b, table.name, numbers, index);
}

Value TableLookup::bytes(LaneBuilder &b, ArrayRef<uint8_t> values, Value codes) const {
  if (target.getShuffle().empty()) { // byte by byte, as numbers of 32 bits
    SmallVector<int32_t> numbers(values.begin(), values.end());
    std::string name = "bytes";
    for (uint8_t value : values)
      name += "_" + std::to_string(value);
    Value result;
    for (unsigned j = 0; j < 4; j++) {
      Value byte = b.shl(gather(b, name, numbers, b.byteOfLane(codes, j)), 8 * j);
      result = result ? b.bitOr(result, byte) : byte;
    }
    return b.bitcast(b.bytes, result);
  }
  // The shuffle looks up within each 16 bytes: every one of them has the whole table.
  const int64_t width = 4 * target.getLanes();
  SmallVector<int8_t> table;
  for (int64_t i = 0; i < width; i++)
    table.push_back(static_cast<int8_t>(i % 16 < static_cast<int64_t>(values.size()) ? values[i % 16] : 0));
  Value constant =
      arith::ConstantOp::create(b, DenseElementsAttr::get(VectorType::get({width}, b.getI8Type()), ArrayRef(table)));
  Value result = codes;
  for (int64_t first = 0; first < 4 * b.lanes; first += width) {
    Value piece = b.part(codes, first, width);
    piece = LLVM::CallIntrinsicOp::create(b, piece.getType(), target.getShuffle(), ValueRange{constant, piece})
                .getResult(0);
    result = b.insert(piece, result, first);
  }
  return result;
}

/// values[code % 128] for each byte, of 128 values.
Value TableLookup::chosen(LaneBuilder &b, ArrayRef<uint8_t> values, Value codes) const {
  auto type = cast<VectorType>(codes.getType());
  auto table = [&](int64_t first) -> Value {
    const uint8_t *begin = values.data() + first;
    SmallVector<int8_t> part(begin, begin + type.getNumElements());
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef(part)));
  };
  return LLVM::CallIntrinsicOp::create(b, type, units.choose(),
                                       ValueRange{table(0), codes, table(type.getNumElements())})
      .getResult(0);
}

/// values[code] of the codes `first` and `first` + 1 of each row.
Value TableLookup::words(LaneBuilder &b, ArrayRef<uint16_t> values, Value codes, unsigned first) const {
  SmallVector<int16_t> table(values.begin(), values.end());
  table.resize(2 * b.lanes);
  SmallVector<int64_t> places; // of bytes of `codes`, then of zeros
  for (int64_t lane = 0; lane < b.lanes; lane++)
    places.append({4 * lane + first, 4 * b.lanes, 4 * lane + first + 1, 4 * b.lanes});
  auto type = VectorType::get({2 * b.lanes}, b.getI16Type());
  Value index = vector::ShuffleOp::create(b, codes, b.splat(b.bytes, 0), places),
        all = arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef(table)));
  Value found = LLVM::CallIntrinsicOp::create(b, type, units.permuteWords(), ValueRange{all, b.bitcast(type, index)})
                    .getResult(0);
  return b.bitcast(b.i32s, found);
}

Value TableLookup::halves(LaneBuilder &b, ArrayRef<uint16_t> values, Value codes, unsigned first) const {
  if (units.permuteWords() && target.getLanes() == b.lanes && static_cast<int64_t>(values.size()) <= 2 * b.lanes)
    return words(b, values, codes, first);
  constexpr size_t half = 128;
  if (!units.choose() || values.size() != 2 * half || b.lanes != half / 8)
    return {};
  SmallVector<uint8_t> low, high;
  for (uint16_t value : values) {
    low.push_back(static_cast<uint8_t>(value));
    high.push_back(static_cast<uint8_t>(value >> 8));
  }
  auto look = [&](ArrayRef<uint8_t> table) -> Value {
    auto lower = table.take_front(half), upper = table.drop_front(half);
    Value found = chosen(b, lower, codes);
    if (lower == upper)
      return found;
    // The upper half of a table of numbers with signs is the lower one with that bit.
    if (llvm::all_of(llvm::zip(lower, upper),
                     [](auto pair) { return std::get<1>(pair) == (std::get<0>(pair) ^ 0x80); }))
      return b.bitXor(found, b.bitAnd(codes, b.splat(b.bytes, -128)));
    Value isUpper = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, codes, b.splat(b.bytes, 0));
    return arith::SelectOp::create(b, isUpper, chosen(b, upper, codes), found);
  };
  SmallVector<int64_t> pairs; // of bytes of `low` and `high`, which count on
  for (int64_t lane = 0; lane < b.lanes; lane++)
    for (int64_t j = 0; j < 4; j++)
      pairs.push_back(j % 2 * 4 * b.lanes + 4 * lane + first + j / 2);
  return b.bitcast(b.i32s, vector::ShuffleOp::create(b, look(low), look(high), pairs).getResult());
}
