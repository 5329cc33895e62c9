//===- Factoring.h - the normal form of a dot product with a format ---------------------------------------------===//
//
// What a kernel has to compute for sum(value * x), with everything that is shared by many weights pulled out of the
// sum:
//
//   sum(value * x) = sum over terms of  +- sum over cells of F0 * sum over cells of F1 * ... * sum over a run of code *
//   x
//
// The identity is over the reals: exact kernels evaluate `value` as written, fast kernels this form.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// The largest g such that a resolved expression is constant on every aligned run of g weights of a row; 0: on whole
/// rows, 1: it differs from weight to weight. Flat scopes count as if rows were whole numbers of them.
int64_t constantRun(const Format &format, const ExprPtr &e);

/// Whether a resolved expression reads what has this name: a field, a table, a place (`i`, `n`, `k`).
bool readsName(const Expr &e, std::string_view name);

/// A resolved expression as text, with the fewest parentheses.
std::string expressionText(const Expr &e);

/// A factor of a term: an expression, or 2^exponent times it.
struct Factor {
  ExprPtr expr;
  /// p > 0: the factor is 2^p * expr, which takes only integers, while expr is f32.
  unsigned exponent = 0;
  /// constantRun: the factor is the same for each aligned run of so many weights of a row; 0: for the whole row; 1: for
  /// no two.
  int64_t run = 0;
  bool integer = false;
  Interval range; ///< of an integer

  /// The factor is the same for all columns of an aligned group of so many.
  bool isConstantOver(int64_t columns) const { return run == 0 || run % columns == 0; }
};

enum class CodeKind {
  None,    ///< the term multiplies the sum of x
  Integer, ///< a product of integers
  Float,   ///< a product of which at least one factor is f32
};

/// +- product of group factors * sum of code * x
struct DotTerm {
  bool negative = false;
  std::vector<Factor> group; ///< factors with run != 1, coarse to fine
  std::vector<Factor> code;  ///< factors with run 1: their product is the code
  /// Integer group factors that are multiplied in integers, with codes or with their sums
  /// (`Factoring::withMultipliers`), coarse to fine.
  std::vector<Factor> multipliers;
  CodeKind kind = CodeKind::None;
  Interval range;   ///< of an integer code
  Interval product; ///< of its product with the multipliers, if the factoring has some

  /// Whether products of its codes and multipliers are integers of 16 bits.
  bool hasWordProducts() const { return product.low >= INT16_MIN && product.high <= INT16_MAX; }

  /// The group factors that change within a group of `columns` columns: true and their range where all of them are
  /// integers, so that they can be applied to integer sums. The others are constant there.
  std::pair<bool, Interval> innerFactors(int64_t columns) const;

  /// Columns over which code * x may be summed before the first group factor: no factor changes within an aligned run
  /// of so many. 0: the whole row.
  int64_t run() const {
    int64_t run = 0;
    for (const Factor &factor : group)
      run = std::gcd(run, factor.run);
    return run;
  }
};

/// An integer as a function of the bits of one field.
struct FieldFunction {
  const Field *field;
  std::vector<int64_t> values; ///< for each pattern of the field's bits
  /// scale * field + offset, the field as the integer of its type (s: two's complement). Nothing: look it up.
  struct Affine {
    int64_t scale, offset;
  };
  std::optional<Affine> affine;
};

/// A number as a function of the bits of one field.
struct NumberFunction {
  const Field *field;
  std::vector<float> values; ///< for each pattern of the field's bits
};

class Factoring {
public:
  explicit Factoring(std::shared_ptr<const Format> format);

  const std::vector<DotTerm> &terms() const { return dotTerms; }

  /// One line for each term: `+ d<256> * sc<32, int> * sum int[0..15](q)*x` in mathematical notation.
  std::string text() const;

  /// All codes fit bytes: every term with a code has an integer one within [-128, 127] or [0, 255], and sums at least
  /// 16 products before its first group factor. Fast kernels then multiply with int8 activations.
  bool isIntegerDot() const;

  /// The same sums for kernels whose activations are signed bytes with a scale for each `group` columns: factors that
  /// change within a group become multipliers, and what is left of a term's factors is constant there. Nothing changes
  /// where no factor does, where one is no integer, where sums of a group do not fit 32 bits, or where terms without
  /// code multiply sums of x that are not `narrow` (of 16 bits): all terms are multiplied alike.
  Factoring withMultipliers(int64_t group, bool narrow) const;
  bool hasMultipliers() const;

  /// Codes are no integers, but few enough numbers to be taken for bf16: each term has a code that is a bf16 field, or
  /// a function of a field of at most 8 bits, and sums at least 16 products before its first group factor. Fast kernels
  /// then multiply with bf16 activations.
  bool isHalfDot() const;

  /// The same with codes that are integers too, as far as these are bf16 numbers, and with terms that have none.
  bool isHalfProduct() const;

  /// The field that is the code of a term, where it is one of bf16.
  const Field *halfField(const DotTerm &term) const;

  /// A product of factors as a function of one scalar field of at most 8 bits; nothing where it reads anything else but
  /// tables.
  std::optional<NumberFunction> numberFunction(const std::vector<Factor> &factors) const;

  /// A product of integer factors (a term's code, or one group factor) as a function of one scalar field of at most 8
  /// bits; nothing where it reads anything else but tables.
  std::optional<FieldFunction> fieldFunction(const std::vector<Factor> &factors) const;

private:
  std::shared_ptr<const Format> format;
  std::vector<DotTerm> dotTerms;
};

} // namespace quantc
