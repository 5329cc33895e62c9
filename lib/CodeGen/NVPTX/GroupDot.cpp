//===- GroupDot.cpp - the body of a tile of a warp group ----------------------------------------------------------===//
//
// Term after term, run after run, step after step of 16 columns: codes into registers, then a product that is under way
// while those of the next step are made. Two sets of codes are alive: `wait 1` ends the product before the last. A run
// ends with a wait for all of it; then its factor multiplies the sums.
//
// Upstream's nvvm.wgmma.mma_async takes operand A from shared memory only, hence assembly. So are the fence and the
// wait that ends a run: the codes, and the sums, pass through them, which keeps LLVM from moving what makes or uses
// them to the other side.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "WarpDot.h"
#include "WarpGroup.h"
#include "WeightTerms.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/StringExtras.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace mlir;
using namespace quantc;

namespace {

/// One product: a step of a run of a term.
struct Step {
  const WeightTerm *term;
  int64_t step, begin, end; ///< of the run, in steps
};

class GroupDot {
public:
  GroupDot(qf::WarpDotOp op, Value acc, const FragmentStorage &storage, OpBuilder::Listener *listener)
      : op(op), acc(acc), element(typeOfX().getElementType()), tokens(op.getAcc().getType().getDimSize(0)),
        columns(typeOfX().getDimSize(0) / tokens * WarpGroup::panelColumns),
        weights(op, storage, op.getW(), /*rowTiles=*/1, columns, element, listener), b(weights.builder()) {}

  FailureOr<Value> emit();

private:
  MemRefType typeOfX() { return cast<MemRefType>(op.getX().getType()); }
  std::vector<Step> steps() const;
  Value firstDescriptor();
  FailureOr<SmallVector<Value>> codes(const Step &step);
  SmallVector<Value> assembly(const std::string &text, TypeRange results, ArrayRef<std::string> constraints,
                              ValueRange operands);
  SmallVector<Value> pass(StringRef text, ValueRange values);
  SmallVector<Value> multiply(ValueRange codes, int64_t step, ValueRange sums);
  LogicalResult addRun(const Step &last, ValueRange sums);
  Value i64(int64_t v) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(v)); }

  qf::WarpDotOp op;
  Value acc;
  Type element; ///< f16 or bf16
  int64_t tokens, columns;
  WeightTerms weights;
  LaneBuilder &b;
  Value descriptor;         ///< of the first step's activations
  SmallVector<Value> total; ///< f32 of a lane, in the order of the instruction: 4 for each 8 tokens
};

} // namespace

std::vector<Step> GroupDot::steps() const {
  constexpr int64_t width = FragmentStorage::stepColumns;
  std::vector<Step> all;
  for (const WeightTerm &term : weights.terms()) {
    const int64_t run = (term.run ? term.run : columns) / width;
    for (int64_t step = 0; step < columns / width; step++)
      all.push_back({&term, step, step / run * run, step / run * run + run});
  }
  return all;
}

/// Where the panels begin, in units of 16 bytes; 8 rows of 128 bytes lie 1024 bytes from the next 8; chunks are placed
/// as the swizzling of 128 bytes has them.
Value GroupDot::firstDescriptor() {
  constexpr int64_t swizzle128 = int64_t(1) << 62, stride = int64_t(1024 / 16) << 32, unused = int64_t(1) << 16;
  auto view = memref::ExtractStridedMetadataOp::create(b, op.getX());
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, op.getX());
  Value offset = arith::MulIOp::create(b, view.getOffset(), arith::ConstantIndexOp::create(b, 2));
  address = arith::IndexCastOp::create(b, b.getI64Type(), arith::AddIOp::create(b, address, offset));
  address = arith::ShRUIOp::create(b, arith::AndIOp::create(b, address, i64(0x3ffff)), i64(4));
  return arith::OrIOp::create(b, address, i64(swizzle128 | stride | unused));
}

/// Operand A as words.
FailureOr<SmallVector<Value>> GroupDot::codes(const Step &step) {
  FailureOr<Fragment> fragment = weights.codes(*step.term, step.step, 0);
  if (failed(fragment))
    return failure();
  SmallVector<Value> words;
  auto word = VectorType::get({1}, b.getI32Type());
  for (Value pair : *fragment)
    words.push_back(pair.getType().isInteger(32)
                        ? pair
                        : vector::ExtractOp::create(b, vector::BitCastOp::create(b, word, pair), 0).getResult());
  return words;
}

SmallVector<Value> GroupDot::assembly(const std::string &text, TypeRange results, ArrayRef<std::string> constraints,
                                      ValueRange operands) {
  auto none = LLVM::TailCallKindAttr::get(b.getContext(), LLVM::tailcallkind::TailCallKind::None);
  auto att = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(results));
  Value all = LLVM::InlineAsmOp::create(b, TypeRange{type}, operands, b.getStringAttr(text),
                                        b.getStringAttr(llvm::join(constraints, ",")), b.getUnitAttr(), UnitAttr(),
                                        none, att, ArrayAttr())
                  .getResult(0);
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); i++)
    values.push_back(LLVM::ExtractValueOp::create(b, all, static_cast<int64_t>(i)));
  return values;
}

/// Values on the other side of an instruction.
SmallVector<Value> GroupDot::pass(StringRef text, ValueRange values) {
  std::vector<std::string> constraints;
  for (Value value : values)
    constraints.push_back(value.getType().isF32() ? "=f" : "=r");
  for (size_t i = 0; i < values.size(); i++)
    constraints.push_back(std::to_string(i));
  return assembly(text.str(), values.getTypes(), constraints, values);
}

/// `sums` are none where the product is a run's first.
SmallVector<Value> GroupDot::multiply(ValueRange codes, int64_t step, ValueRange sums) {
  const int64_t count = tokens / 2, perPanel = WarpGroup::panelColumns / FragmentStorage::stepColumns;
  const int64_t bytes = step / perPanel * tokens * 128 + step % perPanel * FragmentStorage::stepColumns * 2;
  std::vector<std::string> names, constraints(static_cast<size_t>(count), "=f");
  for (int64_t i = 0; i < count; i++)
    names.push_back(fmt::format("${}", i));
  for (size_t i = 0; i < sums.size(); i++)
    constraints.push_back(std::to_string(i));
  constraints.insert(constraints.end(), {"r", "r", "r", "r", "l"});
  const int64_t a = count + static_cast<int64_t>(sums.size());
  const char *type = element.isF16() ? "f16" : "bf16";
  const std::string text =
      fmt::format("{{ .reg .pred p; setp.ne.b32 p, {}, 0; wgmma.mma_async.sync.aligned.m64n{}k16."
                  "f32.{}.{} {{{}}}, {{${}, ${}, ${}, ${}}}, ${}, p, 1, 1, 0; }}",
                  sums.empty() ? 0 : 1, tokens, type, type, fmt::join(names, ", "), a, a + 1, a + 2, a + 3, a + 4);
  SmallVector<Value> operands(sums);
  llvm::append_range(operands, codes);
  operands.push_back(arith::AddIOp::create(b, descriptor, i64(bytes / 16)));
  return assembly(text, SmallVector<Type>(static_cast<size_t>(count), b.getF32Type()), constraints, operands);
}

/// total += F · sums of a run that ended.
LogicalResult GroupDot::addRun(const Step &last, ValueRange sums) {
  FailureOr<SmallVector<Value>> scales =
      weights.factors(*last.term, last.begin * FragmentStorage::stepColumns, /*rowTile=*/0);
  if (failed(scales))
    return failure();
  for (size_t i = 0; i < total.size(); i++)
    total[i] = LLVM::FMAOp::create(b, (*scales)[i % 4 / 2], sums[i], total[i]);
  return success();
}

FailureOr<Value> GroupDot::emit() {
  auto place = [](int64_t i) { return SmallVector<int64_t>{0, i / 4, i / 2 % 2, i % 2}; };
  for (int64_t i = 0; i < tokens / 2; i++)
    total.push_back(vector::ExtractOp::create(b, acc, place(i)));
  descriptor = firstDescriptor();
  const std::vector<Step> all = steps();
  FailureOr<SmallVector<Value>> next = codes(all.front());
  SmallVector<Value> sums;
  for (size_t i = 0; i < all.size(); i++) {
    const Step &step = all[i];
    if (failed(next))
      return failure();
    const bool begins = step.step == step.begin, scaled = step.term->run != 0;
    if (begins)
      sums = scaled ? SmallVector<Value>() : total;
    // Sums that a product has under way must not be touched; those that none has yet pass the fence with the codes.
    SmallVector<Value> fenced = *next;
    if (begins)
      llvm::append_range(fenced, sums);
    fenced = pass("wgmma.fence.sync.aligned;", fenced);
    if (begins)
      sums.assign(fenced.begin() + 4, fenced.end());
    sums = multiply(ArrayRef(fenced).take_front(4), step.step, sums);
    NVVM::WgmmaGroupSyncAlignedOp::create(b);
    if (i + 1 < all.size())
      next = codes(all[i + 1]);
    if (step.step + 1 < step.end) {
      NVVM::WgmmaWaitGroupSyncOp::create(b, 1);
      continue;
    }
    sums = pass("wgmma.wait_group.sync.aligned 0;", sums);
    if (!scaled)
      total = sums;
    else if (failed(addRun(step, sums)))
      return failure();
  }
  Value result = acc;
  for (auto [i, sum] : llvm::enumerate(total))
    result = vector::InsertOp::create(b, sum, result, place(static_cast<int64_t>(i)));
  return result;
}

SmallVector<Value> WarpGroup::placeInPanels(ImplicitLocOpBuilder &b, ValueRange at, int64_t tokens) {
  auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
  constexpr int64_t chunk = 8; // numbers of 16 bytes
  Value panel = arith::DivUIOp::create(b, at[1], index(panelColumns));
  Value row = arith::AddIOp::create(b, arith::MulIOp::create(b, panel, index(tokens)), at[0]);
  Value place = arith::DivUIOp::create(b, arith::RemUIOp::create(b, at[1], index(panelColumns)), index(chunk));
  place = arith::XOrIOp::create(b, place, arith::RemUIOp::create(b, at[0], index(8)));
  return {row, arith::MulIOp::create(b, place, index(chunk))};
}

FailureOr<Value> quantc::emitGroupDot(qf::WarpDotOp dot, Value acc, OpBuilder::Listener *listener) {
  FailureOr<FragmentStorage> storage = fragmentsOf(dot, cast<qf::ElemType>(dot.getFormat()));
  if (failed(storage))
    return failure();
  return GroupDot(dot, acc, *storage, listener).emit();
}
