//===- ColumnEncoder.h - a weight encoded column by column ------------------------------------------------------===//
//
// What methods with error feedback need of a format. They change the weights of later columns while they choose the
// codes of earlier ones, so a format is taken in two parts: the fields that hold for a few columns, found by its clause
// when these columns are reached, and then for one column after the other the nearest code with all fields fixed.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Encode/Encode.h"
#include <memory>

namespace quantc {

/// One format and shape. Immutable: threads may share it.
class ColumnEncoder {
public:
  /// Fails where the format does not have one code for each weight that can be chosen alone. `importance`: findFields
  /// runs the clause `imatrix`, where there is one.
  static Result<ColumnEncoder> create(const Format &format, int64_t N, int64_t K, bool importance);
  ColumnEncoder(ColumnEncoder &&) noexcept;
  ~ColumnEncoder();

  /// The field with the codes, at most 8 bits.
  const Field &code() const;
  /// Fields that hold for a part of a row are found for so many columns at a time (the last may be fewer). 0: there are
  /// none, or they hang together with wider ones: all fields have to be known before.
  int64_t fieldColumns() const;
  /// The least number of columns, a part of a row, with whole cells of all fields that hold for a part of a row. 0: no
  /// field does. (The same as fieldColumns where that is not 0.)
  int64_t cellColumns() const;
  /// Whether there are fields, the codes aside, that findFields does not find.
  bool hasWiderFields() const;
  /// findFields takes rows in multiples of so many.
  int64_t rowUnit() const;

  /// Finds the fields of rows [n, n + rows) and columns [k, k + columns), where k is a multiple of fieldColumns(), from
  /// `x` (row-major), and writes them into `fields` of the whole weight, from which it reads the wider ones. Two
  /// threads may do so for different rows. `importance`: of these columns.
  Status findFields(FieldValues &fields, int64_t n, int64_t rows, int64_t k, int64_t columns, std::vector<float> x,
                    std::span<const float> importance) const;

  /// What the fields say of `count` weights of a row: value = scale * (number(code) + zero) + rest.
  void terms(const FieldValues &fields, int64_t n, int64_t k, size_t count, float *scale, float *zero,
             float *rest) const;
  /// The codes nearest to numbers from which `rest` has been subtracted; decided in f64.
  void choose(const double *target, const float *scale, const float *zero, size_t count, uint64_t *codes) const;
  /// The number that a code stands for.
  float number(uint64_t code) const;

  /// A scalar field's stored bits as a number, and the bits of the nearest number that the field can store.
  float fieldNumber(const Field &field, uint64_t bits) const;
  uint64_t fieldBits(const Field &field, float number) const;

private:
  struct Parts;
  explicit ColumnEncoder(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts;
};

} // namespace quantc
