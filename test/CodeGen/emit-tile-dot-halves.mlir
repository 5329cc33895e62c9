// RUN: quant-opt %s --qf-emit-tile-dot | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "+avx512vnni", dot = ["llvm.x86.avx512.vpdpbusd.512"], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>,
                   qf.units = {halves = "llvm.x86.avx512bf16.dpbf16ps.512", permute_words = "llvm.x86.avx512.permvar.hi.512"}} {

// A table of 16 numbers: pairs of bf16 by one look-up, with two codes as words; one product for each pair and token, then the scale.
// CHECK-LABEL: func.func @table
// CHECK: vector.shuffle {{.*}} [0, 64, 1, 64, 4, 64, 5, 64,
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.permvar.hi.512"
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK: vector.fma
// CHECK: return
func.func @table(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<a16>>, %w: memref<1x4x!qf.block<nf4, r16>>) -> vector<2x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<2x16xf32>, memref<2x1x!qf.block<a16>>, memref<1x4x!qf.block<nf4, r16>>
  return %0 : vector<2x16xf32>
}

// Integer codes are bf16 numbers; what a zero point multiplies is the sum of x, a load.
// CHECK-LABEL: func.func @integers
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK: vector.fma
// CHECK: %[[SUM:.+]] = llvm.load {{.*}} -> f32
// CHECK: %[[SUMS:.+]] = vector.broadcast %[[SUM]] : f32 to vector<16xf32>
// CHECK: vector.fma %[[SUMS]]
// CHECK: return
func.func @integers(%acc: vector<1x16xf32>, %x: memref<1x1x!qf.block<a16s>>, %w: memref<1x8x!qf.block<int<4, group = 32, asym>, r16>>) -> vector<1x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<1x16xf32>, memref<1x1x!qf.block<a16s>>, memref<1x8x!qf.block<int<4, group = 32, asym>, r16>>
  return %0 : vector<1x16xf32>
}
}
