//===- Program.cpp - expressions as flat programs over many weights ---------------------------------------------===//
//
// A tree becomes a list of instructions, equal ones once, sums written out. It is run over `lanes` weights at a time, so that
// the loops inside the instructions do the work. Registers of integers and of floats are apart.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Decode.h"
#include <algorithm>
#include <array>
#include <cstring>

using namespace quantc;

static constexpr size_t lanes = 256, longest = 4000;
static constexpr unsigned none = ~0u;

namespace quantc {
struct Program::Instruction {
  enum Code {
    Constant, // integer or number
    PlaceInBlock,
    Row,
    Column,
    LoadField, // at the lane's cell, plus the register `a`
    LoadTable, // at the register `a`
    ToFloat,
    Operation,     // op on a, b, both of the operands' type; comparisons give integers
    FloatOperation,
    Select, // a ? b : c
    Abs,
    Min,
    Max,
    BitsF32,
    BitsF16,
    RoundF16,
    RoundBF16,
    Parity,
    CeilDiv
  } code = Constant;
  bool isFloat = false; ///< the result
  unsigned a = none, b = none, c = none;
  Operator op{};
  int64_t integer = 0;
  float number = 0;
  const Field *field = nullptr;
  const Table *table = nullptr;
  unsigned out = none;

  /// What makes two instructions give the same result.
  auto key() const { return std::tuple(code, isFloat, a, b, c, op, integer, std::bit_cast<uint32_t>(number), field, table); }
};
} // namespace quantc

using Code = Program::Instruction;

//===--- From a tree to instructions ----------------------------------------------------------------------------===//

namespace quantc {
/// Operands are numbers of instructions until registers are given out.
struct Program::Compiler {
  const Format &format;
  std::vector<Instruction> code = {};
  std::map<decltype(Instruction().key()), unsigned> known = {};
  std::vector<std::pair<std::string, int64_t>> variables = {}; ///< of the sums around
  bool tooLong = false;

  unsigned add(const Instruction &i) {
    auto [it, fresh] = known.emplace(i.key(), static_cast<unsigned>(code.size()));
    if (fresh)
      code.push_back(i);
    tooLong |= code.size() > longest;
    return it->second;
  }
  unsigned constant(int64_t value) { return add({.code = Code::Constant, .integer = value}); }
  unsigned operation(Operator op, unsigned a, unsigned b) { return add({.code = Code::Operation, .a = a, .b = b, .op = op}); }
  bool isFloat(const Expr &e) const { return format.typeOf(e) == ValueType::Float; }
  /// As f32 if `wanted`, else as it is.
  unsigned compile(const Expr &e, bool wanted) {
    const unsigned r = compile(e);
    return wanted && !isFloat(e) ? add({.code = Code::ToFloat, .isFloat = true, .a = r}) : r;
  }
  unsigned compile(const Expr &e);
  unsigned compileName(const Expr &e);
  unsigned compileCall(const Expr &e);
  unsigned compileBinary(const Expr &e);
  unsigned assignRegisters(unsigned result, std::array<unsigned, 2> &counts);
};
} // namespace quantc

unsigned Program::Compiler::compileName(const Expr &e) {
  for (auto variable = variables.rbegin(); variable != variables.rend(); ++variable) // the innermost of a name
    if (variable->first == e.name)
      return constant(variable->second);
  const Table *table = format.table(e.name);
  const Field *field = table ? nullptr : format.field(e.name);
  if (!table && !field)
    return add({.code = e.name == "n" ? Code::Row : e.name == "k" ? Code::Column : Code::PlaceInBlock});
  const std::vector<int64_t> &extents = table ? table->shape : field->array;
  unsigned index = none;
  for (size_t d = 0; d < extents.size(); d++) {
    const unsigned next = compile(*e.args[d]);
    index = d == 0 ? next : operation(Operator::Add, operation(Operator::Mul, index, constant(extents[d])), next);
  }
  return add({.code = table ? Code::LoadTable : Code::LoadField, .isFloat = isFloat(e), .a = index, .field = field, .table = table});
}

unsigned Program::Compiler::compileCall(const Expr &e) {
  static const std::tuple<const char *, Code::Code, bool> functions[] = { // and whether operands are f32 at any rate
      {"bits_f32", Code::BitsF32, false}, {"bits_f16", Code::BitsF16, false}, {"round_f16", Code::RoundF16, true},
      {"round_bf16", Code::RoundBF16, true}, {"parity", Code::Parity, false}, {"ceildiv", Code::CeilDiv, false},
      {"abs", Code::Abs, false}, {"min", Code::Min, false}, {"max", Code::Max, false}};
  auto function = std::ranges::find_if(functions, [&](auto &f) { return e.name == std::get<0>(f); });
  const Code::Code code = std::get<1>(*function);
  const bool result = isFloat(e);
  const bool wanted = std::get<2>(*function) || (result && (code == Code::Abs || code == Code::Min || code == Code::Max));
  const unsigned a = compile(*e.args[0], wanted);
  return add({.code = code, .isFloat = result, .a = a, .b = e.args.size() > 1 ? compile(*e.args[1], wanted) : none});
}

unsigned Program::Compiler::compileBinary(const Expr &e) {
  const bool floats = isFloat(*e.args[0]) || isFloat(*e.args[1]);
  const unsigned a = compile(*e.args[0], floats);
  if (floats)
    return add({.code = Code::FloatOperation, .isFloat = isFloat(e), .a = a, .b = compile(*e.args[1], true), .op = e.op});
  const Expr &right = *e.args[1];
  if (right.kind == ExprKind::Integer && right.integer > 0 && std::has_single_bit(static_cast<uint64_t>(right.integer))) {
    // Division that floors by a power of two is a shift, its remainder a mask.
    if (e.op == Operator::Div)
      return operation(Operator::Shr, a, constant(std::countr_zero(static_cast<uint64_t>(right.integer))));
    if (e.op == Operator::Rem)
      return operation(Operator::And, a, constant(right.integer - 1));
  }
  return operation(e.op, a, compile(right));
}

unsigned Program::Compiler::compile(const Expr &e) {
  if (tooLong)
    return 0;
  switch (e.kind) {
  case ExprKind::Integer:
    return constant(e.integer);
  case ExprKind::Float:
    return add({.code = Code::Constant, .isFloat = true, .number = e.number});
  case ExprKind::Name:
    return compileName(e);
  case ExprKind::Call:
    return compileCall(e);
  case ExprKind::Select: {
    const bool result = isFloat(e);
    const unsigned condition = compile(*e.args[0]), then = compile(*e.args[1], result), otherwise = compile(*e.args[2], result);
    return add({.code = Code::Select, .isFloat = result, .a = condition, .b = then, .c = otherwise});
  }
  case ExprKind::Sum: {
    const bool result = isFloat(e);
    unsigned total = none;
    for (int64_t j = 0; j < e.args[0]->integer && !tooLong; j++) {
      variables.emplace_back(e.name, j);
      const unsigned term = compile(*e.args[1]);
      variables.pop_back();
      total = j == 0 ? term : add({.code = result ? Code::FloatOperation : Code::Operation, .isFloat = result, .a = total, .b = term, .op = Operator::Add});
    }
    return total;
  }
  case ExprKind::Unary: {
    const bool floats = isFloat(*e.args[0]);
    return add({.code = floats ? Code::FloatOperation : Code::Operation, .isFloat = floats, .a = compile(*e.args[0]), .op = e.op});
  }
  case ExprKind::Binary:
    return compileBinary(e);
  }
  return 0;
}

/// Gives each result a register that nobody reads any more. Constants keep theirs: they are set once for a run. Returns the
/// register of the result.
unsigned Program::Compiler::assignRegisters(unsigned result, std::array<unsigned, 2> &counts) {
  std::vector<unsigned> lastUse(code.size());
  for (unsigned i = 0; i < code.size(); i++)
    for (unsigned operand : {code[i].a, code[i].b, code[i].c})
      if (operand != none)
        lastUse[operand] = i;
  lastUse[result] = none;
  std::array<std::vector<unsigned>, 2> unused;
  for (unsigned i = 0; i < code.size(); i++) {
    Instruction &at = code[i];
    auto &mine = unused[at.isFloat];
    if (mine.empty() || at.code == Code::Constant) {
      at.out = counts[at.isFloat]++;
    } else {
      at.out = mine.back();
      mine.pop_back();
    }
    for (unsigned *operand : {&at.a, &at.b, &at.c}) {
      if (*operand == none)
        continue;
      const Instruction &source = code[*operand];
      if (lastUse[*operand] == i && source.code != Code::Constant) {
        unused[source.isFloat].push_back(source.out);
        lastUse[*operand] = none; // once, where an operand is read twice
      }
      *operand = source.out;
    }
  }
  return code[result].out;
}

Result<Program> Program::compile(const Format &format, const ExprPtr &resolved) {
  Compiler compiler{format};
  const unsigned result = compiler.compile(*resolved);
  if (compiler.tooLong)
    return format.error(resolved->position, "the expression is too long once its sums are written out");
  Program program(format);
  program.resultType = format.typeOf(*resolved);
  program.result = compiler.assignRegisters(result, program.registers);
  auto isConstant = [](const Instruction &i) { return i.code == Code::Constant; };
  auto code = std::make_shared<std::vector<Instruction>>();
  std::ranges::copy_if(compiler.code, std::back_inserter(*code), isConstant);
  std::ranges::remove_copy_if(compiler.code, std::back_inserter(*code), isConstant);
  program.code = std::move(code);
  return program;
}

//===--- Running ------------------------------------------------------------------------------------------------===//

namespace quantc {
/// Registers of up to `lanes` weights, and where these stand.
struct Program::Machine {
  Machine(const Program &program, const FieldValues &fields, int64_t N, int64_t K, int64_t n)
      : fields(fields), N(N), K(K), n(n), integers(program.registers[0]), floats(program.registers[1]) {}
  const FieldValues &fields;
  int64_t N, K, n, k = 0;
  size_t count = 0;
  std::vector<std::array<int64_t, lanes>> integers;
  std::vector<std::array<float, lanes>> floats;
  std::vector<std::vector<int64_t>> cells; ///< by field; filled where a field is read first
};
} // namespace quantc

/// Cells of `count` weights from (n, k) on.
static void fillCells(const Format &format, const Field &f, int64_t N, int64_t K, int64_t n, int64_t k, size_t count, int64_t *out) {
  const int64_t array = f.arraySize(), end = k + static_cast<int64_t>(count);
  // Within a block, or a row, cells follow each other.
  const int64_t stretch = f.inside ? format.block()->columns : K;
  for (int64_t at = k; at < end;) {
    const int64_t stop = std::min(end, (at / stretch + 1) * stretch);
    int64_t cell = cellIndex(format, f, n, at, N, K);
    if (f.columns == 1) {
      for (; at < stop; at++, cell += array)
        *out++ = cell;
      continue;
    }
    while (at < stop) {
      const int64_t within = f.flat ? (n * K + at) % f.columns : f.columns ? at % f.columns : 0;
      const int64_t run = f.columns ? std::min(stop - at, f.columns - within) : stop - at;
      out = std::fill_n(out, run, cell);
      at += run;
      cell += array;
    }
  }
}

template <typename Body>
static void each(size_t count, Body body) {
  for (size_t l = 0; l < count; l++)
    body(l);
}

static void runFloat(Operator op, size_t count, const float *a, const float *b, float *out) {
  switch (op) {
  case Operator::Add: return each(count, [=](size_t l) { out[l] = a[l] + b[l]; });
  case Operator::Sub: return each(count, [=](size_t l) { out[l] = a[l] - b[l]; });
  case Operator::Mul: return each(count, [=](size_t l) { out[l] = a[l] * b[l]; });
  case Operator::Div: return each(count, [=](size_t l) { out[l] = a[l] / b[l]; });
  case Operator::Neg: return each(count, [=](size_t l) { out[l] = -a[l]; });
  default: return;
  }
}

static void runComparison(Operator op, size_t count, const float *a, const float *b, int64_t *out) {
  switch (op) {
  case Operator::Eq: return each(count, [=](size_t l) { out[l] = a[l] == b[l]; });
  case Operator::Ne: return each(count, [=](size_t l) { out[l] = a[l] != b[l]; });
  case Operator::Lt: return each(count, [=](size_t l) { out[l] = a[l] < b[l]; });
  case Operator::Le: return each(count, [=](size_t l) { out[l] = a[l] <= b[l]; });
  case Operator::Gt: return each(count, [=](size_t l) { out[l] = a[l] > b[l]; });
  case Operator::Ge: return each(count, [=](size_t l) { out[l] = a[l] >= b[l]; });
  default: return;
  }
}

/// One loop for each operator, so that the choice is outside of it.
static void runInteger(Operator op, size_t count, const int64_t *a, const int64_t *b, int64_t *out) {
#define QUANTC_LOOP(name)                                                                                              \
  case Operator::name:                                                                                                 \
    return each(count, [=](size_t l) { out[l] = applyInteger(Operator::name, a[l], b[l]); });
  switch (op) {
    QUANTC_LOOP(Add)
    QUANTC_LOOP(Sub)
    QUANTC_LOOP(Mul)
    QUANTC_LOOP(And)
    QUANTC_LOOP(Or)
    QUANTC_LOOP(Xor)
    QUANTC_LOOP(Shl)
    QUANTC_LOOP(Shr)
  default:
    return each(count, [=](size_t l) { out[l] = applyInteger(op, a[l], b[l]); });
  }
#undef QUANTC_LOOP
}

/// Values of a float field; `bits(l)` are its raw bits. The choice of the kind is outside of the loops.
template <typename Bits>
static void loadFloats(const Field &f, size_t count, Bits bits, float *out) {
  if (f.kind == FieldKind::F32)
    return each(count, [&](size_t l) { out[l] = fromBits(FieldKind::F32, bits(l)); });
  if (f.kind == FieldKind::F16)
    return each(count, [&](size_t l) { out[l] = fromF16(static_cast<uint16_t>(bits(l))); });
  if (f.width > 8)
    return each(count, [&](size_t l) { out[l] = fromBits(f.kind, bits(l)); });
  std::array<float, 256> table;
  for (uint64_t raw = 0; raw < uint64_t(1) << f.width; raw++)
    table[raw] = fromBits(f.kind, raw);
  each(count, [&](size_t l) { out[l] = table[bits(l)]; });
}

static void loadField(const Field &f, const uint64_t *raw, const int64_t *cells, const int64_t *index, size_t count, int64_t *integers, float *floats) {
  if (index) { // elements of the cell's array
    auto bits = [=](size_t l) { return raw[cells[l] + index[l]]; };
    if (isInteger(f.kind))
      return each(count, [&](size_t l) { integers[l] = integerFromBits(f.kind, f.width, bits(l)); });
    return loadFloats(f, count, bits, floats);
  }
  if (f.columns == 1 && cells[count - 1] - cells[0] == static_cast<int64_t>(count) - 1) { // one cell after the other
    const uint64_t *from = raw + cells[0];
    if (f.kind == FieldKind::Unsigned)
      return each(count, [=](size_t l) { integers[l] = static_cast<int64_t>(from[l]); });
    if (f.kind == FieldKind::Signed)
      return each(count, [=, shift = 64 - f.width](size_t l) { integers[l] = static_cast<int64_t>(from[l] << shift) >> shift; });
    return loadFloats(f, count, [=](size_t l) { return from[l]; }, floats);
  }
  for (size_t l = 0; l < count;) { // once for the neighbours that share a cell
    size_t end = l + 1;
    while (end < count && cells[end] == cells[l])
      end++;
    if (isInteger(f.kind))
      std::fill(integers + l, integers + end, integerFromBits(f.kind, f.width, raw[cells[l]]));
    else
      std::fill(floats + l, floats + end, fromBits(f.kind, raw[cells[l]]));
    l = end;
  }
}

void Program::run(Machine &m, bool constants) const {
  const size_t count = m.count;
  for (const Instruction &i : *code) {
    if ((i.code == Code::Constant) != constants) {
      if (constants)
        return; // they come first
      continue;
    }
    auto integer = [&](unsigned r) { return r == none ? nullptr : m.integers[r].data(); };
    auto number = [&](unsigned r) { return r == none ? nullptr : m.floats[r].data(); };
    int64_t *out = i.isFloat ? nullptr : integer(i.out);
    float *outFloat = i.isFloat ? number(i.out) : nullptr;
    switch (i.code) {
    case Code::Constant:
      if (i.isFloat)
        std::fill_n(outFloat, lanes, i.number);
      else
        std::fill_n(out, lanes, i.integer);
      break;
    case Code::Row:
      std::fill_n(out, count, m.n);
      break;
    case Code::Column:
      each(count, [&, k = m.k](size_t l) { out[l] = k + static_cast<int64_t>(l); });
      break;
    case Code::PlaceInBlock: {
      const BlockShape &block = *format->block();
      const int64_t row = m.n % block.rows * block.columns;
      int64_t column = m.k % block.columns;
      each(count, [&](size_t l) {
        out[l] = row + column;
        column = column + 1 == block.columns ? 0 : column + 1;
      });
      break;
    }
    case Code::LoadField: {
      auto &cells = m.cells[i.field->index];
      if (cells.empty()) {
        cells.resize(lanes);
        fillCells(*format, *i.field, m.N, m.K, m.n, m.k, count, cells.data());
      }
      loadField(*i.field, m.fields[i.field->index].data(), cells.data(), integer(i.a), count, out, outFloat);
      break;
    }
    case Code::LoadTable:
      if (i.isFloat)
        each(count, [&, at = integer(i.a), from = i.table->floats.data()](size_t l) { outFloat[l] = from[at[l]]; });
      else
        each(count, [&, at = integer(i.a), from = i.table->integers.data()](size_t l) { out[l] = from[at[l]]; });
      break;
    case Code::ToFloat:
      each(count, [&, a = integer(i.a)](size_t l) { outFloat[l] = static_cast<float>(a[l]); });
      break;
    case Code::Operation:
      runInteger(i.op, count, integer(i.a), i.b == none ? integer(i.a) : integer(i.b), out);
      break;
    case Code::FloatOperation:
      if (i.isFloat)
        runFloat(i.op, count, number(i.a), number(i.b), outFloat);
      else
        runComparison(i.op, count, number(i.a), number(i.b), out);
      break;
    case Code::Select:
      if (i.isFloat)
        each(count, [&, a = integer(i.a), b = number(i.b), c = number(i.c)](size_t l) { outFloat[l] = a[l] ? b[l] : c[l]; });
      else
        each(count, [&, a = integer(i.a), b = integer(i.b), c = integer(i.c)](size_t l) { out[l] = a[l] ? b[l] : c[l]; });
      break;
    case Code::Abs:
      if (i.isFloat)
        each(count, [&, a = number(i.a)](size_t l) { outFloat[l] = std::fabs(a[l]); });
      else
        each(count, [&, a = integer(i.a)](size_t l) { out[l] = a[l] < 0 ? applyInteger(Operator::Neg, a[l], 0) : a[l]; });
      break;
    case Code::Min:
      if (i.isFloat)
        each(count, [&, a = number(i.a), b = number(i.b)](size_t l) { outFloat[l] = std::min(a[l], b[l]); });
      else
        each(count, [&, a = integer(i.a), b = integer(i.b)](size_t l) { out[l] = std::min(a[l], b[l]); });
      break;
    case Code::Max:
      if (i.isFloat)
        each(count, [&, a = number(i.a), b = number(i.b)](size_t l) { outFloat[l] = std::max(a[l], b[l]); });
      else
        each(count, [&, a = integer(i.a), b = integer(i.b)](size_t l) { out[l] = std::max(a[l], b[l]); });
      break;
    case Code::BitsF32:
      each(count, [&, a = integer(i.a)](size_t l) { outFloat[l] = std::bit_cast<float>(static_cast<uint32_t>(a[l])); });
      break;
    case Code::BitsF16:
      each(count, [&, a = integer(i.a)](size_t l) { outFloat[l] = fromF16(static_cast<uint16_t>(a[l])); });
      break;
    case Code::RoundF16:
      each(count, [&, a = number(i.a)](size_t l) { outFloat[l] = fromF16(toF16(a[l])); });
      break;
    case Code::RoundBF16:
      each(count, [&, a = number(i.a)](size_t l) { outFloat[l] = fromBF16(toBF16(a[l])); });
      break;
    case Code::Parity:
      each(count, [&, a = integer(i.a)](size_t l) { out[l] = std::popcount(static_cast<uint64_t>(a[l])) & 1; });
      break;
    case Code::CeilDiv:
      each(count, [&, a = integer(i.a), b = integer(i.b)](size_t l) {
        out[l] = applyInteger(Operator::Neg, applyInteger(Operator::Div, applyInteger(Operator::Neg, a[l], 0), b[l]), 0);
      });
      break;
    }
  }
}

/// Runs over `total` weights in pieces; store(done, count) takes what a piece has given.
template <typename Store>
void Program::runAll(Machine &m, int64_t k, size_t total, Store store) const {
  run(m, true);
  for (size_t done = 0; done < total; done += lanes) {
    m.k = k + static_cast<int64_t>(done);
    m.count = std::min(lanes, total - done);
    m.cells.assign(format->fields().size(), {});
    run(m, false);
    store(done, m.count);
  }
}

void Program::floats(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total, float *out) const {
  Machine m(*this, fields, N, K, n);
  runAll(m, k, total, [&](size_t done, size_t count) { std::copy_n(m.floats[result].data(), count, out + done); });
}

void Program::integers(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total, int64_t *out) const {
  Machine m(*this, fields, N, K, n);
  runAll(m, k, total, [&](size_t done, size_t count) { std::copy_n(m.integers[result].data(), count, out + done); });
}
