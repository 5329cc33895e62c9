//===- Nearest.h - the code that comes nearest, all other fields being what they are ----------------------------===//
#pragma once

#include "FieldCodes.h"
#include "quantc/Encode/Searches.h"
#include "quantc/Format/Decode.h"
#include "quantc/Format/Factoring.h"

namespace quantc {

/// Which of two equally near codes is taken.
enum class Ties {
  Default, ///< codes that count: halves to even; ascending tables: the upper entry
  First,   ///< the first code
  Low,     ///< the lower value
  Even,    ///< the even code
  Sign,    ///< the upper half of the codes is the lower half negated, and is taken for negative numbers
};

/// The field behind the per-weight code of `value`: value = scale * code + rest, by the normal form.
class NearestCode {
public:
  static Result<NearestCode> compile(const Format &format, const Field &field, Ties ties, Position position);

  const Field &code() const { return *field; }

  /// `count` weights of row n from column k on. `scale` (or null) is taken in place of the stored one; `keep` (or null)
  /// has the codes where the scale is 0.
  void run(FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count, const float *x,
           const float *scale, const float *keep) const;

  /// What the fields other than the codes say of `count` weights: value = scale * (number + zero) + rest, where
  /// `number` is what the code stands for.
  void terms(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count, float *scale,
             float *zero, float *rest) const;
  /// Bits of the codes that come nearest to numbers from which the rest has been subtracted.
  template <typename Real>
  void choose(const Real *target, const float *scale, const float *zero, size_t count, uint64_t *bits) const;
  /// The same, but what the codes stand for.
  void nearestNumbers(const float *target, const float *scale, const float *zero, size_t count, float *out) const;
  /// The number that a code stands for.
  float number(uint64_t bits) const { return values[bits]; }

private:
  /// A product of expressions that do not depend on the code.
  struct Product {
    bool negative = false;
    float power = 1;
    std::vector<Program> factors;
    void evaluate(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count,
                  float *out) const;
  };
  static Result<Product> product(const Format &format, const std::vector<Factor> &factors, bool negative);
  Status useValues(std::vector<float> codeValues, Ties ties, Position position);

  NearestCode(const Format &format, const Field &field) : format(&format), field(&field) {}
  const Format *format;
  const Field *field;
  Product scale;
  std::vector<Product> rest;  ///< subtracted from x
  std::vector<Product> zeros; ///< integers, subtracted from the code: value = scale * (code + zeros)

  enum class Kind { Count, Ascending, Scan, SignedScan, Float } kind = Kind::Count;
  std::vector<float> values;                 ///< by bits; of floats, without the power of two
  std::vector<uint64_t> bitsOf;              ///< Count: bits of code `least` + j. Scan: bits in the order of preference
  float least = 0;                           ///< Count
  std::vector<search::NearestEntry> entries; ///< Ascending: one
  std::vector<SmallFloat> numbers;           ///< Float: one
};

/// A field of which a definition is a function, coarser than a weight: the bits with which the definition comes nearest
/// to the wanted numbers, the least of equals. For fields of at most 8 bits of formats without a block.
class NearestDefinition {
public:
  static Result<NearestDefinition> compile(const Format &format, const Field &field, Position position);
  /// `wanted`: one number for each cell of the field.
  void run(FieldValues &fields, int64_t N, int64_t K, const float *wanted) const;

private:
  NearestDefinition(const Format &format, const Field &field, Program definition)
      : format(&format), field(&field), definition(std::move(definition)) {}
  const Format *format;
  const Field *field;
  Program definition;
  std::vector<const Field *> others; ///< fields that the definition reads besides
};

} // namespace quantc
