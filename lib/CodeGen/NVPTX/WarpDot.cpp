//===- WarpDot.cpp - the body of a warp's tile --------------------------------------------------------------------===//
//
// The terms of the weights (WeightTerms.h), steps of 16 columns at a time. Codes are operand A of a matrix instruction,
// x is operand B. A term without a code multiplies the sum of x, which is a product with ones.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "WarpDot.h"
#include "WeightTerms.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"

using namespace mlir;
using namespace quantc;

VectorType quantc::ofLane(VectorType warp) {
  SmallVector<int64_t> shape(warp.getShape().drop_back(2));
  const int64_t tokens = warp.getShape()[warp.getRank() - 2], rows = warp.getShape().back();
  shape.append({rows / FragmentStorage::rows, static_cast<int64_t>(llvm::divideCeil(tokens, 8)), 2, 2});
  return VectorType::get(shape, warp.getElementType());
}

namespace {

/// The four f32 of a lane in an accumulator of 16 rows x 8 tokens.
using Sums = std::array<Value, 4>;

class WarpDot {
public:
  WarpDot(qf::WarpDotOp op, Value acc, const FragmentStorage &storage, OpBuilder::Listener *listener)
      : op(op), acc(acc), element(typeOfX().getElementType()), columns(typeOfX().getDimSize(1)),
        rowTiles(cast<VectorType>(acc.getType()).getDimSize(0)),
        tokenTiles(cast<VectorType>(acc.getType()).getDimSize(1)),
        weights(op, storage, op.getW(), rowTiles, columns, element, listener), b(weights.builder()) {}

  FailureOr<Value> emit();

private:
  MemRefType typeOfX() { return cast<MemRefType>(op.getX().getType()); }
  void loadTokens(int64_t step);
  Sums multiply(const Fragment &a, int64_t step, int64_t tokenTile, const Sums &sums);
  LogicalResult addStep(int64_t step);

  Value f32(float v) { return arith::ConstantOp::create(b, b.getF32FloatAttr(v)); }
  Sums &at(std::vector<Sums> &sums, int64_t rowTile, int64_t tokenTile) {
    return sums[rowTile * tokenTiles + tokenTile];
  }

  qf::WarpDotOp op;
  Value acc;
  Type element; ///< f16 or bf16
  int64_t columns, rowTiles, tokenTiles;
  WeightTerms weights;
  LaneBuilder &b;
  SmallVector<Value> tokens; ///< operands B of two steps, one for each 8 tokens
  std::vector<Sums> total;
  std::vector<std::vector<Sums>> partial; ///< of each term
};

} // namespace

/// Each ldmatrix has the operands of two steps. Rows past the end are the last one: their results are not stored.
void WarpDot::loadTokens(int64_t step) {
  tokens.clear();
  auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
  Value row = arith::RemUIOp::create(b, weights.laneIds().lane, index(8)),
        column = arith::DivUIOp::create(b, weights.laneIds().lane, index(8));
  column = arith::MulIOp::create(b, column, index(8));
  auto type = VectorType::get({4, 2}, element);
  for (int64_t j = 0; j < tokenTiles; j++) {
    Value token = arith::AddIOp::create(b, row, index(8 * j));
    if (const int64_t count = typeOfX().getDimSize(0); count < 8 * (j + 1))
      token = arith::MinUIOp::create(b, token, index(count - 1));
    Value at[] = {token, arith::AddIOp::create(b, column, index(FragmentStorage::stepColumns * step))};
    tokens.push_back(nvgpu::LdMatrixOp::create(b, type, op.getX(), at, /*transpose=*/false, /*numTiles=*/4));
  }
}

Sums WarpDot::multiply(const Fragment &a, int64_t step, int64_t tokenTile, const Sums &sums) {
  SmallVector<Value> operandB;
  for (int64_t i = 0; i < 2; i++) {
    Value pair = vector::ExtractOp::create(b, tokens[tokenTile], step % 2 * 2 + i);
    operandB.push_back(asOperand(b, pair));
  }
  Type f32 = b.getF32Type();
  auto result = LLVM::LLVMStructType::getLiteral(b.getContext(), {f32, f32, f32, f32});
  const auto type = element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  Value product = NVVM::MmaOp::create(b, result, ValueRange(a), operandB, ValueRange(sums),
                                      ArrayRef<int64_t>{16, 8, 16}, std::nullopt, std::nullopt, std::array{type, type},
                                      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  Sums out;
  for (int64_t i = 0; i < 4; i++)
    out[i] = LLVM::ExtractValueOp::create(b, product, i);
  return out;
}

LogicalResult WarpDot::addStep(int64_t step) {
  constexpr int64_t width = FragmentStorage::stepColumns;
  const int64_t end = (step + 1) * width;
  if (step % 2 == 0)
    loadTokens(step);
  for (auto [t, term] : llvm::enumerate(weights.terms())) {
    const bool begins = term.run && step * width % term.run == 0, ends = term.run && end % term.run == 0;
    const bool same = term.isSumOfX();
    std::vector<Sums> &sums = term.run ? partial[t] : total;
    if (begins) {
      Value zero = f32(0);
      sums.assign((same ? 1 : rowTiles) * tokenTiles, Sums{zero, zero, zero, zero});
    }
    for (int64_t a = 0; a < rowTiles; a++) {
      if (!same || a == 0) {
        FailureOr<Fragment> fragment = weights.codes(term, step, a);
        if (failed(fragment))
          return failure();
        for (int64_t j = 0; j < tokenTiles; j++)
          at(sums, a, j) = multiply(*fragment, step, j, at(sums, a, j));
      }
      if (!ends)
        continue;
      FailureOr<SmallVector<Value>> scales = weights.factors(term, end - term.run, a);
      if (failed(scales))
        return failure();
      for (int64_t j = 0; j < tokenTiles; j++)
        for (int64_t i = 0; i < 4; i++) {
          Value &sum = at(total, a, j)[i];
          sum = LLVM::FMAOp::create(b, (*scales)[i / 2], at(sums, same ? 0 : a, j)[i], sum);
        }
    }
  }
  return success();
}

FailureOr<Value> WarpDot::emit() {
  partial.resize(weights.terms().size());
  total.resize(rowTiles * tokenTiles);
  auto place = [](int64_t a, int64_t j, int64_t i) { return SmallVector<int64_t>{a, j, i / 2, i % 2}; };
  for (int64_t a = 0; a < rowTiles; a++)
    for (int64_t j = 0; j < tokenTiles; j++)
      for (int64_t i = 0; i < 4; i++)
        at(total, a, j)[i] = vector::ExtractOp::create(b, acc, place(a, j, i));
  for (int64_t step = 0; step < columns / FragmentStorage::stepColumns; step++)
    if (failed(addStep(step)))
      return failure();
  Value result = acc;
  for (int64_t a = 0; a < rowTiles; a++)
    for (int64_t j = 0; j < tokenTiles; j++)
      for (int64_t i = 0; i < 4; i++)
        result = vector::InsertOp::create(b, at(total, a, j)[i], result, place(a, j, i));
  return result;
}

FailureOr<Value> quantc::emitWarpDot(qf::WarpDotOp dot, Value acc, OpBuilder::Listener *listener) {
  auto x = dyn_cast<MemRefType>(dot.getX().getType());
  if (!x || !dot->getParentOfType<gpu::GPUModuleOp>() ||
      llvm::any_of(dot.getW(), [](Value w) { return !isa<MemRefType>(w.getType()); }))
    return dot.emitOpError("has no buffers of planes in a kernel yet");
  FailureOr<FragmentStorage> storage = fragmentsOf(dot, cast<qf::ElemType>(dot.getFormat()));
  if (failed(storage))
    return failure();
  if (x.isDynamicDim(1) || x.getDimSize(1) % storage->tileColumns())
    return dot.emitOpError() << "has tiles of " << x << ", but needs a multiple of " << storage->tileColumns()
                             << " columns";
  return WarpDot(dot, acc, *storage, listener).emit();
}
