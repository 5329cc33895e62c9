//===- Codes.h - the codes of weights as instructions take them -------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include "quantc/Format/KernelStorage.h"

namespace quantc {

/// What kernels multiply with of a term: code = scale · (number + offset).
struct TermCode {
  const DotTerm *term;
  const StorageItem *item = nullptr; ///< of the field that the code is a function of; null: evaluated for each column
  int64_t scale = 1, offset = 0;
};

/// The numbers are unsigned bytes.
struct ByteCode : TermCode {
  std::vector<uint8_t> table; ///< bytes for each pattern of the field; empty: the pattern itself
  uint8_t flip = 0;           ///< sign bit of a signed field
  unsigned largest = 255;
  /// Of the code without the multipliers of the term, where it has some: bits or byte of the table · scale + offset.
  int64_t ownScale = 1, ownOffset = 0;

  /// For a term with integer codes; `ahead`: what is multiplied are the products of its codes and multipliers.
  static ByteCode of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage, bool ahead);
};

/// The numbers are bf16, rounded where the code has more digits.
struct HalfCode : TermCode {
  std::vector<uint16_t> table; ///< bits of bf16 for each pattern of the field; empty: it is bf16, or there is none

  /// For a term with codes that `Factoring::isHalfProduct` takes.
  static HalfCode of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage);
};

} // namespace quantc
