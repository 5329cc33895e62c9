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
  mergeOffsets();
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

/// The one factor that `whole` has beside those of `part`; nothing where they differ otherwise.
static std::optional<Factor> oneMore(std::vector<Factor> whole, ArrayRef<Factor> part) {
  for (const Factor &factor : part) {
    auto same = llvm::find_if(whole, [&](const Factor &other) {
      return other.exponent == factor.exponent && expressionText(*other.expr) == expressionText(*factor.expr);
    });
    if (same == whole.end())
      return {};
    whole.erase(same);
  }
  return whole.size() == 1 ? std::optional(whole.front()) : std::nullopt;
}

void WeightTerms::mergeOffsets() {
  const int64_t most = element.isF16() ? 2048 : 256; // integers up to there are numbers of the type
  for (WeightTerm &coded : all) {
    if (coded.source->kind != CodeKind::Integer || coded.code.size() != coded.source->code.size())
      continue;
    for (auto other = all.begin(); other != all.end(); ++other) {
      std::optional<Factor> offset = other->code.empty() ? oneMore(other->outer, coded.outer) : std::nullopt;
      if (!offset || !offset->integer || offset->exponent)
        continue;
      auto largest = [&](const Interval &range) { return range.known() ? std::max(-range.low, range.high) : most + 1; };
      if (largest(coded.source->range) + largest(offset->range) > most)
        continue;
      coded.offset = offset;
      coded.subtractsOffset = coded.negative != other->negative;
      all.erase(other);
      return;
    }
  }
}

/// Those of the rows g and g + 8 in a step; nothing where the term has none.
FailureOr<std::optional<CodeOffsets>> WeightTerms::offsets(const WeightTerm &term, int64_t step, int64_t rowTile) {
  if (!term.offset)
    return std::optional<CodeOffsets>();
  RowsReader reader(pairBuilder, *readers[rowTile]);
  rowEvaluator.moveTo(reader, static_cast<unsigned>(step) * FragmentStorage::stepColumns);
  FailureOr<Value> numbers = productOf(*term.offset, rowEvaluator, pairBuilder);
  if (failed(numbers))
    return failure();
  const Interval &range = term.offset->range;
  if (!term.subtractsOffset)
    return std::optional(CodeOffsets{*numbers, static_cast<double>(range.low), static_cast<double>(range.high)});
  return std::optional(CodeOffsets{arith::NegFOp::create(pairBuilder, *numbers), -static_cast<double>(range.high),
                                   -static_cast<double>(range.low)});
}

FailureOr<Fragment> WeightTerms::codes(const WeightTerm &term, int64_t step, int64_t rowTile) {
  FastCodes fast(b, *readers[rowTile], element);
  if (term.code.empty())
    return fast.constant(1);
  FailureOr<std::optional<CodeOffsets>> added = offsets(term, step, rowTile);
  if (failed(added))
    return failure();
  if (std::optional<Fragment> codes =
          fast.emit(factoring, *term.source, term.code, static_cast<unsigned>(step), *added))
    return *codes;
  StepReader reader(b, *readers[rowTile]);
  evaluator.moveTo(reader, static_cast<unsigned>(step) * FragmentStorage::stepColumns);
  FailureOr<Value> product = productOf(term.code, evaluator, b);
  if (failed(product))
    return failure();
  Value numbers = *product;
  if (*added) { // rows of the pairs of a lane alternate
    Value rows = (*added)->rows;
    rows = vector::ShuffleOp::create(b, rows, rows, ArrayRef<int64_t>{0, 0, 1, 1, 0, 0, 1, 1});
    numbers = arith::AddFOp::create(b, numbers, rows);
  }
  return fast.rounded(numbers);
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
