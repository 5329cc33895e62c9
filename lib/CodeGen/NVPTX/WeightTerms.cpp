//===- WeightTerms.cpp - the normal form of a format, for the lanes of a warp -------------------------------------===//

#include "WeightTerms.h"
#include <numeric>

using namespace mlir;
using namespace quantc;

static LaneBuilder builderOf(Operation *op, int64_t lanes, OpBuilder::Listener *listener) {
  LaneBuilder b(op, lanes);
  b.setListener(listener);
  return b;
}

WeightTerms::WeightTerms(Operation *op, const FragmentStorage &storage, ValueRange memory, int64_t rowTiles,
                         int64_t columns, Type element, OpBuilder::Listener *listener)
    : op(op), storage(storage), tables(op->getParentOfType<gpu::GPUModuleOp>()), factoring(storage.fields().format()),
      b(builderOf(op, 8, listener)), pairBuilder(builderOf(op, 2, listener)), evaluator(b, storage.fields(), tables),
      rowEvaluator(pairBuilder, storage.fields(), tables), ids(LaneIds::create(b)), element(element) {
  collect(columns);
  for (int64_t a = 0; a < rowTiles; a++)
    readers.push_back(std::make_unique<FragmentReader>(b, storage, memory, a, ids));
}

void WeightTerms::collect(int64_t columns) {
  for (const DotTerm &source : factoring.terms()) {
    WeightTerm term{.negative = source.negative, .source = &source};
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
    all.push_back(std::move(term));
  }
}

FailureOr<Fragment> WeightTerms::codes(const WeightTerm &term, int64_t step, int64_t rowTile) {
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
FailureOr<Value> WeightTerms::productOf(ArrayRef<Factor> factors, LaneEvaluator &at, LaneBuilder &builder) {
  Value product;
  for (const Factor &factor : factors) {
    FailureOr<LaneValue> value = at.evaluate(*factor.expr);
    if (failed(value)) {
      InFlightDiagnostic diag = op->emitOpError() << "has no code for '" << storage.fields().source()->spec() << "'";
      diag.attachNote() << at.problem();
      return diag;
    }
    Value number = at.timesPowerOfTwo(*value, factor.exponent);
    product = product ? builder.mul(product, number) : number;
  }
  return product;
}

FailureOr<SmallVector<Value>> WeightTerms::factors(const WeightTerm &term, int64_t column, int64_t rowTile) {
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
