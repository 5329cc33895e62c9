// RUN: quant-opt %s --qf-pad-columns | FileCheck %s

!x = tensor<?x50xf16>
!w = tensor<50x50x!qf.elem<int<group = 32>>>
!y = tensor<?x50xf32>

// 50 columns are 64, of weights and activations, but not the 50 rows. Rows of x have 50 numbers in memory.
// CHECK-LABEL: func.func @ragged(
// CHECK-SAME: %arg0: tensor<?x64xf16> {qf.pitch_in_memory = 50 : i64}, %arg1: tensor<50x64x!qf.elem<int<group = 32>>>, %arg2: tensor<?x50xf32> {bufferization.writable = true}
// CHECK: qf.contract {{.*}} -> tensor<?x50xf32>
func.func @ragged(%x: !x, %w: !w, %y: !y {bufferization.writable = true}) -> !y {
  %r = qf.contract %x, %w into %y : !x, !w, !y -> !y
  return %r : !y
}

// Two products of the same activations.
// CHECK-LABEL: func.func @two(
// CHECK-SAME: %arg0: tensor<?x64xf16> {qf.pitch_in_memory = 50 : i64}, %arg1: tensor<50x64x!qf.elem<int<group = 32>>>, %arg2: tensor<16x64x!qf.elem<f16>>
func.func @two(%x: !x, %v: !w, %w: tensor<16x50x!qf.elem<f16>>, %y: !y, %z: tensor<?x16xf32>) -> (!y, tensor<?x16xf32>) {
  %r = qf.contract %x, %v into %y : !x, !w, !y -> !y
  %s = qf.contract %x, %w into %z : !x, tensor<16x50x!qf.elem<f16>>, tensor<?x16xf32> -> tensor<?x16xf32>
  return %r, %s : !y, tensor<?x16xf32>
}

// Whole units stay as they are.
// CHECK-LABEL: func.func @whole(
// CHECK-NOT: qf.pitch_in_memory
// CHECK: return
func.func @whole(%x: tensor<?x64xf16>, %w: tensor<50x64x!qf.elem<int<group = 32>>>, %y: !y) -> !y {
  %r = qf.contract %x, %w into %y : tensor<?x64xf16>, tensor<50x64x!qf.elem<int<group = 32>>>, !y -> !y
  return %r : !y
}
