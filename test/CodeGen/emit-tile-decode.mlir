// RUN: quant-opt %s --qf-emit-tile-decode | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {

// value = d * (q - 8): a multiplication of what the fields hold, nothing fused.
// CHECK-LABEL: func.func @decode
// CHECK-NOT: qf.tile_decode
// CHECK-NOT: {{math|vector}}.fma
// CHECK: arith.mulf
// CHECK-NOT: {{math|vector}}.fma
// CHECK: return {{.*}} : vector<1x32xf32>
func.func @decode(%w: memref<3x1x!qf.block<int<group = 32>, r16>>, %row: index) -> vector<1x32xf32> {
  %v = qf.tile_decode %w[%row] : memref<3x1x!qf.block<int<group = 32>, r16>> -> vector<1x32xf32>
  return %v : vector<1x32xf32>
}
}
