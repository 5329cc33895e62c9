//===- IntegerTile.cpp - a register tile with integer activations -----------------------------------------------===//
//
// The normal form of the format (Format/Factoring.h), with activations x = scale · code:
//
//   for each group of activations:  acc += scale · sum over runs of  S · (sum of byte · code)  +  B · (sum of code)
//
// S and B are vectors with a number for each row, shared by all tokens: S the product of the group factors of a term, B
// those of the terms without code, and what is left where the code of a weight is an unsigned byte plus an offset. Sums
// of bytes are exact; the f32 operations have this one order on every target and for every number of tokens.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Activations.h"
#include "TileBody.h"
#include "quantc/Format/Factoring.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace quantc;

namespace {

/// How the codes of a term become unsigned bytes: code = scale · byte + offset.
struct ByteCode {
  const DotTerm *term;
  const StorageItem *item = nullptr; ///< of the field that the code is a function of; null: evaluated for each column
  std::vector<uint8_t> table;        ///< bytes for each pattern of the field; empty: the pattern itself
  uint8_t flip = 0;                  ///< sign bit of a signed field
  int64_t scale = 1, offset = 0;
  unsigned largest = 255;
};

class IntegerTile {
public:
  IntegerTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
              const ByteDot &dot, const ActivationLayout &x, TileBody &body)
      : op(op), b(b), storage(storage), lookup(lookup), dot(dot), x(x), body(body), factoring(storage.format()),
        evaluator(b, storage, lookup) {}

  LogicalResult emit() {
    run = x.group;
    for (const DotTerm &term : factoring.terms()) {
      run = std::gcd(run, term.run());
      if (term.kind != CodeKind::None)
        codes.push_back(byteCode(term));
    }
    if (!factoring.isIntegerDot() || run % 4 || run % x.sumRun) {
      InFlightDiagnostic diag = op.emitOpError()
                                << "cannot multiply '" << storage.source()->spec() << "' with integer activations";
      diag.attachNote() << "scales hold for runs of " << run << " columns, sums of activations for " << x.sumRun
                        << (factoring.isIntegerDot() ? "" : ", and codes are no bytes");
      return diag;
    }
    SmallVector<Value> sums = body.accumulators();
    for (int64_t first = 0; first < body.columns(); first += x.group) {
      SmallVector<Value> partial(body.tokens());
      for (int64_t column = first; column < std::min(first + x.group, body.columns()); column += run)
        if (failed(emitRun(column, partial))) {
          InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.source()->spec() << "'";
          diag.attachNote() << evaluator.problem();
          return diag;
        }
      for (int64_t t = 0; t < body.tokens(); t++) {
        Value scale = b.loadBroadcast(b.f32s, token(t, first, x.scale));
        sums[t] = b.fma(partial[t], scale, sums[t]);
      }
    }
    body.finish(sums);
    return success();
  }

private:
  /// Byte `offset` of the block of activations that has a column.
  Value token(int64_t t, int64_t column, int64_t offset) { return body.token(t, column / x.group * x.bytes + offset); }

  ByteCode byteCode(const DotTerm &term) {
    ByteCode code{&term};
    std::optional<FieldFunction> function = factoring.fieldFunction(term.code);
    const StorageItem *item = function ? storage.find(function->field->name) : nullptr;
    if (item && item->order == CellOrder::Quads && function->affine) {
      const unsigned width = function->field->width;
      code.item = item;
      code.scale = function->affine->scale;
      code.offset = function->affine->offset;
      code.largest = (1u << width) - 1;
      if (function->field->kind == FieldKind::Signed) {
        code.flip = 1u << (width - 1);
        code.offset -= code.scale * code.flip;
      }
      return code;
    }
    code.offset = std::min<int64_t>(term.range.low, 0);
    code.largest = term.range.high - code.offset;
    if (item && item->order == CellOrder::Quads && function->values.size() <= 16) {
      code.item = item;
      for (int64_t value : function->values)
        code.table.push_back(static_cast<uint8_t>(value - code.offset));
    }
    return code;
  }

  /// The bytes of four columns.
  FailureOr<Value> bytes(const ByteCode &code, int64_t column) {
    BlockReader &block = body.block(column);
    if (code.item) {
      Value bits = block.quads(*code.item, column % storage.columns() / 4);
      if (!code.table.empty())
        return lookup.bytes(b, code.table, bits);
      return code.flip ? b.bitXor(bits, b.splat(b.bytes, static_cast<int8_t>(code.flip))) : bits;
    }
    Value packed;
    for (unsigned j = 0; j < 4; j++) {
      evaluator.moveTo(block, (column + j) % storage.columns());
      FailureOr<Value> number = integerProduct(code.term->code);
      if (failed(number))
        return failure();
      Value byte = b.shl(b.sub(*number, b.splat(b.i32s, code.offset)), 8 * j);
      packed = packed ? b.bitOr(packed, byte) : byte;
    }
    return b.bitcast(b.bytes, packed);
  }

  FailureOr<Value> integerProduct(ArrayRef<Factor> factors) {
    Value product;
    for (const Factor &factor : factors) {
      FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
      if (failed(value))
        return failure();
      Value number = value->isFloat ? arith::FPToSIOp::create(b, b.i32s, scaled(*value, factor)).getResult()
                                    : evaluator.asIntegers(*value);
      product = product ? b.mul(product, number) : number;
    }
    return product;
  }

  Value scaled(const LaneValue &value, const Factor &factor) {
    Value number = evaluator.asFloats(value);
    return factor.exponent ? b.mul(number, b.splat(std::ldexp(1.0f, factor.exponent))) : number;
  }

  /// The product of the group factors of a term, with its sign.
  FailureOr<Value> groupProduct(const DotTerm &term) {
    Value product;
    for (const Factor &factor : term.group) {
      FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
      if (failed(value))
        return failure();
      Value number = scaled(*value, factor);
      product = product ? b.mul(product, number) : number;
    }
    if (!product)
      product = b.splat(1.0f);
    return term.negative ? arith::NegFOp::create(b, product).getResult() : product;
  }

  LogicalResult emitRun(int64_t column, SmallVectorImpl<Value> &partial) {
    SmallVector<Value> scales; // S, of each term with a code
    Value rest;                // B
    auto addRest = [&](Value v) { rest = rest ? b.add(rest, v) : v; };
    evaluator.moveTo(body.block(column), column % storage.columns());
    const ByteCode *code = codes.data();
    for (const DotTerm &term : factoring.terms()) {
      FailureOr<Value> product = groupProduct(term);
      if (failed(product))
        return failure();
      if (term.kind == CodeKind::None) {
        addRest(*product);
        continue;
      }
      if (code->offset)
        addRest(b.mul(*product, b.splat(static_cast<float>(code->offset))));
      scales.push_back(code->scale == 1 ? *product : b.mul(*product, b.splat(static_cast<float>(code->scale))));
      code++;
    }
    for (auto [code, scale] : llvm::zip(codes, scales)) {
      FailureOr<SmallVector<Value>> sums = dots(code, column);
      if (failed(sums))
        return failure();
      for (auto [sum, part] : llvm::zip(*sums, partial))
        part = part ? b.fma(b.toF32(sum), scale, part) : b.mul(b.toF32(sum), scale);
    }
    if (rest)
      for (auto [t, part] : llvm::enumerate(partial))
        part = b.fma(codeSum(t, column), rest, part);
    return success();
  }

  /// The sum of the codes of a run of activations, which is exact in any order.
  Value codeSum(int64_t t, int64_t column) {
    Value total;
    for (int64_t c = column; c < column + run; c += x.sumRun) {
      Value sum = b.load(b.getF32Type(), token(t, c, x.sums + c % x.group / x.sumRun * 4));
      total = total ? arith::AddFOp::create(b, total, sum).getResult() : sum;
    }
    return b.broadcast(b.f32s, total);
  }

  /// Sums of byte · code over a run, for each token.
  FailureOr<SmallVector<Value>> dots(const ByteCode &code, int64_t column) {
    // One token alone goes in two chains: what the dot product takes would be waited for otherwise.
    const int64_t chains = body.tokens() == 1 && run >= 16 ? 2 : 1;
    Value zero = b.splat(b.i32s, 0);
    SmallVector<Value> sums(body.tokens() * chains, zero);
    for (int64_t c = column; c < std::min(column + run, body.columns()); c += 4) {
      FailureOr<Value> weights = bytes(code, c);
      if (failed(weights))
        return failure();
      for (int64_t t = 0; t < body.tokens(); t++) {
        Value activations = b.loadBroadcast(b.i32s, token(t, c, x.codes + c % x.group));
        Value &sum = sums[t * chains + c / 4 % chains];
        sum = dot(b, sum, *weights, code.largest, activations);
      }
    }
    if (chains == 2)
      sums = {b.add(sums[0], sums[1])};
    return sums;
  }

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

} // namespace

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
