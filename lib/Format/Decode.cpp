//===- Decode.cpp - cells, numbers, and the reference decode ------------------------------------------------------===//

#include "quantc/Format/Decode.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

//===--- Numbers ------------------------------------------------------------------------------------------------===//

static constexpr float powerOfTwo(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
}

/// What the highest exponent of a small float means.
enum class Top { Numbers, NanAtAllOnes, InfinityAndNan };

/// A float of `e` exponent and `m` mantissa bits, with subnormals.
static float minifloat(uint64_t raw, int e, int m, int bias, Top top) {
  const int exponent = static_cast<int>(raw >> m) & ((1 << e) - 1), mantissa = static_cast<int>(raw) & ((1 << m) - 1);
  float value;
  if (top == Top::InfinityAndNan && exponent == (1 << e) - 1)
    value = mantissa ? NAN : INFINITY;
  else if (top == Top::NanAtAllOnes && exponent == (1 << e) - 1 && mantissa == (1 << m) - 1)
    value = NAN;
  else if (exponent == 0)
    value = static_cast<float>(mantissa) * powerOfTwo(1 - bias - m);
  else
    value = static_cast<float>(mantissa + (1 << m)) * powerOfTwo(exponent - bias - m);
  return raw >> (e + m) & 1 ? -value : value;
}

float quantc::fromBits(FieldKind kind, uint64_t raw) {
  switch (kind) {
  case FieldKind::F32:
    return std::bit_cast<float>(static_cast<uint32_t>(raw));
  case FieldKind::F16:
    return fromF16(static_cast<uint16_t>(raw));
  case FieldKind::BF16:
    return fromBF16(static_cast<uint16_t>(raw));
  case FieldKind::E4M3:
    return minifloat(raw, 4, 3, 7, Top::NanAtAllOnes);
  case FieldKind::E5M2:
    return minifloat(raw, 5, 2, 15, Top::InfinityAndNan);
  case FieldKind::E8M0:
    return raw == 255 ? NAN : raw == 0 ? 0x1p-127f : powerOfTwo(static_cast<int>(raw) - 127);
  case FieldKind::E2M1:
    return minifloat(raw, 2, 1, 1, Top::Numbers);
  case FieldKind::E2M3:
    return minifloat(raw, 2, 3, 1, Top::Numbers);
  case FieldKind::E3M2:
    return minifloat(raw, 3, 2, 3, Top::Numbers);
  case FieldKind::Unsigned:
  case FieldKind::Signed:
    break;
  }
  return 0;
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
static int64_t cellsAcross(const Field &f, int64_t columns) {
  return f.columns ? (columns + f.columns - 1) / f.columns : 1;
}

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

void quantc::cellIndices(const Format &format, const Field &f, int64_t n, int64_t rows, int64_t k, int64_t N, int64_t K,
                         int64_t *out) {
  const bool even = !f.flat && f.rows == 1 && (!f.inside || format.block()->rows == 1);
  const int64_t first = cellIndex(format, f, n, k, N, K),
                step = even && rows > 1 ? cellIndex(format, f, n + 1, k, N, K) - first : 0;
  for (int64_t r = 0; r < rows; r++)
    out[r] = even ? first + r * step : cellIndex(format, f, n + r, k, N, K);
}

//===--- Values -------------------------------------------------------------------------------------------------===//

Status quantc::decode(const Format &format, const FieldValues &fields, int64_t N, int64_t K, float *out) {
  QUANTC_ASSIGN(const Program program, Program::compile(format, format.value()));
  ProgramRunner runner(program, fields, N, K);
  for (int64_t n = 0; n < N; n++)
    runner.floats(n, 0, static_cast<size_t>(K), out + n * K);
  return {};
}

bool quantc::isPlainFloat(const Format &format) {
  const Field &first = format.fields().front();
  const auto &block = format.block();
  return block && block->columns == 1 && block->rows == 1 && format.fields().size() == 1 && !isInteger(first.kind) &&
         format.value()->kind == ExprKind::Name && format.value()->name == first.name;
}

/// Whether every name is a table, a field, or one of i, n, k.
static bool isClosed(const Format &format, const Expr &e) {
  if (e.kind == ExprKind::Sum)
    return false;
  if (e.kind == ExprKind::Name && !format.table(e.name) && !format.field(e.name) && e.name != "i" && e.name != "n" &&
      e.name != "k")
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
    program->integers({}, shape.rows, shape.columns, n, 0, static_cast<size_t>(shape.columns),
                      values.data() + n * shape.columns);
  return values;
}
