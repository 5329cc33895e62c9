//===- Decode.cpp - expressions as flat programs over many weights ----------------------------------------------===//

#include "quantc/Format/Decode.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

//===--- Numbers ------------------------------------------------------------------------------------------------===//

/// A float of `e` exponent and `m` mantissa bits with subnormals. `nan`: all ones; `ieee`: the highest exponent is infinity and NaN.
static float minifloat(uint64_t raw, int e, int m, int bias, bool nan, bool ieee) {
  const int64_t exponent = int64_t(raw >> m) & ((1 << e) - 1), mantissa = int64_t(raw) & ((1 << m) - 1);
  float value;
  if (ieee && exponent == (1 << e) - 1)
    value = mantissa ? NAN : INFINITY;
  else if (nan && exponent == (1 << e) - 1 && mantissa == (1 << m) - 1)
    value = NAN;
  else if (exponent == 0)
    value = std::ldexp(float(mantissa), 1 - bias - m);
  else
    value = std::ldexp(float(mantissa + (int64_t(1) << m)), int(exponent) - bias - m);
  return raw >> (e + m) & 1 ? -value : value;
}

float quantc::fromBits(FieldKind kind, uint64_t raw) {
  switch (kind) {
  case FieldKind::F32: return std::bit_cast<float>(static_cast<uint32_t>(raw));
  case FieldKind::F16: return fromF16(static_cast<uint16_t>(raw));
  case FieldKind::BF16: return fromBF16(static_cast<uint16_t>(raw));
  case FieldKind::E4M3: return minifloat(raw, 4, 3, 7, true, false);
  case FieldKind::E5M2: return minifloat(raw, 5, 2, 15, false, true);
  case FieldKind::E8M0: return raw == 255 ? NAN : std::ldexp(1.0f, int(raw) - 127);
  case FieldKind::E2M1: return minifloat(raw, 2, 1, 1, false, false);
  case FieldKind::E2M3: return minifloat(raw, 2, 3, 1, false, false);
  case FieldKind::E3M2: return minifloat(raw, 3, 2, 3, false, false);
  default: return 0;
  }
}

//===--- Cells --------------------------------------------------------------------------------------------------===//

FieldValues quantc::zeroFields(const Format &format, int64_t N, int64_t K) {
  FieldValues values;
  for (const Field &f : format.fields()) {
    const int64_t blocks = f.inside ? (N / format.block()->rows) * (K / format.block()->columns) : 1;
    values.emplace_back(static_cast<size_t>(blocks * format.cellCount(f, N, K)));
  }
  return values;
}

/// Cells of a row of a field's grid, over `columns` columns.
static int64_t cellsAcross(const Field &f, int64_t columns) { return f.columns ? (columns + f.columns - 1) / f.columns : 1; }

int64_t quantc::cellIndex(const Format &format, const Field &f, int64_t n, int64_t k, int64_t N, int64_t K) {
  const int64_t array = f.arraySize();
  if (f.flat)
    return (n * K + k) / f.columns * array;
  int64_t block = 0, columns = K;
  if (f.inside) {
    const BlockShape &b = *format.block();
    block = (n / b.rows * (K / b.columns) + k / b.columns) * format.cellCount(f, N, K);
    n %= b.rows;
    k %= b.columns;
    columns = b.columns;
  }
  return block + ((f.rows ? n / f.rows : 0) * cellsAcross(f, columns) + (f.columns ? k / f.columns : 0)) * array;
}

//===--- Programs -----------------------------------------------------------------------------------------------===//

namespace quantc {
struct Program::Instruction {
  enum Code {
    Constant,      // register = integer or number
    Variable,      // i, n or k
    LoadField,     // field at the lane's cell plus the register `a` (or none)
    LoadTable,     // table at register `a`
    ToFloat,       // integer to f32
    IntegerOp,     // op on a, b
    FloatOp,       // op on a, b; comparisons give an integer
    SelectInteger, // a ? b : c
    SelectFloat,
    AbsInteger, AbsFloat, MinInteger, MinFloat, MaxInteger, MaxFloat,
    BitsF32, BitsF16, RoundF16, RoundBF16, Parity, CeilDiv
  } code;
  unsigned out = 0, a = 0, b = 0, c = 0;
  Operator op{};
  int64_t integer = 0;
  float number = 0;
  char variable = 0;
  const Field *field = nullptr;
  const Table *table = nullptr;
  bool indexed = false;
};
} // namespace quantc

using Code = Program::Instruction;
static constexpr unsigned none = ~0u;
static constexpr size_t lanes = 256;

namespace quantc {
/// Turns a tree into instructions; sums are unrolled.
struct Program::Compiler {
  Program &program;
  const Format &format;
  std::vector<std::pair<std::string, int64_t>> variables = {};
  bool tooLong = false;

  unsigned add(Instruction i) {
    if (program.code->size() > 4000)
      tooLong = true;
    else
      program.code->push_back(i);
    return program.code->back().out = program.registers++;
  }
  unsigned asFloat(const Expr &e) {
    unsigned r = compile(e);
    return format.typeOf(e) == ValueType::Float ? r : add({.code = Code::ToFloat, .a = r});
  }
  unsigned compile(const Expr &e);
  unsigned compileName(const Expr &e);
  unsigned compileCall(const Expr &e);
};
} // namespace quantc

unsigned Program::Compiler::compileName(const Expr &e) {
  for (auto it = variables.rbegin(); it != variables.rend(); ++it)
    if (it->first == e.name)
      return add({.code = Code::Constant, .integer = it->second});
  const Table *table = format.table(e.name);
  const Field *field = table ? nullptr : format.field(e.name);
  if (!table && !field)
    return add({.code = Code::Variable, .variable = e.name[0]});
  const std::vector<int64_t> &extents = table ? table->shape : field->array;
  unsigned index = none;
  for (size_t d = 0; d < extents.size(); d++) {
    unsigned next = compile(*e.args[d]);
    if (index == none) {
      index = next;
      continue;
    }
    unsigned extent = add({.code = Code::Constant, .integer = extents[d]});
    unsigned scaled = add({.code = Code::IntegerOp, .a = index, .b = extent, .op = Operator::Mul});
    index = add({.code = Code::IntegerOp, .a = scaled, .b = next, .op = Operator::Add});
  }
  const bool indexed = index != none;
  return add({.code = table ? Code::LoadTable : Code::LoadField, .a = indexed ? index : 0, .field = field, .table = table, .indexed = indexed});
}

unsigned Program::Compiler::compileCall(const Expr &e) {
  const bool isFloat = format.typeOf(e) == ValueType::Float;
  static const std::pair<const char *, Code::Code> unary[] = {
      {"bits_f32", Code::BitsF32}, {"bits_f16", Code::BitsF16}, {"round_f16", Code::RoundF16}, {"round_bf16", Code::RoundBF16}, {"parity", Code::Parity}};
  for (auto &[name, code] : unary)
    if (e.name == name)
      return add({.code = code, .a = code == Code::RoundF16 || code == Code::RoundBF16 ? asFloat(*e.args[0]) : compile(*e.args[0])});
  auto operand = [&](size_t i) { return isFloat ? asFloat(*e.args[i]) : compile(*e.args[i]); };
  const unsigned a = operand(0);
  if (e.name == "abs")
    return add({.code = isFloat ? Code::AbsFloat : Code::AbsInteger, .a = a});
  const unsigned b = operand(1);
  if (e.name == "ceildiv")
    return add({.code = Code::CeilDiv, .a = a, .b = b});
  if (e.name == "min")
    return add({.code = isFloat ? Code::MinFloat : Code::MinInteger, .a = a, .b = b});
  return add({.code = isFloat ? Code::MaxFloat : Code::MaxInteger, .a = a, .b = b});
}

unsigned Program::Compiler::compile(const Expr &e) {
  if (tooLong)
    return 0;
  switch (e.kind) {
  case ExprKind::Integer:
    return add({.code = Code::Constant, .integer = e.integer});
  case ExprKind::Float:
    return add({.code = Code::Constant, .number = e.number});
  case ExprKind::Name:
    return compileName(e);
  case ExprKind::Call:
    return compileCall(e);
  case ExprKind::Select: {
    const bool isFloat = format.typeOf(e) == ValueType::Float;
    unsigned condition = compile(*e.args[0]);
    unsigned then = isFloat ? asFloat(*e.args[1]) : compile(*e.args[1]);
    unsigned otherwise = isFloat ? asFloat(*e.args[2]) : compile(*e.args[2]);
    return add({.code = isFloat ? Code::SelectFloat : Code::SelectInteger, .a = condition, .b = then, .c = otherwise});
  }
  case ExprKind::Sum: {
    const bool isFloat = format.typeOf(e) == ValueType::Float;
    unsigned total = 0;
    for (int64_t j = 0; j < e.args[0]->integer && !tooLong; j++) {
      variables.emplace_back(e.name, j);
      unsigned term = compile(*e.args[1]);
      variables.pop_back();
      total = j == 0 ? term : add({.code = isFloat ? Code::FloatOp : Code::IntegerOp, .a = total, .b = term, .op = Operator::Add});
    }
    return total;
  }
  case ExprKind::Unary: {
    if (format.typeOf(*e.args[0]) == ValueType::Float)
      return add({.code = Code::FloatOp, .a = compile(*e.args[0]), .op = e.op});
    return add({.code = Code::IntegerOp, .a = compile(*e.args[0]), .op = e.op});
  }
  case ExprKind::Binary: {
    const bool isFloat = format.typeOf(*e.args[0]) == ValueType::Float || format.typeOf(*e.args[1]) == ValueType::Float;
    unsigned a = isFloat ? asFloat(*e.args[0]) : compile(*e.args[0]);
    unsigned b = isFloat ? asFloat(*e.args[1]) : compile(*e.args[1]);
    return add({.code = isFloat ? Code::FloatOp : Code::IntegerOp, .a = a, .b = b, .op = e.op});
  }
  }
  return 0;
}

Result<Program> Program::compile(const Format &format, const ExprPtr &resolved) {
  Program program(format);
  program.code = std::make_shared<std::vector<Instruction>>();
  Compiler compiler{program, format};
  program.result = compiler.compile(*resolved);
  program.resultType = format.typeOf(*resolved);
  if (compiler.tooLong)
    return format.error(resolved->position, "the expression is too long once its sums are written out");
  return program;
}

namespace quantc {
/// Registers of up to `lanes` weights, and where these stand.
struct Program::Machine {
  union Register {
    int64_t integers[lanes];
    float floats[lanes];
  };
  const FieldValues &fields;
  int64_t N, K, n, k;
  size_t count;
  std::vector<Register> registers;
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

static void runFloat(Operator op, size_t count, const float *a, const float *b, float *out, int64_t *flags) {
  switch (op) {
  case Operator::Add: return each(count, [=](size_t l) { out[l] = a[l] + b[l]; });
  case Operator::Sub: return each(count, [=](size_t l) { out[l] = a[l] - b[l]; });
  case Operator::Mul: return each(count, [=](size_t l) { out[l] = a[l] * b[l]; });
  case Operator::Div: return each(count, [=](size_t l) { out[l] = a[l] / b[l]; });
  case Operator::Neg: return each(count, [=](size_t l) { out[l] = -a[l]; });
  case Operator::Eq: return each(count, [=](size_t l) { flags[l] = a[l] == b[l]; });
  case Operator::Ne: return each(count, [=](size_t l) { flags[l] = a[l] != b[l]; });
  case Operator::Lt: return each(count, [=](size_t l) { flags[l] = a[l] < b[l]; });
  case Operator::Le: return each(count, [=](size_t l) { flags[l] = a[l] <= b[l]; });
  case Operator::Gt: return each(count, [=](size_t l) { flags[l] = a[l] > b[l]; });
  case Operator::Ge: return each(count, [=](size_t l) { flags[l] = a[l] >= b[l]; });
  default: return;
  }
}

static void runInteger(Operator op, size_t count, const int64_t *a, const int64_t *b, int64_t *out) {
  // The usual ones by themselves, so that they become vector code.
  switch (op) {
  case Operator::Add: return each(count, [=](size_t l) { out[l] = int64_t(uint64_t(a[l]) + uint64_t(b[l])); });
  case Operator::Sub: return each(count, [=](size_t l) { out[l] = int64_t(uint64_t(a[l]) - uint64_t(b[l])); });
  case Operator::And: return each(count, [=](size_t l) { out[l] = a[l] & b[l]; });
  default: return each(count, [=](size_t l) { out[l] = applyInteger(op, a[l], b[l]); });
  }
}

void Program::run(Machine &m) const {
  const size_t count = m.count;
  for (const Instruction &i : *code) {
    auto &out = m.registers[i.out];
    const auto &a = m.registers[i.a], &b = m.registers[i.b], &c = m.registers[i.c];
    switch (i.code) {
    case Instruction::Constant:
      // Either member; the types were settled when the program was made.
      if (i.number != 0)
        std::fill_n(out.floats, count, i.number);
      else
        std::fill_n(out.integers, count, i.integer);
      break;
    case Instruction::Variable:
      if (i.variable == 'n')
        std::fill_n(out.integers, count, m.n);
      else if (i.variable == 'k')
        each(count, [&](size_t l) { out.integers[l] = m.k + int64_t(l); });
      else
        each(count, [&](size_t l) {
          const BlockShape &block = *format->block();
          out.integers[l] = m.n % block.rows * block.columns + (m.k + int64_t(l)) % block.columns;
        });
      break;
    case Instruction::LoadField: {
      const Field &f = *i.field;
      auto &cells = m.cells[f.index];
      if (cells.empty()) {
        cells.resize(lanes);
        fillCells(*format, f, m.N, m.K, m.n, m.k, count, cells.data());
      }
      const uint64_t *raw = m.fields[f.index].data();
      auto bits = [&](size_t l) { return raw[cells[l] + (i.indexed ? a.integers[l] : 0)]; };
      if (f.kind == FieldKind::Unsigned && !i.indexed)
        each(count, [&](size_t l) { out.integers[l] = static_cast<int64_t>(raw[cells[l]]); });
      else if (isInteger(f.kind))
        each(count, [&](size_t l) { out.integers[l] = integerFromBits(f.kind, f.width, bits(l)); });
      else if (f.columns > 1 && !i.indexed) // neighbours share the cell: convert once
        for (size_t l = 0; l < count; l++)
          out.floats[l] = l && cells[l] == cells[l - 1] ? out.floats[l - 1] : fromBits(f.kind, bits(l));
      else
        each(count, [&](size_t l) { out.floats[l] = fromBits(f.kind, bits(l)); });
      break;
    }
    case Instruction::LoadTable:
      if (i.table->isFloat)
        each(count, [&](size_t l) { out.floats[l] = i.table->floats[a.integers[l]]; });
      else
        each(count, [&](size_t l) { out.integers[l] = i.table->integers[a.integers[l]]; });
      break;
    case Instruction::ToFloat:
      each(count, [&](size_t l) { out.floats[l] = static_cast<float>(a.integers[l]); });
      break;
    case Instruction::IntegerOp:
      runInteger(i.op, count, a.integers, b.integers, out.integers);
      break;
    case Instruction::FloatOp:
      runFloat(i.op, count, a.floats, b.floats, out.floats, out.integers);
      break;
    case Instruction::SelectInteger:
      each(count, [&](size_t l) { out.integers[l] = a.integers[l] ? b.integers[l] : c.integers[l]; });
      break;
    case Instruction::SelectFloat:
      each(count, [&](size_t l) { out.floats[l] = a.integers[l] ? b.floats[l] : c.floats[l]; });
      break;
    case Instruction::AbsInteger:
      each(count, [&](size_t l) { out.integers[l] = a.integers[l] < 0 ? applyInteger(Operator::Neg, a.integers[l], 0) : a.integers[l]; });
      break;
    case Instruction::AbsFloat:
      each(count, [&](size_t l) { out.floats[l] = std::fabs(a.floats[l]); });
      break;
    case Instruction::MinInteger:
      each(count, [&](size_t l) { out.integers[l] = std::min(a.integers[l], b.integers[l]); });
      break;
    case Instruction::MinFloat:
      each(count, [&](size_t l) { out.floats[l] = std::min(a.floats[l], b.floats[l]); });
      break;
    case Instruction::MaxInteger:
      each(count, [&](size_t l) { out.integers[l] = std::max(a.integers[l], b.integers[l]); });
      break;
    case Instruction::MaxFloat:
      each(count, [&](size_t l) { out.floats[l] = std::max(a.floats[l], b.floats[l]); });
      break;
    case Instruction::BitsF32:
      each(count, [&](size_t l) { out.floats[l] = std::bit_cast<float>(static_cast<uint32_t>(a.integers[l])); });
      break;
    case Instruction::BitsF16:
      each(count, [&](size_t l) { out.floats[l] = fromF16(static_cast<uint16_t>(a.integers[l])); });
      break;
    case Instruction::RoundF16:
      each(count, [&](size_t l) { out.floats[l] = fromF16(toF16(a.floats[l])); });
      break;
    case Instruction::RoundBF16:
      each(count, [&](size_t l) { out.floats[l] = fromBF16(toBF16(a.floats[l])); });
      break;
    case Instruction::Parity:
      each(count, [&](size_t l) { out.integers[l] = std::popcount(static_cast<uint32_t>(a.integers[l])) & 1; });
      break;
    case Instruction::CeilDiv:
      each(count, [&](size_t l) {
        out.integers[l] = applyInteger(Operator::Neg, applyInteger(Operator::Div, applyInteger(Operator::Neg, a.integers[l], 0), b.integers[l]), 0);
      });
      break;
    }
  }
}

template <typename Store>
static void inPieces(size_t total, Store store) {
  for (size_t done = 0; done < total; done += lanes)
    store(done, std::min(lanes, total - done));
}

void Program::floats(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total, float *out) const {
  Machine m{fields, N, K, n, k, 0, std::vector<Machine::Register>(registers), {}};
  inPieces(total, [&](size_t done, size_t count) {
    m.k = k + int64_t(done);
    m.count = count;
    m.cells.assign(format->fields().size(), {});
    run(m);
    std::memcpy(out + done, m.registers[result].floats, count * sizeof(float));
  });
}

void Program::integers(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total, int64_t *out) const {
  Machine m{fields, N, K, n, k, 0, std::vector<Machine::Register>(registers), {}};
  inPieces(total, [&](size_t done, size_t count) {
    m.k = k + int64_t(done);
    m.count = count;
    m.cells.assign(format->fields().size(), {});
    run(m);
    std::memcpy(out + done, m.registers[result].integers, count * sizeof(int64_t));
  });
}

Status quantc::decode(const Format &format, const FieldValues &fields, int64_t N, int64_t K, float *out) {
  QUANTC_ASSIGN(Program program, Program::compile(format, format.value()));
  for (int64_t n = 0; n < N; n++)
    program.floats(fields, N, K, n, 0, static_cast<size_t>(K), out + n * K);
  return {};
}

/// Whether every name is a table, a field, or one of i, n, k.
static bool isClosed(const Format &format, const Expr &e) {
  if (e.kind == ExprKind::Sum)
    return false;
  if (e.kind == ExprKind::Name && !format.table(e.name) && !format.field(e.name) && e.name != "i" && e.name != "n" && e.name != "k")
    return false;
  return std::ranges::all_of(e.args, [&](const ExprPtr &a) { return isClosed(format, *a); });
}

std::optional<std::vector<int64_t>> quantc::integersOverBlock(const Format &format, const ExprPtr &resolved) {
  const BlockShape shape = format.block().value_or(BlockShape{1, 4096, 0});
  if (!isClosed(format, *resolved) || shape.rows * shape.columns > (1 << 20))
    return std::nullopt;
  auto program = Program::compile(format, resolved);
  if (!program || program->type() != ValueType::Integer)
    return std::nullopt;
  std::vector<int64_t> values(static_cast<size_t>(shape.rows * shape.columns));
  for (int64_t n = 0; n < shape.rows; n++)
    program->integers({}, shape.rows, shape.columns, n, 0, static_cast<size_t>(shape.columns), values.data() + n * shape.columns);
  return values;
}
