//===- Codes.h - the codes of weights as instructions take them -------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include "quantc/Format/KernelStorage.h"

namespace quantc {

/// What kernels multiply with of a term: code = scale · (number + offset).
struct TermCode {
  /// What the multipliers of the term multiply, if it has some: the codes, whose numbers are the products then, or sums
  /// of theirs.
  enum class Multiplied { Codes, Sums };

  const DotTerm *term;
  const StorageItem *item = nullptr; ///< of the field that the code is a function of; null: evaluated for each column
  int64_t scale = 1, offset = 0;
  Multiplied multiplied = Multiplied::Sums;

  bool multipliesCodes() const { return !term->multipliers.empty() && multiplied == Multiplied::Codes; }
  bool multipliesSums() const { return !term->multipliers.empty() && multiplied == Multiplied::Sums; }
};

/// The numbers are unsigned bytes.
struct ByteCode : TermCode {
  std::vector<uint8_t> table; ///< bytes for each pattern of the field; empty: the pattern itself
  uint8_t flip = 0;           ///< sign bit of a signed field
  unsigned largest = 255;
  /// Where codes are multiplied, of the code itself: bits or byte of the table · scale + offset.
  int64_t ownScale = 1, ownOffset = 0;

  /// For a term with integer codes. Codes are multiplied only where the products are bytes plus an offset.
  static ByteCode of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage,
                     Multiplied multiplied);
};

/// The numbers are bf16, rounded where the code has more digits.
struct HalfCode : TermCode {
  std::vector<uint16_t> table; ///< bits of bf16 for each pattern of the field; empty: it is bf16, or there is none

  /// For a term with codes that `Factoring::isHalfProduct` takes.
  static HalfCode of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage);
};

} // namespace quantc
