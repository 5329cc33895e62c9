//===- LayerBuilder.h - the kernel of a layer that is no matrix product -------------------------------------------===//
//
// A kernel's parameters follow those of its function: a tensor is the address of its first element in device memory, a
// row-major array; `past` is the address of an i64 (it changes between launches of a recorded graph), another index its
// value. Behind them stand the capacity of the KV cache and the number of tokens, where a type has them, then the
// address of memory for what kernels of one launch leave each other (`qf.scratch`).
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/Format/FragmentStorage.h"

namespace quantc {

/// Builds the body of a `gpu.func`. Numbers are f32, counts and places i64.
class LayerBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  /// An empty kernel of `module` for `function`, with `threads` threads in a block. Its quantized tensor, if it has
  /// one, lies in `storage`.
  LayerBuilder(mlir::func::FuncOp function, mlir::gpu::GPUModuleOp module, int64_t threads,
               const FragmentStorage *storage = nullptr);
  /// Ends the kernel, which is launched with `grid`.
  void finish(const LaunchGrid &grid);

  const int64_t threads;
  mlir::gpu::GPUFuncOp kernel() const { return gpuFunction; }

  //===- Parameters ------------------------------------------------------------------------------------------===//

  /// The parameter of an argument of the function.
  Value parameter(Value argument) const { return parameters.lookup(argument); }
  unsigned indexOf(Value argument) const { return llvm::cast<mlir::BlockArgument>(parameter(argument)).getArgNumber(); }
  /// The planes of the quantized tensor.
  mlir::ValueRange planes() const { return planeArrays; }
  Value tokens() const { return tokenCount; }
  Value context() const { return capacity; }
  /// Along an axis of the grid: one block for each token, or `count` blocks.
  GridAxis perToken() const {
    return {static_cast<int>(llvm::cast<mlir::BlockArgument>(tokenCount).getArgNumber()), 1};
  }

  Value block(mlir::gpu::Dimension dimension);
  Value thread() { return threadId; }

  //===- Arithmetic ------------------------------------------------------------------------------------------===//

  Value i64(int64_t v) { return mlir::arith::ConstantIntOp::create(*this, getI64Type(), v); }
  Value f32(double v) { return mlir::arith::ConstantOp::create(*this, getF32FloatAttr(static_cast<float>(v))); }
  Value add(Value a, Value b) { return isFloat(a) ? make<mlir::arith::AddFOp>(a, b) : make<mlir::arith::AddIOp>(a, b); }
  Value sub(Value a, Value b) { return isFloat(a) ? make<mlir::arith::SubFOp>(a, b) : make<mlir::arith::SubIOp>(a, b); }
  Value mul(Value a, Value b) { return isFloat(a) ? make<mlir::arith::MulFOp>(a, b) : make<mlir::arith::MulIOp>(a, b); }
  Value div(Value a, Value b) {
    return isFloat(a) ? make<mlir::arith::DivFOp>(a, b) : make<mlir::arith::DivUIOp>(a, b);
  }
  Value min(Value a, Value b) { return make<mlir::arith::MinSIOp>(a, b); }
  Value max(Value a, Value b) {
    return isFloat(a) ? make<mlir::arith::MaximumFOp>(a, b) : make<mlir::arith::MaxSIOp>(a, b);
  }
  Value add(Value a, int64_t b) { return b ? add(a, i64(b)) : a; }
  Value mul(Value a, int64_t b) { return mul(a, i64(b)); }
  Value div(Value a, int64_t b) { return div(a, i64(b)); }
  /// a / b, rounded up, of numbers that are not negative.
  Value ceilDiv(Value a, Value b) { return div(sub(add(a, b), i64(1)), b); }
  Value ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }
  Value rem(Value a, int64_t b) { return make<mlir::arith::RemUIOp>(a, i64(b)); }
  Value fma(Value a, Value b, Value c) { return mlir::LLVM::FMAOp::create(*this, a, b, c); }
  Value less(Value a, Value b) {
    if (isFloat(a))
      return mlir::arith::CmpFOp::create(*this, mlir::arith::CmpFPredicate::OLT, a, b);
    return mlir::arith::CmpIOp::create(*this, mlir::arith::CmpIPredicate::slt, a, b);
  }
  Value both(Value a, Value b) { return make<mlir::arith::AndIOp>(a, b); }
  Value select(Value condition, Value a, Value b) { return mlir::arith::SelectOp::create(*this, condition, a, b); }

  //===- Memory ----------------------------------------------------------------------------------------------===//

  /// Element `at` of an argument; floats become f32, integers i64.
  Value load(Value argument, Value at);
  /// Stores an f32 or i64, rounded or cut to the type of the argument's elements.
  void store(Value number, Value argument, Value at);
  /// An array of f32 that the threads of a block share.
  Value shared(int64_t count);
  Value loadShared(Value array, Value at);
  void storeShared(Value number, Value array, Value at);
  void barrier() { mlir::gpu::BarrierOp::create(*this); }

  //===- Control ---------------------------------------------------------------------------------------------===//

  /// for (i = begin; i < end; i += step): `body` maps what is carried.
  Values loop(Value begin, Value end, int64_t step, mlir::ValueRange carried,
              llvm::function_ref<Values(Value i, mlir::ValueRange carried)> body);
  /// The threads share [0, count): each has thread, thread + threads, … `body` may hold no barrier.
  void forEach(int64_t count, llvm::function_ref<void(Value i)> body);
  void when(Value condition, llvm::function_ref<void()> body);

  enum class Combine { Sum, Maximum };
  /// Combines each of `numbers` over all threads of the block, in one fixed order; every thread gets the results.
  Values overBlock(Combine kind, mlir::ValueRange numbers);
  /// The largest of the block's numbers and, of the threads that have it, the smallest place, all below `places`. NaN
  /// and any place, where a number is NaN.
  std::pair<Value, Value> firstLargest(Value number, Value place, int64_t places);

private:
  static bool isFloat(Value v) { return llvm::isa<mlir::FloatType>(v.getType()); }
  template <typename Op> Value make(Value a, Value b) { return Op::create(*this, a, b); }
  Value overWarp(Combine kind, Value number);
  Value combine(Combine kind, Value a, Value b) { return kind == Combine::Sum ? add(a, b) : max(a, b); }
  Value address(Value argument, Value at);
  Value asIndex(Value v) { return mlir::arith::IndexCastOp::create(*this, getIndexType(), v); }

  mlir::gpu::GPUFuncOp gpuFunction;
  llvm::DenseMap<Value, Value> parameters;
  Values planeArrays;
  Value tokenCount, capacity, threadId;
};

/// Where the result of a layer goes, as an argument of its function: the layer's own destination, or that of the
/// rounding which alone reads it.
mlir::Value destinationOf(mlir::Value result);

} // namespace quantc
