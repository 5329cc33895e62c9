//===- ByteCode.h - the codes of weights as unsigned bytes ------------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include "quantc/Format/KernelStorage.h"

namespace quantc {

/// How the codes of a term become unsigned bytes: code = scale · byte + offset.
struct ByteCode {
  const DotTerm *term;
  const StorageItem *item = nullptr; ///< of the field that the code is a function of; null: evaluated for each column
  std::vector<uint8_t> table;        ///< bytes for each pattern of the field; empty: the pattern itself
  uint8_t flip = 0;                  ///< sign bit of a signed field
  int64_t scale = 1, offset = 0;
  unsigned largest = 255;

  /// For a term with integer codes.
  static ByteCode of(const Factoring &factoring, const DotTerm &term, const KernelStorage &storage);
};

} // namespace quantc
