// RUN: quant-opt %s --qf-emit-tile-dot | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "+avx512vnni", dot = ["llvm.x86.avx512.vpdpbusd.512"], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>,
                   qf.units = {matrix = {tokens = 64, zero = "llvm.x86.tilezero.internal", load = "llvm.x86.tileloadd64.internal",
                               store = "llvm.x86.tilestored64.internal", bytes = "llvm.x86.tdpbsud.internal",
                               signed_bytes = "llvm.x86.tdpbssd.internal", halves = "llvm.x86.tdpbf16ps.internal"}}} {

// Scales and codes of the group, with their offset, go to the stack, once for all tokens; a run of 32 columns is one
// product of 16 x 32 x 16, whose sums come back as 16 vectors, each with one multiply-add for the weights' scale and one
// for that of x.
// CHECK-LABEL: func.func @integers
// CHECK-SAME: qf.choices = {many_tokens = ["llvm.x86.tdpbsud.internal"], reasons = ["matrix unit: register tiles of 16 tokens, of fewer not"]}
// CHECK-COUNT-8: llvm.store {{.*}} : vector<64xi8>
// CHECK: llvm.call_intrinsic "llvm.x86.tilezero.internal"
// CHECK: %[[X:.+]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// CHECK: %[[W:.+]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// CHECK: %[[S:.+]] = llvm.call_intrinsic "llvm.x86.tdpbssd.internal"({{.*}}, %[[X]], %[[W]])
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[S]])
// CHECK-COUNT-32: vector.fma
// CHECK-NOT: vector.fma
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbssd.internal"
// CHECK-NOT: vpdpbusd
// CHECK: return
func.func @integers(%acc: vector<32x16xf32>, %x: memref<32x1x!qf.block<a8>>, %w: memref<1x1x!qf.block<int<group = 32>, r16>>) -> vector<32x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<32x16xf32>, memref<32x1x!qf.block<a8>>, memref<1x1x!qf.block<int<group = 32>, r16>>
  return %0 : vector<32x16xf32>
}

// The integers of runs multiply codes, to 16 bits: two planes of bytes, the high one signed, 64 dwords of each row. Four
// products of each plane, of 64 columns, stay in registers; the next group's follow before the sums of this one are scaled.
// CHECK-LABEL: func.func @planes
// CHECK: arith.muli {{.*}} : vector<32xi16>
// CHECK: arith.muli {{.*}} : vector<32xi16>
// CHECK-COUNT-2: llvm.store {{.*}} : vector<32xi16>
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.tilezero.internal"
// CHECK: %[[LOW0:.+]] = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"
// CHECK: %[[HIGH0:.+]] = llvm.call_intrinsic "llvm.x86.tdpbssd.internal"
// CHECK: %[[LOW1:.+]] = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"({{.*}}, %[[LOW0]],
// CHECK: %[[HIGH1:.+]] = llvm.call_intrinsic "llvm.x86.tdpbssd.internal"({{.*}}, %[[HIGH0]],
// CHECK: %[[LOW2:.+]] = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"({{.*}}, %[[LOW1]],
// CHECK: %[[HIGH2:.+]] = llvm.call_intrinsic "llvm.x86.tdpbssd.internal"({{.*}}, %[[HIGH1]],
// CHECK: %[[LOW3:.+]] = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"({{.*}}, %[[LOW2]],
// CHECK: %[[HIGH3:.+]] = llvm.call_intrinsic "llvm.x86.tdpbssd.internal"({{.*}}, %[[HIGH2]],
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[LOW3]])
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[HIGH3]])
// CHECK-NOT: vector.fma
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.tilezero.internal"
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64.internal"
// CHECK: vector.fma
// CHECK: %[[HIGH:.+]] = arith.shli {{.*}} : vector<16xi32>
// CHECK: arith.addi {{.*}}, %[[HIGH]] : vector<16xi32>
// CHECK: return
func.func @planes(%acc: vector<16x16xf32>, %x: memref<16x2x!qf.block<a8<group = 256, sum = 16, width = 16>, lines>>, %w: memref<1x2x!qf.block<q6_k, r16>>) -> vector<16x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 512 : vector<16x16xf32>, memref<16x2x!qf.block<a8<group = 256, sum = 16, width = 16>, lines>>, memref<1x2x!qf.block<q6_k, r16>>
  return %0 : vector<16x16xf32>
}

// Fewer tokens: sums of integers are the same without the unit.
// CHECK-LABEL: func.func @few
// CHECK-SAME: qf.choices = {instructions = ["llvm.x86.avx512.vpdpbusd.512"], reasons = ["integer dot products, sums of 32 columns before any scale"]}
// CHECK-NOT: tdpbsud
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: return
func.func @few(%acc: vector<4x16xf32>, %x: memref<4x1x!qf.block<a8>>, %w: memref<1x1x!qf.block<int<group = 32>, r16>>) -> vector<4x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<4x16xf32>, memref<4x1x!qf.block<a8>>, memref<1x1x!qf.block<int<group = 32>, r16>>
  return %0 : vector<4x16xf32>
}

// Sums of floats come from the unit for any number of tokens: their order is its own.
// CHECK-LABEL: func.func @halves
// CHECK-SAME: qf.choices = {instructions = ["llvm.x86.tdpbf16ps.internal"], many_tokens = ["llvm.x86.tdpbf16ps.internal"], reasons = ["matrix unit: all tokens"]}
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"
// CHECK: return
func.func @halves(%acc: vector<1x16xf32>, %x: memref<1x1x!qf.block<a16>>, %w: memref<1x4x!qf.block<nf4, r16>>) -> vector<1x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<1x16xf32>, memref<1x1x!qf.block<a16>>, memref<1x4x!qf.block<nf4, r16>>
  return %0 : vector<1x16xf32>
}
}
