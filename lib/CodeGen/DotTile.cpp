//===- DotTile.cpp - a register tile by the normal form of its format -------------------------------------------===//

#include "DotTile.h"
#include "quantc/CodeGen/Choices.h"
#include <map>
#include <numeric>

using namespace mlir;
using namespace quantc;

DotTile::DotTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
                 qf::TargetAttr target, const ActivationLayout &x, TileBody &body)
    : op(op), b(b), storage(storage), units(op), x(x), body(body),
      factoring(x.isHalf() ? Factoring(storage.format())
                           : Factoring(storage.format()).withMultipliers(x.group, hasNarrowSums())),
      inIntegers(factoring.hasMultipliers()), numbers(b, storage, lookup), dot(target) {
  if (!x.isHalf())
    products = std::make_unique<ByteProducts>(b, storage, lookup, target, body, numbers, factoring);
  else
    products = std::make_unique<HalfProducts>(b, storage, lookup, units.halves(), body, numbers, factoring);
  codes = products->codes();
  // Floats that are added up one after the other wait for each other: runs of several loops are under way at once.
  constexpr int64_t longestChain = 32;
  run = x.runOf(factoring);
  if (x.isHalf() && !hasMatrixUnit())
    run = std::gcd(run, longestChain);
  for (const TermCode *code : codes)
    if (code->multipliesSums() && !hasMatrixUnit())
      for (const Factor &factor : code->term->multipliers)
        run = std::gcd(run, factor.run);
}

LogicalResult DotTile::check() {
  if (x.isHalf()) {
    if (factoring.isHalfProduct() && run % 4 == 0 && run % x.sumRun == 0)
      return success();
    return op.emitOpError() << "cannot multiply '" << storage.source()->spec() << "' with bf16 activations";
  }
  const bool integerRest = llvm::all_of(
      factoring.terms(), [&](const DotTerm &t) { return t.kind != CodeKind::None || t.innerFactors(x.group).first; });
  if (factoring.isIntegerDot() && run % 4 == 0 && run % x.sumRun == 0 &&
      (!hasNarrowSums() || (integerRest && x.group % (2 * x.sumRun) == 0)))
    return success();
  InFlightDiagnostic diag = op.emitOpError()
                            << "cannot multiply '" << storage.source()->spec() << "' with integer activations";
  diag.attachNote() << "scales hold for runs of " << run << " columns, sums of activations of " << 8 * x.sumBytes
                    << " bits for " << x.sumRun << (factoring.isIntegerDot() ? "" : ", and codes are no bytes");
  return diag;
}

/// Says what multiplies.
void DotTile::explain() const {
  Choices choices(op);
  if (hasMatrixUnit()) {
    const StringRef name = units.matrix().getAs<StringAttr>(*products->matrixDot());
    choices.multipliesBy(name, /*manyTokens=*/true);
    if (x.isHalf())
      choices.multipliesBy(name);
    choices.because("matrix unit: " + Twine(x.isHalf() ? "all tokens" : "register tiles of 16 tokens, of fewer not"));
  } else if (x.isHalf()) {
    choices.multipliesBy(units.halves());
    choices.because("dot products of bf16 pairs, sums of " + Twine(run) + " columns before any scale");
  } else {
    for (StringAttr name : qf::TargetAttr::of(op).getDot().getAsRange<StringAttr>())
      choices.multipliesBy(name);
    choices.because("integer dot products, sums of " + Twine(run) + " columns before any scale");
  }
}

LogicalResult DotTile::emit() {
  if (failed(check()))
    return failure();
  explain();
  if (failed(storeAhead()))
    return hasNoCode();
  SmallVector<Value> sums = body.accumulators();
  if (hasMatrixUnit()) {
    if (failed(matrixSums(sums)))
      return hasNoCode();
  } else {
    for (int64_t first = 0; first < body.columns(); first += x.group)
      if (failed(groupSums(first, std::min(x.group, body.columns() - first), sums)))
        return hasNoCode();
  }
  body.finish(sums);
  return success();
}

LogicalResult DotTile::hasNoCode() {
  InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.source()->spec() << "'";
  diag.attachNote() << numbers.problem();
  return diag;
}

Place DotTile::placeOf(int64_t column) {
  const int64_t group = column / x.group * x.bytes, within = column % x.group;
  return {&body.block(column), static_cast<unsigned>(column % storage.columns()),
          body.token(0, group + x.codes + within * x.codeBytes()),
          body.token(0, group + x.sums + within / x.sumRun * x.sumBytes), column};
}

Place DotTile::moved(const Place &place, BlockReader *block, unsigned column, int64_t columns) {
  return {block, column, b.at(place.codes, columns * x.codeBytes()), b.at(place.sums, columns / x.sumRun * x.sumBytes)};
}

//===- Sums -----------------------------------------------------------------------------------------------------===//

/// sum + what a group of activations gives to token t, with their scale.
Value DotTile::scaled(Value sum, Value partial, int64_t first, int64_t t) {
  if (!x.scale)
    return b.add(sum, partial);
  return b.fma(partial, b.loadBroadcast(b.f32s, body.token(t, first / x.group * x.bytes + *x.scale)), sum);
}

/// `stored`: the memory of storeRest, or null.
FailureOr<SmallVector<Value>> DotTile::restSums(int64_t first, int64_t token, int64_t tokens, Value stored) {
  SmallVector<Value> partial(tokens, b.splat(0.0f));
  if (!hasNarrowSums())
    return partial;
  for (const DotTerm &term : factoring.terms()) {
    if (term.kind != CodeKind::None)
      continue;
    if (failed(addRest(term, first, token, partial, stored)))
      return failure();
    if (stored)
      stored = b.at(stored, restVectors() * 4 * b.lanes);
  }
  return partial;
}

/// partial += C · sum over the group's runs of integer · (sum of codes), two sums of 16 bits at a time.
LogicalResult DotTile::addRest(const DotTerm &term, int64_t first, int64_t token, MutableArrayRef<Value> partial,
                               Value stored) {
  const int64_t vector = 4 * b.lanes, pairs = restVectors() - 1;
  const Place place = placeOf(first);
  SmallVector<Value> totals(partial.size(), b.splat(b.i32s, 0));
  for (int64_t pair = 0; pair < pairs; pair++) {
    FailureOr<Value> both = stored ? b.load(b.i32s, b.at(stored, pair * vector), vector)
                                   : restPair(body, term, first + 2 * pair * x.sumRun);
    if (failed(both))
      return failure();
    for (auto [t, total] : llvm::enumerate(totals))
      total = dot.words(b, total, *both,
                        b.loadBroadcast(b.i32s, body.token(place.sums, token + static_cast<int64_t>(t), 4 * pair)));
  }
  FailureOr<Value> scale = stored ? b.load(b.f32s, b.at(stored, pairs * vector), vector) : restScale(body, term, first);
  if (failed(scale))
    return failure();
  for (auto [total, part] : llvm::zip(totals, partial))
    part = b.fma(b.toF32(total), *scale, part);
  return success();
}

/// sums += what a group of activations gives.
LogicalResult DotTile::groupSums(int64_t first, int64_t count, SmallVectorImpl<Value> &sums) {
  const int64_t vector = 4 * b.lanes, tokens = body.tokens();
  const GroupPlan plan = groupPlan();
  Value stored = ahead ? storedGroup(ahead, first) : Value();
  SmallVector<Value> totals(codes.size() * tokens, b.splat(b.i32s, 0));
  auto addRuns = [&](SmallVectorImpl<Value> &carried) -> LogicalResult {
    if (const std::optional<Passes> weights = passes(first, count))
      return loop(*weights, first, count, stored, carried);
    for (int64_t column = first; column < first + count; column += run) {
      const Place place = placeOf(column);
      FailureOr<RunFactors> shared = factors(*place.block, place.column);
      if (failed(shared) || failed(addRun(place, std::min(run, first + count - column), *shared, carried)))
        return failure();
    }
    return success();
  };
  // Integers first: in a loop over runs they need all registers.
  if (inIntegers && failed(addRuns(totals)))
    return failure();
  FailureOr<SmallVector<Value>> partial =
      restSums(first, 0, tokens, stored ? b.at(stored, plan.rest * vector) : Value());
  if (failed(partial) || (!inIntegers && failed(addRuns(*partial))))
    return failure();
  for (size_t term = 0; inIntegers && term < codes.size(); term++) {
    FailureOr<Value> scale =
        stored ? b.load(b.f32s, b.at(stored, (plan.scales + static_cast<int64_t>(term)) * vector), vector)
               : groupScale(body, term, first);
    if (failed(scale))
      return failure();
    for (auto [part, total] : llvm::zip(*partial, ArrayRef(totals).slice(term * tokens, tokens)))
      part = b.fma(b.toF32(total), *scale, part);
  }
  for (int64_t t = 0; t < tokens; t++)
    sums[t] = scaled(sums[t], (*partial)[t], first, t);
  return success();
}

/// `carried`: f32 sums of all tokens, or integers of all tokens for each term with a code.
LogicalResult DotTile::addRun(const Place &place, int64_t columns, const RunFactors &shared,
                              MutableArrayRef<Value> carried) {
  for (auto [term, scale] : llvm::enumerate(shared.scales)) {
    FailureOr<SmallVector<Value>> sums = dots(term, place, columns);
    if (failed(sums))
      return failure();
    if (inIntegers) {
      for (auto [sum, total] : llvm::zip(*sums, carried.slice(term * body.tokens(), body.tokens())))
        total = b.add(total, scale ? b.mul(sum, scale) : sum);
    } else {
      for (auto [sum, part] : llvm::zip(*sums, carried))
        part = b.fma(b.asFloats(sum), scale, part);
    }
  }
  if (shared.rest)
    for (auto [t, part] : llvm::enumerate(carried))
      part = b.fma(b.asFloats(codeSum(place, t, run, 1)), shared.rest, part);
  return success();
}

/// Sums of number · code + offset · code over the columns of a run, for each token.
FailureOr<SmallVector<Value>> DotTile::dots(size_t term, const Place &place, int64_t columns) {
  if (body.tokens() == 1 && products->isInPlace(term, columns))
    return SmallVector<Value>{dotInPlace(term, place, columns)};
  // One token alone goes in several chains: what the dot product takes would be waited for otherwise. Only exact sums
  // can.
  const int64_t chains = body.tokens() > 1 || columns < 16 || x.isHalf() ? 1
                         : columns < 128                                 ? 2
                                                                         : 4,
                step = products->columns(), offset = codes[term]->offset;
  Value zero = b.splat(products->sumType(), 0);
  SmallVector<Value> sums;
  for (int64_t t = 0; t < body.tokens(); t++) {
    sums.push_back(offset ? codeSum(place, t, columns, offset) : zero);
    sums.append(chains - 1, zero);
  }
  for (int64_t c = 0; c < columns; c += step) {
    FailureOr<Value> weights = products->weights(term, place, c);
    if (failed(weights))
      return failure();
    for (int64_t t = 0; t < body.tokens(); t++) {
      Value &sum = sums[t * chains + c / step % chains];
      sum = products->add(term, sum, *weights, place, t, c);
    }
  }
  while (body.tokens() == 1 && sums.size() > 1) {
    Value last = sums.pop_back_val();
    sums.front() = b.add(sums.front(), last);
  }
  return sums;
}

/// Of one token: what unpacks codes counts there as much as what multiplies them. One sum for each place that they have
/// in their bytes.
Value DotTile::dotInPlace(size_t term, const Place &place, int64_t columns) {
  const int64_t offset = codes[term]->offset;
  std::map<unsigned, Value> sums;
  sums[0] = offset ? codeSum(place, 0, columns, offset) : b.splat(b.i32s, 0);
  for (int64_t c = 0; c < columns; c += products->columns()) {
    const auto [weights, shift] = products->weightsInPlace(term, place, c);
    Value &sum = sums[shift];
    sum = products->add(term, sum ? sum : b.splat(b.i32s, 0), weights, place, 0, c);
  }
  Value total = sums[0];
  for (auto [shift, sum] : llvm::drop_begin(sums))
    total = b.add(total, b.sar(sum, shift));
  return total;
}

/// factor · the sum of the codes of activations from a place on, as vectors of `sumType()`. Not by vectors: other
/// instructions than dot products do it.
Value DotTile::codeSum(const Place &place, int64_t t, int64_t columns, int64_t factor) {
  Value total;
  for (int64_t c = 0; c < columns; c += x.sumRun) {
    Value at = body.token(place.sums, t, c / x.sumRun * x.sumBytes);
    if (x.isHalf()) {
      Value sum = b.load(b.getF32Type(), at);
      total = total ? b.add(total, sum) : sum;
      continue;
    }
    Value sum = hasNarrowSums() ? arith::ExtSIOp::create(b, b.getI32Type(), b.load(b.getI16Type(), at)).getResult()
                                : b.load(b.getI32Type(), at);
    total = total ? arith::AddIOp::create(b, total, sum).getResult() : sum;
  }
  if (x.isHalf())
    return b.broadcast(b.f32s, total);
  if (factor != 1)
    total = arith::MulIOp::create(b, total, arith::ConstantIntOp::create(b, b.getI32Type(), factor));
  return b.broadcast(b.i32s, total);
}

//===- Loops ----------------------------------------------------------------------------------------------------===//

/// A loop over a group goes over its blocks, if they are whole runs, or over the segments of one block: whole runs and
/// segments. Nothing: no loop.
std::optional<DotTile::Passes> DotTile::passes(int64_t first, int64_t count) {
  const int64_t block = storage.columns();
  if (block < count && count % block == 0 && block % run == 0 && block >= leastStep())
    return Passes{block, body.blockAddress(first), storage.bytes(), true};
  const int64_t segment = storage.segmentColumns(), unit = std::lcm(run, segment);
  auto isInSegments = [](const TermCode *code) {
    return code->item && code->item->inSegments && !code->multipliesCodes(); // multipliers lie elsewhere
  };
  if (block < count || first % unit || !llvm::all_of(codes, isInSegments))
    return {};
  for (int64_t step = unit; step < count; step += unit)
    if (step >= leastStep() && count % step == 0)
      return Passes{step, b.at(body.blockAddress(first), first % block / segment * storage.segmentBytes()),
                    step / segment * storage.segmentBytes(), false};
  return {};
}

LogicalResult DotTile::loop(const Passes &weights, int64_t first, int64_t count, Value known,
                            SmallVectorImpl<Value> &carried) {
  StoredFactors stored; // a block's own are read in its pass
  if (known) {
    stored = storedAt(known);
  } else if (!weights.wholeBlocks) {
    FailureOr<StoredFactors> all = storeFactors(body, first, count, body.scratch(factorVectors(count)));
    if (failed(all))
      return failure();
    stored = *all;
  }
  const Place start = placeOf(first);
  const int64_t step = weights.columns;
  return body.loop(count / step, carried, [&](Value i, MutableArrayRef<Value> carried) {
    BlockReader block = reader(weights, i);
    Place place = start;
    place.codes = b.at(start.codes, i, step * x.codeBytes());
    place.sums = b.at(start.sums, i, step / x.sumRun * x.sumBytes);
    Value ofPass = stored.memory ? b.at(stored.memory, i, step / run * stored.count * 4 * b.lanes) : Value();
    for (int64_t column = 0; column < step; column += run) {
      FailureOr<RunFactors> shared = stored.memory ? loadFactors(stored, ofPass, column / run) : factors(block, column);
      if (failed(shared) || failed(addRun(moved(place, &block, column, column), run, *shared, carried)))
        return failure();
    }
    return success();
  });
}

LogicalResult quantc::emitDotTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                  const TableLookup &lookup, qf::TargetAttr target) {
  auto block = dyn_cast<qf::BlockType>(cast<ShapedType>(op.getX().getType()).getElementType());
  if (!block)
    return op.emitOpError("has no blocks of activations yet");
  Result<ActivationLayout> layout = ActivationLayout::of(block);
  if (!layout)
    return op.emitOpError(layout.error().message);
  FailureOr<TileBody> body = TileBody::create(op, b);
  if (failed(body))
    return failure();
  if (body->groups() != 1)
    return op.emitOpError("has more rows than a block of weights");
  return DotTile(op, b, storage, lookup, target, *layout, *body).emit();
}
