//===- Choices.h - how a kernel is compiled, and why --------------------------------------------------------------===//
#pragma once

#include "mlir/IR/Operation.h"
#include "llvm/ADT/Twine.h"
#include <cstdint>
#include <string>
#include <vector>

namespace quantc {

/// What passes chose for one kernel.
struct KernelChoices {
  /// Of each kind of tile: tokens and rows of a task, tokens and rows of a register tile, rows left over.
  std::vector<std::vector<int64_t>> tiles;
  /// What multiplies: names of intrinsics, or "f32". `manyTokens`: the same in register tiles of 16 tokens, where a
  /// matrix unit takes them; else empty.
  std::vector<std::string> instructions, manyTokens;
  std::vector<std::string> reasons; ///< for people, in the order of the passes
};

/// The attribute `qf.choices` of a kernel's function, to which passes add what they choose. It stays until machine code
/// is made, so that files of any level hold it.
class Choices {
public:
  static constexpr llvm::StringLiteral attribute = "qf.choices";

  /// Of the function around `op`.
  explicit Choices(mlir::Operation *op);

  /// Each adds an entry to its list, unless it is there already.
  void tile(llvm::ArrayRef<int64_t> sizes) { add("tiles", sizes); }
  void multipliesBy(llvm::StringRef instruction, bool manyTokens = false);
  void because(const llvm::Twine &reason);

  /// What was recorded on a function; nothing where no pass chose.
  static KernelChoices of(mlir::Operation *function);

private:
  void add(llvm::StringRef list, llvm::ArrayRef<int64_t> entry);
  void add(llvm::StringRef list, mlir::Attribute entry);
  mlir::Operation *function; ///< null: nothing is recorded
};

} // namespace quantc
