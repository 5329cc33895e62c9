//===- IntegerTile.cpp - a register tile with integer activations -----------------------------------------------===//
//
// The normal form of the format (Format/Factoring.h), with activations x = scale · code:
//
//   for each group of activations:  acc += scale · (R + sum over runs of  S · (sum of byte · code) + B · (sum of code))
//
// S and B are vectors with a number for each row, shared by all tokens: S the product of the group factors of a term, B
// those of the terms without code, and what is left where the code of a weight is an unsigned byte plus an offset.
// Where all of B that changes within a group is an integer, R = C · (sum over runs of integer · (sum of code)) takes
// its place. Sums of bytes and of integers are exact; the f32 operations have this one order on every target and for
// every number of tokens.
//
// A loop goes over the columns of a group, a few at a time: code stays small, and weights are unpacked next to their
// use. S and B of its runs then come out of the stack.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Activations.h"
#include "ByteCode.h"
#include "TileBody.h"
#include "quantc/Format/Factoring.h"
#include <numeric>

using namespace mlir;
using namespace quantc;

namespace {

/// What the tokens of a tile share in one run of columns.
struct RunFactors {
  SmallVector<Value> scales; ///< S, of each term with a code
  Value rest;                ///< B, or null
};

/// Columns from one on: of weights, and of the activations of token 0.
struct Place {
  BlockReader *block;
  unsigned column; ///< within the block that `block` reads
  Value codes, sums;
  int64_t ofTile = -1; ///< the column within the tile, where it is known; runs may then go on in the next block
};

class IntegerTile {
public:
  IntegerTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
              const ByteDot &dot, const ActivationLayout &x, TileBody &body)
      : op(op), b(b), storage(storage), lookup(lookup), dot(dot), x(x), body(body), factoring(storage.format()),
        evaluator(b, storage, lookup) {}

  LogicalResult emit();

private:
  //===- Numbers for each row ----------------------------------------------------------------------------------===//
  FailureOr<Value> integerProduct(ArrayRef<Factor> factors, bool (*chosen)(const Factor &, int64_t));
  FailureOr<Value> product(const DotTerm &term, bool (*chosen)(const Factor &, int64_t));
  FailureOr<RunFactors> factors(BlockReader &block, unsigned column);
  FailureOr<Value> bytes(const ByteCode &code, const Place &place, int64_t c);

  //===- Sums --------------------------------------------------------------------------------------------------===//
  LogicalResult addRest(const DotTerm &term, int64_t multiplier, int64_t first, SmallVectorImpl<Value> &partial);
  LogicalResult groupSums(int64_t first, int64_t count, SmallVectorImpl<Value> &partial);
  LogicalResult addRun(const Place &place, int64_t columns, const RunFactors &shared, MutableArrayRef<Value> partial);
  FailureOr<SmallVector<Value>> dots(const ByteCode &code, const Place &place, int64_t columns);
  Value codeSum(const Place &place, int64_t t);

  //===- Loops -------------------------------------------------------------------------------------------------===//
  int64_t leastStep() const { return body.tokens() == 1 ? 64 : 32; } ///< columns of a pass
  bool hasLoopOverBlocks(int64_t count) const;
  int64_t stepOverSegments(int64_t first, int64_t count) const;
  template <typename Body>
  LogicalResult loop(int64_t first, int64_t steps, int64_t step, SmallVectorImpl<Value> &partial, Body body);
  LogicalResult loopOverSegments(int64_t first, int64_t count, int64_t step, SmallVectorImpl<Value> &partial);
  LogicalResult loopOverBlocks(int64_t first, int64_t count, SmallVectorImpl<Value> &partial);

  Place placeOf(int64_t column) {
    const int64_t group = column / x.group * x.bytes, within = column % x.group;
    return {&body.block(column), static_cast<unsigned>(column % storage.columns()),
            body.token(0, group + x.codes + within), body.token(0, group + x.sums + within / x.sumRun * x.sumBytes),
            column};
  }
  bool hasNarrowSums() const { return x.sumBytes == 2; }

  qf::TileDotOp op;
  LaneBuilder &b;
  const KernelStorage &storage;
  const TableLookup &lookup;
  const ByteDot &dot;
  const ActivationLayout &x;
  TileBody &body;
  const Factoring factoring;
  LaneEvaluator evaluator;
  std::vector<ByteCode> codes; ///< of the terms that have one
  int64_t run = 0;             ///< columns that share all scales
};

bool any(const Factor &, int64_t) {
  return true;
}
bool inner(const Factor &factor, int64_t group) {
  return !factor.isConstantOver(group);
}
bool outer(const Factor &factor, int64_t group) {
  return factor.isConstantOver(group);
}

} // namespace

LogicalResult IntegerTile::emit() {
  run = x.group;
  for (const DotTerm &term : factoring.terms()) {
    run = std::gcd(run, term.run());
    if (term.kind != CodeKind::None)
      codes.push_back(ByteCode::of(factoring, term, storage));
  }
  const bool integerRest =
      llvm::all_of(factoring.terms(), [&](const DotTerm &t) { return t.innerFactors(x.group).first; });
  if (!factoring.isIntegerDot() || run % 4 || run % x.sumRun ||
      (hasNarrowSums() && (!integerRest || x.group % (2 * x.sumRun)))) {
    InFlightDiagnostic diag = op.emitOpError()
                              << "cannot multiply '" << storage.source()->spec() << "' with integer activations";
    diag.attachNote() << "scales hold for runs of " << run << " columns, sums of activations of " << 8 * x.sumBytes
                      << " bits for " << x.sumRun << (factoring.isIntegerDot() ? "" : ", and codes are no bytes");
    return diag;
  }
  SmallVector<Value> sums = body.accumulators();
  for (int64_t first = 0; first < body.columns(); first += x.group) {
    SmallVector<Value> partial(body.tokens(), b.splat(0.0f));
    if (failed(groupSums(first, std::min(x.group, body.columns() - first), partial))) {
      InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.source()->spec() << "'";
      diag.attachNote() << evaluator.problem();
      return diag;
    }
    for (int64_t t = 0; t < body.tokens(); t++) {
      Value scale = b.loadBroadcast(b.f32s, body.token(t, first / x.group * x.bytes + x.scale));
      sums[t] = b.fma(partial[t], scale, sums[t]);
    }
  }
  body.finish(sums);
  return success();
}

//===- Numbers for each row -------------------------------------------------------------------------------------===//

/// The product of the chosen factors of integers; 1 where there are none.
FailureOr<Value> IntegerTile::integerProduct(ArrayRef<Factor> factors, bool (*chosen)(const Factor &, int64_t)) {
  Value product;
  for (const Factor &factor : factors) {
    if (!chosen(factor, x.group))
      continue;
    FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
    if (failed(value))
      return failure();
    Value number =
        value->isFloat
            ? arith::FPToSIOp::create(b, b.i32s, evaluator.timesPowerOfTwo(*value, factor.exponent)).getResult()
            : evaluator.asIntegers(*value);
    product = product ? b.mul(product, number) : number;
  }
  return product ? product : b.splat(b.i32s, 1);
}

/// The product of the chosen group factors of a term, with the term's sign.
FailureOr<Value> IntegerTile::product(const DotTerm &term, bool (*chosen)(const Factor &, int64_t)) {
  Value product;
  for (const Factor &factor : term.group) {
    if (!chosen(factor, x.group))
      continue;
    FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
    if (failed(value))
      return failure();
    Value number = evaluator.timesPowerOfTwo(*value, factor.exponent);
    product = product ? b.mul(product, number) : number;
  }
  if (!product)
    product = b.splat(1.0f);
  return term.negative ? arith::NegFOp::create(b, product).getResult() : product;
}

FailureOr<RunFactors> IntegerTile::factors(BlockReader &block, unsigned column) {
  RunFactors result;
  auto addRest = [&](Value v) { result.rest = result.rest ? b.add(result.rest, v) : v; };
  evaluator.moveTo(block, column);
  const ByteCode *code = codes.data();
  for (const DotTerm &term : factoring.terms()) {
    if (term.kind == CodeKind::None && hasNarrowSums())
      continue;
    FailureOr<Value> scale = product(term, any);
    if (failed(scale))
      return failure();
    if (term.kind == CodeKind::None) {
      addRest(*scale);
      continue;
    }
    if (code->offset && !hasNarrowSums())
      addRest(b.mul(*scale, b.splat(static_cast<float>(code->offset))));
    result.scales.push_back(code->scale == 1 ? *scale : b.mul(*scale, b.splat(static_cast<float>(code->scale))));
    code++;
  }
  return result;
}

/// The bytes of four columns, from the c-th of a place on.
FailureOr<Value> IntegerTile::bytes(const ByteCode &code, const Place &place, int64_t c) {
  BlockReader &block = place.ofTile < 0 ? *place.block : body.block(place.ofTile + c);
  const auto column = static_cast<unsigned>((place.column + c) % storage.columns());
  if (code.item) {
    Value bits = block.quads(*code.item, column / 4);
    if (!code.table.empty())
      return lookup.bytes(b, code.table, bits);
    return code.flip ? b.bitXor(bits, b.splat(b.bytes, static_cast<int8_t>(code.flip))) : bits;
  }
  Value packed;
  for (unsigned j = 0; j < 4; j++) {
    evaluator.moveTo(block, column + j);
    FailureOr<Value> number = integerProduct(code.term->code, any);
    if (failed(number))
      return failure();
    Value byte = b.shl(b.sub(*number, b.splat(b.i32s, code.offset)), 8 * j);
    packed = packed ? b.bitOr(packed, byte) : byte;
  }
  return b.bitcast(b.bytes, packed);
}

//===- Sums -----------------------------------------------------------------------------------------------------===//

/// partial += C · sum over the group's runs of multiplier · integer · (sum of codes), two sums of 16 bits at a time.
LogicalResult IntegerTile::addRest(const DotTerm &term, int64_t multiplier, int64_t first,
                                   SmallVectorImpl<Value> &partial) {
  const Place place = placeOf(first);
  SmallVector<Value> totals(body.tokens(), b.splat(b.i32s, 0));
  for (int64_t pair = 0; pair < x.group / x.sumRun; pair += 2) {
    Value weights[2];
    for (int64_t j : {0, 1}) {
      // Where columns end, sums of codes are zeros: any column does.
      const int64_t column = std::min(first + (pair + j) * x.sumRun, body.columns() - 1);
      evaluator.moveTo(body.block(column), column % storage.columns());
      FailureOr<Value> number = integerProduct(term.group, inner);
      if (failed(number))
        return failure();
      weights[j] = multiplier == 1 ? *number : b.mul(*number, b.splat(b.i32s, multiplier));
    }
    Value both = b.bitOr(b.bitAnd(weights[0], b.splat(b.i32s, 0xffff)), b.shl(weights[1], 16));
    for (auto [t, total] : llvm::enumerate(totals))
      total = dot.words(b, total, both, b.loadBroadcast(b.i32s, body.token(place.sums, t, 2 * pair)));
  }
  evaluator.moveTo(*place.block, place.column);
  FailureOr<Value> scale = product(term, outer);
  if (failed(scale))
    return failure();
  for (auto [total, part] : llvm::zip(totals, partial))
    part = b.fma(b.toF32(total), *scale, part);
  return success();
}

/// partial += what a group of activations gives, without their scale.
LogicalResult IntegerTile::groupSums(int64_t first, int64_t count, SmallVectorImpl<Value> &partial) {
  if (hasNarrowSums()) {
    const ByteCode *code = codes.data();
    for (const DotTerm &term : factoring.terms()) {
      const int64_t multiplier = term.kind == CodeKind::None ? 1 : code++->offset;
      if (multiplier && failed(addRest(term, multiplier, first, partial)))
        return failure();
    }
  }
  if (hasLoopOverBlocks(count))
    return loopOverBlocks(first, count, partial);
  if (const int64_t step = stepOverSegments(first, count))
    return loopOverSegments(first, count, step, partial);
  for (int64_t column = first; column < first + count; column += run) {
    const Place place = placeOf(column);
    FailureOr<RunFactors> shared = factors(*place.block, place.column);
    if (failed(shared) || failed(addRun(place, std::min(run, first + count - column), *shared, partial)))
      return failure();
  }
  return success();
}

LogicalResult IntegerTile::addRun(const Place &place, int64_t columns, const RunFactors &shared,
                                  MutableArrayRef<Value> partial) {
  for (auto [code, scale] : llvm::zip(codes, shared.scales)) {
    FailureOr<SmallVector<Value>> sums = dots(code, place, columns);
    if (failed(sums))
      return failure();
    for (auto [sum, part] : llvm::zip(*sums, partial))
      part = b.fma(b.toF32(sum), scale, part);
  }
  if (shared.rest)
    for (auto [t, part] : llvm::enumerate(partial))
      part = b.fma(codeSum(place, t), shared.rest, part);
  return success();
}

/// Sums of byte · code over the columns of a run, for each token.
FailureOr<SmallVector<Value>> IntegerTile::dots(const ByteCode &code, const Place &place, int64_t columns) {
  // One token alone goes in two chains: what the dot product takes would be waited for otherwise.
  const int64_t chains = body.tokens() == 1 && columns >= 16 ? 2 : 1;
  SmallVector<Value> sums(body.tokens() * chains, b.splat(b.i32s, 0));
  for (int64_t c = 0; c < columns; c += 4) {
    FailureOr<Value> weights = bytes(code, place, c);
    if (failed(weights))
      return failure();
    for (int64_t t = 0; t < body.tokens(); t++) {
      Value &sum = sums[t * chains + c / 4 % chains];
      sum = dot(b, sum, *weights, code.largest, b.loadBroadcast(b.i32s, body.token(place.codes, t, c)));
    }
  }
  if (chains == 2)
    sums = {b.add(sums[0], sums[1])};
  return sums;
}

/// The sum of the codes of a run of activations, which is exact in any order.
Value IntegerTile::codeSum(const Place &place, int64_t t) {
  Value total;
  for (int64_t i = 0; i < run / x.sumRun; i++) {
    Value sum = b.loadBroadcast(b.i32s, body.token(place.sums, t, i * x.sumBytes));
    total = total ? b.add(total, sum) : sum;
  }
  return b.toF32(total);
}

//===- Loops ----------------------------------------------------------------------------------------------------===//

/// Whether a group is whole blocks, of whole runs, that a loop goes over.
bool IntegerTile::hasLoopOverBlocks(int64_t count) const {
  const int64_t block = storage.columns();
  return block < count && count % block == 0 && block % run == 0 && block >= leastStep();
}

/// Columns of one pass of a loop over the segments of a group within a block: whole runs and segments; 0: no loop.
int64_t IntegerTile::stepOverSegments(int64_t first, int64_t count) const {
  if (storage.columns() < count ||
      !llvm::all_of(codes, [](const ByteCode &code) { return code.item && code.item->inSegments; }))
    return 0;
  const int64_t unit = std::lcm<int64_t>(run, storage.segmentColumns());
  if (first % unit)
    return 0;
  for (int64_t step = unit; step < count; step += unit)
    if (step >= leastStep() && count % step == 0)
      return step;
  return 0;
}

/// body(i, place, partial): pass i is `step` columns from first + i · step on; its place is of pass 0 but for the
/// activations.
template <typename Body>
LogicalResult IntegerTile::loop(int64_t first, int64_t steps, int64_t step, SmallVectorImpl<Value> &partial,
                                Body emitPass) {
  const Place start = placeOf(first);
  return body.loop(steps, partial, [&](Value i, MutableArrayRef<Value> carried) {
    Place place = start;
    place.ofTile = -1;
    place.codes = b.at(start.codes, i, step);
    place.sums = b.at(start.sums, i, step / x.sumRun * x.sumBytes);
    return emitPass(i, place, carried);
  });
}

LogicalResult IntegerTile::loopOverSegments(int64_t first, int64_t count, int64_t step,
                                            SmallVectorImpl<Value> &partial) {
  // The factors of all runs go through memory: first, because the head of the block is read once.
  const int64_t vector = 4 * b.lanes;
  int64_t vectors = 0; // of a run
  Value memory;
  for (int64_t column = 0; column < count; column += run) {
    const Place place = placeOf(first + column);
    FailureOr<RunFactors> shared = factors(*place.block, place.column);
    if (failed(shared))
      return failure();
    if (shared->rest)
      shared->scales.push_back(shared->rest);
    if (!memory) {
      vectors = shared->scales.size();
      memory = body.scratch(count / run * vectors);
    }
    for (auto [v, value] : llvm::enumerate(shared->scales))
      b.store(value, b.at(memory, (column / run * vectors + v) * vector), vector);
  }
  Value weights =
      b.at(body.blockAddress(first), first % storage.columns() / storage.segmentColumns() * storage.segmentBytes());
  return loop(first, count / step, step, partial, [&](Value i, Place &place, MutableArrayRef<Value> carried) {
    BlockReader block(b, storage, b.at(weights, i, step / storage.segmentColumns() * storage.segmentBytes()));
    Value stored = b.at(memory, i, step / run * vectors * vector);
    const Value codesAt = place.codes, sumsAt = place.sums;
    for (int64_t column = 0; column < step; column += run) {
      RunFactors shared;
      for (int64_t v = 0; v < vectors; v++)
        shared.scales.push_back(b.load(b.f32s, b.at(stored, (column / run * vectors + v) * vector), vector));
      if (shared.scales.size() > codes.size())
        shared.rest = shared.scales.pop_back_val();
      place = {&block, static_cast<unsigned>(column), b.at(codesAt, column),
               b.at(sumsAt, column / x.sumRun * x.sumBytes)};
      if (failed(addRun(place, run, shared, carried)))
        return failure();
    }
    return success();
  });
}

LogicalResult IntegerTile::loopOverBlocks(int64_t first, int64_t count, SmallVectorImpl<Value> &partial) {
  Value weights = body.blockAddress(first);
  const int64_t step = storage.columns();
  return loop(first, count / step, step, partial, [&](Value i, Place &place, MutableArrayRef<Value> carried) {
    BlockReader block(b, storage, b.at(weights, i, storage.bytes()));
    const Value codesAt = place.codes, sumsAt = place.sums;
    for (int64_t column = 0; column < step; column += run) {
      place = {&block, static_cast<unsigned>(column), b.at(codesAt, column),
               b.at(sumsAt, column / x.sumRun * x.sumBytes)};
      FailureOr<RunFactors> shared = factors(block, column);
      if (failed(shared) || failed(addRun(place, run, *shared, carried)))
        return failure();
    }
    return success();
  });
}

LogicalResult quantc::emitIntegerTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                      const TableLookup &lookup, const ByteDot &dot) {
  auto block = dyn_cast<qf::BlockType>(cast<ShapedType>(op.getX().getType()).getElementType());
  if (!block)
    return op.emitOpError("has no blocks of activations yet");
  Result<ActivationLayout> layout = ActivationLayout::of(block);
  if (!layout)
    return op.emitOpError(layout.error().message);
  FailureOr<TileBody> body = TileBody::create(op, b);
  if (failed(body))
    return failure();
  return IntegerTile(op, b, storage, lookup, dot, *layout, *body).emit();
}
