// RUN: quant-opt %s --qf-tile-blocks --canonicalize --cse --split-input-file | FileCheck %s

// Few tokens: the warps of a block share the sum; one adds the parts.
// CHECK-LABEL: func.func @stream
// CHECK-SAME: qf.tiles = array<i64: 0, 16, 0, 16, 128, 8, 0>
// CHECK: scf.forall (%{{.*}}) = (0) to (256) step (16)
// CHECK:   bufferization.alloc_tensor() {memory_space = #gpu.address_space<workgroup>} : tensor<8x5x16xf32>
// CHECK:   scf.forall (%{{.*}}) = (0) to (1024) step (128)
// CHECK:     qf.contract {{.*}} : tensor<5x128xf16>, tensor<16x128x!qf.elem<{{.*}}>>, tensor<5x16xf32>
// CHECK:   } {mapping = [#gpu.warp<linear_dim_0>]}
// CHECK:   linalg.reduce
// CHECK: } {mapping = [#gpu.block<x>]}
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>} {
  func.func @stream(%x: tensor<5x1024xf16>, %w: tensor<256x1024x!qf.elem<int<4, group = 128>>>, %y: tensor<5x256xf32>) -> tensor<5x256xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<5x256xf32>) -> tensor<5x256xf32>
    %r = qf.contract %x, %w into %init : tensor<5x1024xf16>, tensor<256x1024x!qf.elem<int<4, group = 128>>>, tensor<5x256xf32> -> tensor<5x256xf32>
    return %r : tensor<5x256xf32>
  }
}

// -----

// Any number: tiles of blocks, of warps, of the sum.
// CHECK-LABEL: func.func @tiled
// CHECK-SAME: qf.tiles = array<i64: 64, 128, 64, 32, 64, 0, 4>
// CHECK: scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 256) step (64, 128)
// CHECK:   scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 128) step (64, 32)
// CHECK:     scf.for %{{.*}} = %c0{{.*}} to %c1024{{.*}} step %c64
// CHECK:       qf.contract {{.*}} : tensor<?x64xbf16>, tensor<32x64x!qf.elem<{{.*}}>>, tensor<?x32xf32>
// CHECK:   } {mapping = [#gpu.warp<linear_dim_1>, #gpu.warp<linear_dim_0>]}
// CHECK: } {mapping = [#gpu.block<y>, #gpu.block<x>]}
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>} {
  func.func @tiled(%x: tensor<?x1024xbf16>, %w: tensor<256x1024x!qf.elem<int<4, group = 128>>>, %y: tensor<?x256xf32>) -> tensor<?x256xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x256xf32>) -> tensor<?x256xf32>
    %r = qf.contract %x, %w into %init : tensor<?x1024xbf16>, tensor<256x1024x!qf.elem<int<4, group = 128>>>, tensor<?x256xf32> -> tensor<?x256xf32>
    return %r : tensor<?x256xf32>
  }
}

// -----

// 13 units of 128 columns for 8 warps: one each, then one more for each of the first five.
// CHECK-LABEL: func.func @uneven
// CHECK-SAME: qf.tiles = array<i64: 0, 16, 0, 16, 128, 8, 0>
// CHECK:   scf.forall (%[[W:.+]]) = (0) to (1024) step (128)
// CHECK:     %[[P:.+]] = qf.contract {{.*}} : tensor<5x128xf16>, tensor<16x128x!qf.elem<{{.*}}>>, tensor<5x16xf32>
// CHECK:     %[[K:.+]] = affine.apply #{{.+}}(%[[W]])
// CHECK:     %[[R:.+]] = scf.for %[[I:.+]] = %[[K]] to %c1664 step %c1024 iter_args(%[[ACC:.+]] = %[[P]])
// CHECK-DAG:   tensor.extract_slice %{{.+}}[0, %[[I]]] [5, 128] [1, 1] : tensor<5x1664xf16> to tensor<5x128xf16>
// CHECK-DAG:   tensor.extract_slice %{{.+}}[0, %[[I]]] [16, 128] [1, 1]
// CHECK:       qf.contract {{.*}} into %[[ACC]]
// CHECK:     tensor.parallel_insert_slice %[[R]]
// CHECK:   } {mapping = [#gpu.warp<linear_dim_0>]}
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>} {
  func.func @uneven(%x: tensor<5x1664xf16>, %w: tensor<256x1664x!qf.elem<int<4, group = 128>>>, %y: tensor<5x256xf32>) -> tensor<5x256xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<5x256xf32>) -> tensor<5x256xf32>
    %r = qf.contract %x, %w into %init : tensor<5x1664xf16>, tensor<256x1664x!qf.elem<int<4, group = 128>>>, tensor<5x256xf32> -> tensor<5x256xf32>
    return %r : tensor<5x256xf32>
  }
}
