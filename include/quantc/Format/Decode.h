//===- Decode.h - reference decode: the definition of what stored bits mean -------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <array>

namespace quantc {

/// Raw bits of the fields of a weight N x K (or of a range of its rows), by Field::index. Cells in order: of an inline
/// field, blocks row-major, in each its cells row-major; of any other, rows of cells over N x K (flat: along the
/// flattened matrix); then the elements of the cell's array.
using FieldValues = std::vector<std::vector<uint64_t>>;

/// All fields of a weight N x K, zero bits.
FieldValues zeroFields(const Format &format, int64_t N, int64_t K);

/// Index into FieldValues of the cell that holds for weight (n, k); array elements follow it.
int64_t cellIndex(const Format &format, const Field &field, int64_t n, int64_t k, int64_t N, int64_t K);

/// The same for `rows` weights of column k, from row n on.
void cellIndices(const Format &format, const Field &field, int64_t n, int64_t rows, int64_t k, int64_t N, int64_t K,
                 int64_t *out);

/// A resolved expression as a flat program, run over many weights at a time: integers of 64 bits, f32 one rounding for
/// each operation in the order written.
class Program {
public:
  /// Fails where sums make more than a few thousand operations.
  static Result<Program> compile(const Format &format, const ExprPtr &resolved);

  ValueType type() const { return resultType; }
  /// Values of `count` weights from (n, k) on along the row. `out` has room for them.
  void floats(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count, float *out) const;
  void integers(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count,
                int64_t *out) const;

  struct Instruction;

private:
  friend class ProgramRunner;
  struct Compiler;
  struct Machine;
  explicit Program(const Format &format) : format(&format) {}
  void run(Machine &machine, bool constants) const;
  const Format *format;
  std::shared_ptr<const std::vector<Instruction>> code; ///< constants first
  std::array<unsigned, 2> registers{};                  ///< of integers, of floats
  unsigned result = 0;
  ValueType resultType = ValueType::Float;
};

/// A program on the fields of one weight, which may change between calls. Its registers are kept, so that short
/// stretches cost little; for one thread. Program and fields outlive it.
class ProgramRunner {
public:
  ProgramRunner(const Program &program, const FieldValues &fields, int64_t N, int64_t K);
  ~ProgramRunner();
  ProgramRunner(ProgramRunner &&) noexcept;
  /// As in Program.
  void floats(int64_t n, int64_t k, size_t count, float *out);
  void integers(int64_t n, int64_t k, size_t count, int64_t *out);

private:
  template <typename Store> void run(int64_t n, int64_t k, size_t count, Store store);
  const Program &program;
  std::unique_ptr<Program::Machine> machine;
};

/// `value` of every weight of rows [0, N): f32, row-major.
Status decode(const Format &format, const FieldValues &fields, int64_t N, int64_t K, float *out);

/// Whether what is stored of each weight is its value, a float, and nothing else.
bool isPlainFloat(const Format &format);

/// An integer expression without fields for each weight of a block (row-major), or of a row of 4096 in a format without
/// one; nothing where it depends on a variable of an enclosing sum.
std::optional<std::vector<int64_t>> integersOverBlock(const Format &format, const ExprPtr &resolved);

} // namespace quantc
