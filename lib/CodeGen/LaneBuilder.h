//===- LaneBuilder.h - short names for what tile bodies are made of ---------------------------------------------===//
//
// The rows of a block of kernel storage are the lanes of vectors: `i32s`, `f32s` have a number for each row, `bytes`
// four codes for each row (the bytes of its dword).
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace quantc {

class LaneBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;

  LaneBuilder(mlir::Operation *op, int64_t lanes)
      : ImplicitLocOpBuilder(op->getLoc(), op), lanes(lanes), pointer(mlir::LLVM::LLVMPointerType::get(getContext())),
        i32s(mlir::VectorType::get({lanes}, getI32Type())), f32s(mlir::VectorType::get({lanes}, getF32Type())),
        bytes(mlir::VectorType::get({4 * lanes}, getI8Type())) {}

  const int64_t lanes;
  const mlir::Type pointer;
  const mlir::VectorType i32s, f32s, bytes;

  mlir::VectorType vectorOf(mlir::Type element) { return mlir::VectorType::get({lanes}, element); }

  //===- Memory: offsets in bytes ----------------------------------------------------------------------------===//

  Value at(Value base, int64_t offset) {
    if (offset == 0)
      return base;
    return mlir::LLVM::GEPOp::create(*this, pointer, getI8Type(), base,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{static_cast<int32_t>(offset)});
  }
  /// base + index · stride, the index an i64.
  Value at(Value base, Value index, int64_t stride) {
    Value offset = mlir::arith::MulIOp::create(*this, index, i64(stride));
    return mlir::LLVM::GEPOp::create(*this, pointer, getI8Type(), base, llvm::ArrayRef<mlir::LLVM::GEPArg>{offset});
  }
  Value load(mlir::Type type, Value address, unsigned alignment = 1) {
    return mlir::LLVM::LoadOp::create(*this, type, address, alignment);
  }
  void store(Value value, Value address, unsigned alignment = 1) {
    mlir::LLVM::StoreOp::create(*this, value, address, alignment);
  }
  /// One number in all lanes.
  Value broadcast(mlir::VectorType type, Value scalar) {
    return mlir::vector::BroadcastOp::create(*this, type, scalar);
  }
  Value loadBroadcast(mlir::VectorType type, Value address, unsigned alignment = 1) {
    return broadcast(type, load(type.getElementType(), address, alignment));
  }

  //===- Parts of vectors, for registers that hold fewer lanes ---------------------------------------------------===//

  /// Elements [first, first + count).
  Value part(Value v, int64_t first, int64_t count) {
    if (llvm::cast<mlir::VectorType>(v.getType()).getNumElements() == count)
      return v;
    return mlir::vector::ExtractStridedSliceOp::create(*this, v, llvm::ArrayRef<int64_t>{first},
                                                       llvm::ArrayRef<int64_t>{count}, llvm::ArrayRef<int64_t>{1});
  }
  /// `whole` with `piece` from element `first` on.
  Value insert(Value piece, Value whole, int64_t first) {
    if (piece.getType() == whole.getType())
      return piece;
    return mlir::vector::InsertStridedSliceOp::create(*this, piece, whole, llvm::ArrayRef<int64_t>{first},
                                                      llvm::ArrayRef<int64_t>{1});
  }

  //===- Constants -------------------------------------------------------------------------------------------===//

  Value i64(int64_t v) { return mlir::arith::ConstantIntOp::create(*this, getI64Type(), v); }
  Value splat(mlir::VectorType type, int64_t v) {
    mlir::Type element = type.getElementType();
    mlir::Attribute scalar = llvm::isa<mlir::FloatType>(element)
                                 ? mlir::Attribute(getFloatAttr(element, static_cast<double>(v)))
                                 : getIntegerAttr(element, llvm::APInt(element.getIntOrFloatBitWidth(), v, true, true));
    return mlir::arith::ConstantOp::create(*this, mlir::DenseElementsAttr::get(type, scalar));
  }
  Value splat(float v) { return mlir::arith::ConstantOp::create(*this, mlir::DenseElementsAttr::get(f32s, v)); }

  //===- Arithmetic: integer or float by the operands' type --------------------------------------------------===//

  Value bitcast(mlir::VectorType type, Value v) {
    return v.getType() == type ? v : mlir::vector::BitCastOp::create(*this, type, v).getResult();
  }
  Value add(Value a, Value b) { return isFloat(a) ? make<mlir::arith::AddFOp>(a, b) : make<mlir::arith::AddIOp>(a, b); }
  Value sub(Value a, Value b) { return isFloat(a) ? make<mlir::arith::SubFOp>(a, b) : make<mlir::arith::SubIOp>(a, b); }
  Value mul(Value a, Value b) { return isFloat(a) ? make<mlir::arith::MulFOp>(a, b) : make<mlir::arith::MulIOp>(a, b); }
  Value bitAnd(Value a, Value b) { return make<mlir::arith::AndIOp>(a, b); }
  Value bitOr(Value a, Value b) { return make<mlir::arith::OrIOp>(a, b); }
  Value bitXor(Value a, Value b) { return make<mlir::arith::XOrIOp>(a, b); }
  Value shl(Value a, int64_t bits) {
    return bits ? make<mlir::arith::ShLIOp>(a, splat(llvm::cast<mlir::VectorType>(a.getType()), bits)) : a;
  }
  Value shr(Value a, int64_t bits) {
    return bits ? make<mlir::arith::ShRUIOp>(a, splat(llvm::cast<mlir::VectorType>(a.getType()), bits)) : a;
  }
  Value sar(Value a, int64_t bits) {
    return bits ? make<mlir::arith::ShRSIOp>(a, splat(llvm::cast<mlir::VectorType>(a.getType()), bits)) : a;
  }
  Value fma(Value a, Value b, Value c) { return mlir::vector::FMAOp::create(*this, a, b, c); }
  Value toF32(Value v) { return mlir::arith::SIToFPOp::create(*this, f32s, v); }
  /// As `f32s`, integers converted.
  Value asFloats(Value v) { return isFloat(v) ? v : toF32(v); }
  /// Bits [shift, shift + width) of each byte.
  Value bitsOfBytes(Value line, unsigned shift, unsigned width) {
    if (width == 8)
      return bitcast(bytes, line);
    Value moved = bitcast(bytes, shr(bitcast(i32s, line), shift));
    return bitAnd(moved, splat(bytes, (1 << width) - 1));
  }
  /// The low 16 bits of two integers as a dword, `low` in its low half.
  Value wordPair(Value low, Value high) { return bitOr(bitAnd(low, splat(i32s, 0xffff)), shl(high, 16)); }
  /// Byte j of each dword, as an i32.
  Value byteOfLane(Value quads, unsigned j) {
    Value moved = shr(bitcast(i32s, quads), 8 * j);
    return j == 3 ? moved : bitAnd(moved, splat(i32s, 255));
  }

private:
  static bool isFloat(Value v) { return llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(v.getType())); }
  template <typename Op> Value make(Value a, Value b) { return Op::create(*this, a, b); }
};

} // namespace quantc
