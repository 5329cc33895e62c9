//===- ProgramRun.cpp - running programs ------------------------------------------------------------------------===//
//
// Over `lanes` weights at a time, so that the loops inside the instructions do the work.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Instruction.h"
#include <algorithm>

using namespace quantc;
using Code = Program::Instruction;

static constexpr size_t lanes = 256;
static constexpr unsigned none = Code::none;

namespace quantc {
/// Registers of up to `lanes` weights, and where these stand.
struct Program::Machine {
  Machine(const Program &program, const FieldValues &fields, int64_t N, int64_t K)
      : fields(fields), N(N), K(K), integers(program.registers[0]), floats(program.registers[1]),
        cells(program.format->fields().size()), filled(cells.size()) {}
  const FieldValues &fields;
  int64_t N, K, n = 0, k = 0;
  size_t count = 0;
  std::vector<std::array<int64_t, lanes>> integers;
  std::vector<std::array<float, lanes>> floats;
  std::vector<std::vector<int64_t>> cells; ///< by field
  std::vector<bool> filled;                ///< by field: the cells are those of where it stands
};
} // namespace quantc

/// Cells of `count` weights from (n, k) on.
static void fillCells(const Format &format, const Field &f, int64_t N, int64_t K, int64_t n, int64_t k, size_t count,
                      int64_t *out) {
  const int64_t array = f.arraySize(), end = k + static_cast<int64_t>(count);
  // Within a block, or a row, cells follow each other; where blocks are of one row and have them whole, along the row.
  const int64_t block = f.inside ? format.block()->columns : K;
  const bool alongRow = !f.inside || (format.block()->rows == 1 && f.columns && block % f.columns == 0);
  const int64_t stretch = alongRow ? K : block;
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

template <typename Body> static void each(size_t count, Body body) {
  for (size_t l = 0; l < count; l++)
    body(l);
}

static void runFloat(Operator op, size_t count, const float *a, const float *b, float *out) {
  switch (op) {
  case Operator::Add:
    return each(count, [=](size_t l) { out[l] = a[l] + b[l]; });
  case Operator::Sub:
    return each(count, [=](size_t l) { out[l] = a[l] - b[l]; });
  case Operator::Mul:
    return each(count, [=](size_t l) { out[l] = a[l] * b[l]; });
  case Operator::Div:
    return each(count, [=](size_t l) { out[l] = a[l] / b[l]; });
  case Operator::Neg:
    return each(count, [=](size_t l) { out[l] = -a[l]; });
  default:
    return;
  }
}

static void runComparison(Operator op, size_t count, const float *a, const float *b, int64_t *out) {
  switch (op) {
  case Operator::Eq:
    return each(count, [=](size_t l) { out[l] = a[l] == b[l]; });
  case Operator::Ne:
    return each(count, [=](size_t l) { out[l] = a[l] != b[l]; });
  case Operator::Lt:
    return each(count, [=](size_t l) { out[l] = a[l] < b[l]; });
  case Operator::Le:
    return each(count, [=](size_t l) { out[l] = a[l] <= b[l]; });
  case Operator::Gt:
    return each(count, [=](size_t l) { out[l] = a[l] > b[l]; });
  case Operator::Ge:
    return each(count, [=](size_t l) { out[l] = a[l] >= b[l]; });
  default:
    return;
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
template <typename Bits> static void loadFloats(const Field &f, size_t count, Bits bits, float *out) {
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

static void loadField(const Field &f, const uint64_t *raw, const int64_t *cells, const int64_t *index, size_t count,
                      int64_t *integers, float *floats) {
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
      return each(count, [=, shift = 64 - f.width](size_t l) {
        integers[l] = static_cast<int64_t>(from[l] << shift) >> shift;
      });
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
      if (!m.filled[i.field->index]) {
        m.filled[i.field->index] = true;
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
        each(count,
             [&, a = integer(i.a), b = number(i.b), c = number(i.c)](size_t l) { outFloat[l] = a[l] ? b[l] : c[l]; });
      else
        each(count,
             [&, a = integer(i.a), b = integer(i.b), c = integer(i.c)](size_t l) { out[l] = a[l] ? b[l] : c[l]; });
      break;
    case Code::Abs:
      if (i.isFloat)
        each(count, [&, a = number(i.a)](size_t l) { outFloat[l] = std::fabs(a[l]); });
      else
        each(count,
             [&, a = integer(i.a)](size_t l) { out[l] = a[l] < 0 ? applyInteger(Operator::Neg, a[l], 0) : a[l]; });
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
        out[l] =
            applyInteger(Operator::Neg, applyInteger(Operator::Div, applyInteger(Operator::Neg, a[l], 0), b[l]), 0);
      });
      break;
    }
  }
}

//===- Runners --------------------------------------------------------------------------------------------------===//

ProgramRunner::ProgramRunner(const Program &program, const FieldValues &fields, int64_t N, int64_t K)
    : program(program), machine(std::make_unique<Program::Machine>(program, fields, N, K)) {
  program.run(*machine, true);
}

ProgramRunner::~ProgramRunner() = default;
ProgramRunner::ProgramRunner(ProgramRunner &&) noexcept = default;

/// Runs over `total` weights in pieces; store(done, count) takes what a piece has given.
template <typename Store> void ProgramRunner::run(int64_t n, int64_t k, size_t total, Store store) {
  Program::Machine &m = *machine;
  m.n = n;
  for (size_t done = 0; done < total; done += lanes) {
    m.k = k + static_cast<int64_t>(done);
    m.count = std::min(lanes, total - done);
    m.filled.assign(m.filled.size(), false);
    program.run(m, false);
    store(done, m.count);
  }
}

void ProgramRunner::floats(int64_t n, int64_t k, size_t total, float *out) {
  run(n, k, total,
      [&](size_t done, size_t count) { std::copy_n(machine->floats[program.result].data(), count, out + done); });
}

void ProgramRunner::integers(int64_t n, int64_t k, size_t total, int64_t *out) {
  run(n, k, total,
      [&](size_t done, size_t count) { std::copy_n(machine->integers[program.result].data(), count, out + done); });
}

void Program::floats(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total,
                     float *out) const {
  ProgramRunner(*this, fields, N, K).floats(n, k, total, out);
}

void Program::integers(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t total,
                       int64_t *out) const {
  ProgramRunner(*this, fields, N, K).integers(n, k, total, out);
}
