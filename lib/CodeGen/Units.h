//===- Units.h - what only some targets have --------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace quantc {

/// The attribute `qf.units` of a module, beside `qf.target`: a dictionary of names of intrinsics for what most
/// processors lack, and `signed_dot`. `halves`: the dot product of bf16 pairs (acc, weights, x). `choose`: chooses from
/// 128 bytes in two registers by the low bits of indices. `permute_words`: looks up i16 in a register of them.
/// `matrix`: a unit that multiplies tiles of rows of 64 bytes: `tokens` of a register tile on it, `zero`, `load`,
/// `store`, and its products `bytes` (signed x, unsigned weights), `signed_bytes` (both signed) and `halves`.
class TargetUnits {
public:
  static constexpr llvm::StringLiteral attribute = "qf.units";

  /// Those of the module around `op`.
  explicit TargetUnits(mlir::Operation *op) {
    for (; op && !units; op = op->getParentOp())
      units = op->getAttrOfType<mlir::DictionaryAttr>(attribute);
  }

  /// Whether the byte dot product of the target takes signed bytes on both sides, not unsigned and signed ones.
  bool dotIsSigned() const { return static_cast<bool>(get<mlir::UnitAttr>("signed_dot")); }
  /// Null where the target has no such thing.
  mlir::StringAttr halves() const { return get<mlir::StringAttr>("halves"); }
  mlir::StringAttr choose() const { return get<mlir::StringAttr>("choose"); }
  mlir::StringAttr permuteWords() const { return get<mlir::StringAttr>("permute_words"); }
  mlir::DictionaryAttr matrix() const { return get<mlir::DictionaryAttr>("matrix"); }

  /// Whether there is a matrix unit with these products; with `bytes` go `signed_bytes`.
  bool hasMatrix(llvm::StringRef products) const {
    return matrix() && matrix().contains(products) && (products != "bytes" || matrix().contains("signed_bytes"));
  }

private:
  template <typename Attr> Attr get(llvm::StringRef name) const { return units ? units.getAs<Attr>(name) : Attr(); }
  mlir::DictionaryAttr units;
};

} // namespace quantc
