//===- Precision.h - how sums are computed ----------------------------------------------------------------------===//
#pragma once

namespace quantc {

/// How sums are computed (docs/Architecture.md, "Activations").
enum class Precision {
  Fast,  ///< int8 activations where the format has integer codes; fused multiply-add
  High,  ///< bf16 activations where the format has codes that are bf16 numbers, integers too; fused multiply-add
  Float, ///< f32 activations everywhere; fused multiply-add
  Exact  ///< f32 activations; multiply, then add, each rounded, K ascending: the same bits on every target
};

} // namespace quantc
