// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-tile,canonicalize,cse))' | FileCheck %s
// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-tile{tiles=32,16,4},canonicalize,cse))' | FileCheck %s --check-prefix=SMALL

#id = affine_map<(m, n) -> (m, n)>
module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 8,
                                          rows = 16, tiles = [256, 64, 8]>} {

// All sizes divide: one loop of tasks, register tiles with the tokens innermost, steps of one block along K. The fill is fused.
// CHECK-LABEL: func.func @static
// SMALL-LABEL: func.func @static
// CHECK: scf.forall ({{.*}}) = (0, 0) to (512, 128) step (256, 64)
// SMALL: scf.forall ({{.*}}) = (0, 0) to (512, 128) step (32, 16)
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c16
// CHECK: scf.for %{{.*}} = %c0 to %c256 step %c8
// CHECK: linalg.fill {{.*}} tensor<8x16xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c2048 step %c32
// CHECK: qf.contract {{.*}} {qf.tiles = array<i64: 256, 64, 8, 16, 0>} : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<8x16xf32>
// SMALL: qf.contract {{.*}} {qf.tiles = array<i64: 32, 16, 4, 16, 0>} : tensor<4x32xf32>
// CHECK-NOT: qf.contract
func.func @static(%x: tensor<512x2048xf32>, %w: tensor<128x2048x!qf.elem<f16>>, %out: tensor<512x128xf32>) -> tensor<512x128xf32> {
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<512x128xf32>) -> tensor<512x128xf32>
  %y = qf.contract %x, %w into %init : tensor<512x2048xf32>, tensor<128x2048x!qf.elem<f16>>, tensor<512x128xf32> -> tensor<512x128xf32>
  return %y : tensor<512x128xf32>
}

// A dynamic number of tokens goes by 8, 4 and 1; the last tile of rows has 100 modulo 16; the last step along K 288 modulo 256.
// CHECK-LABEL: func.func @ragged
// CHECK: scf.forall
// CHECK: qf.contract {{.*}} : tensor<8x256xf32>, tensor<16x256x!qf.elem<int<group = 256>>>, tensor<8x16xf32>
// CHECK: qf.contract {{.*}} : tensor<8x32xf32>, tensor<16x32x!qf.elem<int<group = 256>>>, tensor<8x16xf32>
// CHECK: qf.contract {{.*}} : tensor<4x256xf32>
// CHECK: qf.contract {{.*}} : tensor<4x32xf32>
// CHECK: qf.contract {{.*}} : tensor<1x256xf32>
// CHECK: qf.contract {{.*}} : tensor<1x32xf32>
// CHECK: qf.contract {{.*}} : tensor<8x256xf32>, tensor<4x256x!qf.elem<int<group = 256>>>, tensor<8x4xf32>
// CHECK: qf.contract {{.*}} : tensor<8x32xf32>, tensor<4x32x!qf.elem<int<group = 256>>>, tensor<8x4xf32>
func.func @ragged(%x: tensor<?x288xf32>, %w: tensor<100x288x!qf.elem<int<group = 256>>>, %out: tensor<?x100xf32>) -> tensor<?x100xf32> {
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<?x100xf32>) -> tensor<?x100xf32>
  %y = qf.contract %x, %w into %init : tensor<?x288xf32>, tensor<100x288x!qf.elem<int<group = 256>>>, tensor<?x100xf32> -> tensor<?x100xf32>
  return %y : tensor<?x100xf32>
}

// Two contractions and what joins them: one loop nest.
// CHECK-LABEL: func.func @gated
// CHECK: scf.forall (%{{.*}}) = (0) to (128) step (64)
// CHECK-NOT: scf.forall (
// CHECK: qf.contract {{.*}} tensor<8x16xf32>
// CHECK: qf.contract {{.*}} tensor<8x16xf32>
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<8x16xf32>, tensor<8x16xf32>)
func.func @gated(%x: tensor<8x32xf32>, %g: tensor<128x32x!qf.elem<f16>>, %u: tensor<128x32x!qf.elem<q8_0>>, %out: tensor<8x128xf32>) -> tensor<8x128xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<8x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<8x128xf32>) -> tensor<8x128xf32>
  %a = qf.contract %x, %g into %init : tensor<8x32xf32>, tensor<128x32x!qf.elem<f16>>, tensor<8x128xf32> -> tensor<8x128xf32>
  %b = qf.contract %x, %u into %init : tensor<8x32xf32>, tensor<128x32x!qf.elem<q8_0>>, tensor<8x128xf32> -> tensor<8x128xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %b : tensor<8x128xf32>, tensor<8x128xf32>) outs(%out : tensor<8x128xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %r = arith.mulf %p, %q : f32
      linalg.yield %r : f32
  } -> tensor<8x128xf32>
  return %s : tensor<8x128xf32>
}

// Activations are quantized by the group, row by row.
// CHECK-LABEL: func.func @encode
// CHECK: scf.forall (%{{.*}}) = (0) to (%{{.*}}) step (16)
// CHECK: qf.encode {{.*}} : tensor<1x256xf32>, tensor<1x256x!qf.elem<a8<group = 256>>>
// CHECK: qf.encode {{.*}} : tensor<1x44xf32>, tensor<1x44x!qf.elem<a8<group = 256>>>
func.func @encode(%x: tensor<?x300xf32>, %out: tensor<?x300x!qf.elem<a8<group = 256>>>) -> tensor<?x300x!qf.elem<a8<group = 256>>> {
  %r = qf.encode %x into %out : tensor<?x300xf32>, tensor<?x300x!qf.elem<a8<group = 256>>> -> tensor<?x300x!qf.elem<a8<group = 256>>>
  return %r : tensor<?x300x!qf.elem<a8<group = 256>>>
}

// Sizes that stand at a root are kept.
// CHECK-LABEL: func.func @given
// CHECK: scf.forall ({{.*}}) = (0) to (512) step (64)
func.func @given(%x: tensor<512x32xf32>, %w: tensor<128x32x!qf.elem<f16>>, %out: tensor<512x128xf32>) -> tensor<512x128xf32> {
  %y = qf.contract %x, %w into %out {qf.tiles = array<i64: 64, 128, 8, 16, 0>} : tensor<512x32xf32>, tensor<128x32x!qf.elem<f16>>, tensor<512x128xf32> -> tensor<512x128xf32>
  return %y : tensor<512x128xf32>
}
}
