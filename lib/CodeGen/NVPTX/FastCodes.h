//===- FastCodes.h - codes of weights as operands of matrix instructions ------------------------------------------===//
#pragma once

#include "FragmentReader.h"
#include "quantc/Format/Factoring.h"
#include <array>
#include <optional>

namespace quantc {

/// Operand A of a lane: four pairs of f16 (vector<2xf16>), or of bf16 (i32, as the instruction takes them).
using Fragment = std::array<mlir::Value, 4>;

/// Integers that are added to the codes of the rows g and g + 8 (vector<2xf32>), and their range.
struct CodeOffsets {
  mlir::Value rows;
  double low, high;
};

/// A pair of f16 or bf16 as the matrix instruction takes it.
mlir::Value asOperand(mlir::ImplicitLocOpBuilder &b, mlir::Value pair);

/// Makes operand A of a step of 16 columns, where properties of the fields allow, with few instructions.
class FastCodes {
public:
  FastCodes(LaneBuilder &builder, FragmentReader &reader, mlir::Type element)
      : b(builder), reader(reader), element(element) {}

  /// One number everywhere.
  Fragment constant(float number);
  /// Eight f32 (StepReader), rounded.
  Fragment rounded(mlir::Value numbers);
  /// The product of `code`, factors of `term`, in step `step`, plus `offsets`; nothing where no fast way is known.
  std::optional<Fragment> emit(const Factoring &factoring, const DotTerm &term, const std::vector<Factor> &code,
                               unsigned step, const std::optional<CodeOffsets> &offsets);

private:
  std::optional<Fragment> affine(const StorageItem &item, FieldFunction::Affine function, unsigned step,
                                 const std::optional<CodeOffsets> &offsets);
  std::optional<Fragment> stored(const StorageItem &item, unsigned step);
  std::optional<Fragment> lookedUp(const StorageItem &item, llvm::ArrayRef<uint16_t> numbers, unsigned step);

  const StorageItem *itemOf(const Field *field) const;
  const StorageItem *onlyItem(const std::vector<Factor> &code) const;
  std::optional<std::vector<uint16_t>> numbersOf(const StorageItem &item, const std::vector<Factor> &code) const;
  bool isExact(double number) const;
  bool isExact(double number, const std::optional<CodeOffsets> &offsets) const;
  mlir::Value integer(uint32_t i);
  mlir::Value pairOf(float number);
  mlir::Value pairOf(float number, const std::optional<CodeOffsets> &offsets, unsigned slot);
  mlir::Value shifted(mlir::Value word, int right);
  mlir::Value lop3(mlir::Value a, uint32_t mask, mlir::Value c, unsigned table);
  mlir::Value prmt(mlir::Value a, mlir::Value c, mlir::Value selector);
  mlir::Value asPair(mlir::Value word);

  LaneBuilder &b;
  FragmentReader &reader;
  mlir::Type element;
};

} // namespace quantc
