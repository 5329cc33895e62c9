// RUN: quant-opt %s --qf-emit-tile-dot | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "+avx512vnni", dot = ["llvm.x86.avx512.vpdpbusd.512"], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {

// Values as written, columns ascending, one fused multiply-add for each token and column. Each pass begins its own sums,
// which are added to those of all passes at its end.
// CHECK-LABEL: func.func @floats
// CHECK-NOT: qf.tile_dot
// CHECK: scf.for {{.*}} iter_args(%[[A:[a-z0-9]+]] = %{{[a-z0-9]+}}, %[[B:[a-z0-9]+]] = %{{[a-z0-9]+}})
// CHECK: %[[ZERO:.+]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK: %[[A1:.+]] = vector.fma %{{.+}}, %{{.+}}, %[[ZERO]] : vector<16xf32>
// CHECK: %[[B1:.+]] = vector.fma %{{.+}}, %{{.+}}, %[[ZERO]] : vector<16xf32>
// CHECK: vector.fma %{{.+}}, %{{.+}}, %[[A1]] : vector<16xf32>
// CHECK: vector.fma %{{.+}}, %{{.+}}, %[[B1]] : vector<16xf32>
// CHECK: arith.addf %[[A]], %{{.+}} : vector<16xf32>
// CHECK: arith.addf %[[B]], %{{.+}} : vector<16xf32>
// CHECK: scf.yield
// CHECK-NOT: llvm.call_intrinsic
// CHECK-NOT: llvm.call_intrinsic
func.func @floats(%acc: vector<2x16xf32>, %x: memref<2x32xf32>, %w: memref<1x1x!qf.block<f16, r16>>) -> vector<2x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, memref<2x32xf32>, memref<1x1x!qf.block<f16, r16>>
  return %0 : vector<2x16xf32>
}

// Two blocks of rows, the second with four: an activation is loaded once for both.
// CHECK-LABEL: func.func @blocks
// CHECK: scf.for {{.*}} iter_args(%[[A:[a-z0-9]+]] = %{{[a-z0-9]+}}, %[[B:[a-z0-9]+]] = %{{[a-z0-9]+}})
// CHECK: %[[X:.+]] = vector.broadcast %{{.+}} : f32 to vector<16xf32>
// CHECK: vector.fma %{{.+}}, %[[X]], %{{.+}} : vector<16xf32>
// CHECK: vector.fma %{{.+}}, %[[X]], %{{.+}} : vector<16xf32>
// CHECK: scf.yield
// CHECK: vector.extract_strided_slice %{{.*}} {offsets = [0], sizes = [4], strides = [1]} : vector<16xf32> to vector<4xf32>
func.func @blocks(%acc: vector<1x20xf32>, %x: memref<1x32xf32>, %w: memref<2x1x!qf.block<f16, r16>>) -> vector<1x20xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<1x20xf32>, memref<1x32xf32>, memref<2x1x!qf.block<f16, r16>>
  return %0 : vector<1x20xf32>
}

// Exact: multiply, then add, each rounded.
// CHECK-LABEL: func.func @exact
// CHECK-NOT: vector.fma
// CHECK: scf.for {{.*}} iter_args(%[[A:[a-z0-9]+]] = %{{[a-z0-9]+}})
// CHECK: %[[P:.+]] = arith.mulf {{.*}} : vector<16xf32>
// CHECK: %[[A1:.+]] = arith.addf %[[A]], %[[P]] : vector<16xf32>
// CHECK: %[[P1:.+]] = arith.mulf {{.*}} : vector<16xf32>
// CHECK: arith.addf %[[A1]], %[[P1]] : vector<16xf32>
// CHECK-NOT: vector.fma
// CHECK: return
func.func @exact(%acc: vector<1x16xf32>, %x: memref<1x32xf32>, %w: memref<1x1x!qf.block<f16, r16>>) -> vector<1x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 exact : vector<1x16xf32>, memref<1x32xf32>, memref<1x1x!qf.block<f16, r16>>
  return %0 : vector<1x16xf32>
}

// Integer codes: 8 dot products of 4 columns for each token, then one multiply-add of floats for the run of 32.
// CHECK-LABEL: func.func @integers
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK-NOT: llvm.call_intrinsic
// CHECK: return
func.func @integers(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<a8>>, %w: memref<1x1x!qf.block<int<group = 32>, r16>>) -> vector<2x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, memref<2x1x!qf.block<a8>>, memref<1x1x!qf.block<int<group = 32>, r16>>
  return %0 : vector<2x16xf32>
}
}
