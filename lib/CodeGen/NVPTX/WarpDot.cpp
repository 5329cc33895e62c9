//===- WarpDot.cpp - the body of a warp's tile --------------------------------------------------------------------===//
//
// The normal form of the format (Format/Factoring.h), steps of 16 columns at a time:
//
//   acc += sum over terms of  +- F · (sum over a run of  code · x)
//
// Codes are operand A of a matrix instruction, x is operand B. What is constant over at least 16 columns is F: it is
// multiplied with the sum of a run, in f32. Factors of shorter runs belong to the code. A term without a code
// multiplies the sum of x, which is a product with ones.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "WarpDot.h"
#include "../LaneEvaluator.h"
#include "ConstantTables.h"
#include "FastCodes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "quantc/Format/Factoring.h"
#include <numeric>

using namespace mlir;
using namespace quantc;

VectorType quantc::ofLane(VectorType warp) {
  SmallVector<int64_t> shape(warp.getShape().drop_back(2));
  const int64_t tokens = warp.getShape()[warp.getRank() - 2], rows = warp.getShape().back();
  shape.append({rows / FragmentStorage::rows, static_cast<int64_t>(llvm::divideCeil(tokens, 8)), 2, 2});
  return VectorType::get(shape, warp.getElementType());
}

namespace {

LaneBuilder builderOf(qf::WarpDotOp op, int64_t lanes, OpBuilder::Listener *listener) {
  LaneBuilder b(op, lanes);
  b.setListener(listener);
  return b;
}

/// The four f32 of a lane in an accumulator of 16 rows x 8 tokens.
using Sums = std::array<Value, 4>;

struct Term {
  bool negative = false;
  std::vector<Factor> outer, code; ///< constant over the steps of a run; the rest
  const DotTerm *source = nullptr;
  int64_t run = 0; ///< columns whose products are summed up before `outer`; 0: there is none
};

class WarpDot {
public:
  WarpDot(qf::WarpDotOp op, Value acc, const FragmentStorage &storage, gpu::GPUModuleOp module,
          OpBuilder::Listener *listener)
      : op(op), acc(acc), storage(storage), tables(module), factoring(storage.fields().format()),
        b(builderOf(op, 8, listener)), pairBuilder(builderOf(op, 2, listener)), evaluator(b, storage.fields(), tables),
        rowEvaluator(pairBuilder, storage.fields(), tables), ids(LaneIds::create(b)),
        element(cast<MemRefType>(op.getX().getType()).getElementType()) {
    auto type = cast<VectorType>(acc.getType());
    rowTiles = type.getDimSize(0);
    tokenTiles = type.getDimSize(1);
    columns = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  }

  FailureOr<Value> emit();

private:
  void collectTerms();
  void loadTokens(int64_t step);
  FailureOr<Fragment> codes(const Term &term, int64_t step, int64_t rowTile);
  FailureOr<SmallVector<Value>> factors(const Term &term, int64_t column, int64_t rowTile);
  Sums multiply(const Fragment &a, int64_t step, int64_t tokenTile, const Sums &sums);
  LogicalResult addStep(int64_t step);
  FailureOr<Value> productOf(ArrayRef<Factor> factors, LaneEvaluator &at, LaneBuilder &builder);
  LogicalResult fail(LaneEvaluator &evaluator);

  Value f32(float v) { return arith::ConstantOp::create(b, b.getF32FloatAttr(v)); }
  Sums &at(std::vector<Sums> &sums, int64_t rowTile, int64_t tokenTile) {
    return sums[rowTile * tokenTiles + tokenTile];
  }

  qf::WarpDotOp op;
  Value acc;
  const FragmentStorage &storage;
  ConstantTables tables;
  Factoring factoring;
  LaneBuilder b, pairBuilder;
  LaneEvaluator evaluator, rowEvaluator;
  LaneIds ids;
  Type element; ///< f16 or bf16
  int64_t rowTiles, tokenTiles, columns;
  std::vector<Term> terms;
  std::vector<std::unique_ptr<FragmentReader>> readers; ///< one for each tile of 16 rows
  SmallVector<Value> tokens;                            ///< operands B of two steps, one for each 8 tokens
  std::vector<Sums> total;
  std::vector<std::vector<Sums>> partial; ///< of each term
};

} // namespace

void WarpDot::collectTerms() {
  for (const DotTerm &source : factoring.terms()) {
    Term term{.negative = source.negative, .source = &source};
    term.run = columns;
    for (const Factor &factor : source.group)
      if (factor.isConstantOver(FragmentStorage::stepColumns)) {
        term.outer.push_back(factor);
        term.run = factor.run ? std::gcd(term.run, factor.run) : term.run;
      } else {
        term.code.push_back(factor);
      }
    term.code.insert(term.code.end(), source.code.begin(), source.code.end());
    if (term.outer.empty() && !term.negative)
      term.run = 0;
    terms.push_back(std::move(term));
  }
}

/// Each ldmatrix has the operands of two steps. Rows past the end are the last one: their results are not stored.
void WarpDot::loadTokens(int64_t step) {
  tokens.clear();
  auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
  Value row = arith::RemUIOp::create(b, ids.lane, index(8)), column = arith::DivUIOp::create(b, ids.lane, index(8));
  column = arith::MulIOp::create(b, column, index(8));
  auto type = VectorType::get({4, 2}, element);
  for (int64_t j = 0; j < tokenTiles; j++) {
    Value token = arith::AddIOp::create(b, row, index(8 * j));
    if (const int64_t count = cast<MemRefType>(op.getX().getType()).getDimSize(0); count < 8 * (j + 1))
      token = arith::MinUIOp::create(b, token, index(count - 1));
    Value at[] = {token, arith::AddIOp::create(b, column, index(FragmentStorage::stepColumns * step))};
    tokens.push_back(nvgpu::LdMatrixOp::create(b, type, op.getX(), at, /*transpose=*/false, /*numTiles=*/4));
  }
}

/// Operand A: the codes of a step, as numbers of the activations' type.
FailureOr<Fragment> WarpDot::codes(const Term &term, int64_t step, int64_t rowTile) {
  FastCodes fast(b, *readers[rowTile], element);
  if (term.code.empty())
    return fast.constant(1);
  if (std::optional<Fragment> codes = fast.emit(factoring, *term.source, term.code, static_cast<unsigned>(step)))
    return *codes;
  StepReader reader(b, *readers[rowTile]);
  evaluator.moveTo(reader, static_cast<unsigned>(step) * FragmentStorage::stepColumns);
  FailureOr<Value> product = productOf(term.code, evaluator, b);
  if (failed(product))
    return failure();
  return fast.rounded(*product);
}

/// The product of factors where the evaluator stands; null where there are none.
FailureOr<Value> WarpDot::productOf(ArrayRef<Factor> factors, LaneEvaluator &at, LaneBuilder &builder) {
  Value product;
  for (const Factor &factor : factors) {
    FailureOr<LaneValue> value = at.evaluate(*factor.expr);
    if (failed(value))
      return fail(at);
    Value number = at.timesPowerOfTwo(*value, factor.exponent);
    product = product ? builder.mul(product, number) : number;
  }
  return product;
}

/// The product of the outer factors in rows g and g + 8, f32.
FailureOr<SmallVector<Value>> WarpDot::factors(const Term &term, int64_t column, int64_t rowTile) {
  RowsReader reader(pairBuilder, *readers[rowTile]);
  rowEvaluator.moveTo(reader, static_cast<unsigned>(column));
  FailureOr<Value> outer = productOf(term.outer, rowEvaluator, pairBuilder);
  if (failed(outer))
    return failure();
  Value product = *outer ? *outer : pairBuilder.splat(1.0f);
  if (term.negative)
    product = arith::NegFOp::create(pairBuilder, product);
  return SmallVector<Value>{vector::ExtractOp::create(b, product, 0), vector::ExtractOp::create(b, product, 1)};
}

LogicalResult WarpDot::fail(LaneEvaluator &evaluator) {
  InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.fields().source()->spec() << "'";
  diag.attachNote() << evaluator.problem();
  return diag;
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
  for (auto [t, term] : llvm::enumerate(terms)) {
    const bool begins = term.run && step * width % term.run == 0, ends = term.run && end % term.run == 0;
    // The sum of x is the same for all rows.
    const bool same = term.code.empty() && term.run;
    std::vector<Sums> &sums = term.run ? partial[t] : total;
    if (begins) {
      Value zero = f32(0);
      sums.assign((same ? 1 : rowTiles) * tokenTiles, Sums{zero, zero, zero, zero});
    }
    for (int64_t a = 0; a < rowTiles; a++) {
      if (!same || a == 0) {
        FailureOr<Fragment> fragment = codes(term, step, a);
        if (failed(fragment))
          return failure();
        for (int64_t j = 0; j < tokenTiles; j++)
          at(sums, a, j) = multiply(*fragment, step, j, at(sums, a, j));
      }
      if (!ends)
        continue;
      FailureOr<SmallVector<Value>> scales = factors(term, end - term.run, a);
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
  collectTerms();
  partial.resize(terms.size());
  for (int64_t a = 0; a < rowTiles; a++)
    readers.push_back(std::make_unique<FragmentReader>(b, storage, op.getW(), a, ids));
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
  auto module = dot->getParentOfType<gpu::GPUModuleOp>();
  if (!x || !module || llvm::any_of(dot.getW(), [](Value w) { return !isa<MemRefType>(w.getType()); }))
    return dot.emitOpError("has no buffers of planes in a kernel yet");
  FailureOr<FragmentStorage> storage = fragmentsOf(dot, cast<qf::ElemType>(dot.getFormat()));
  if (failed(storage))
    return failure();
  if (x.isDynamicDim(1) || x.getDimSize(1) % storage->tileColumns())
    return dot.emitOpError() << "has tiles of " << x << ", but needs a multiple of " << storage->tileColumns()
                             << " columns";
  return WarpDot(dot, acc, *storage, module, listener).emit();
}
