// RUN: quant-opt %s --pass-pipeline="builtin.module(func.func(qf-forward-tiles,canonicalize))" | FileCheck %s

// CHECK-LABEL: func.func @written
// CHECK-NEXT: return %arg0
func.func @written(%v: vector<16x16xf32>, %t: tensor<?x16xf32>, %p: f32) -> vector<16x16xf32> {
  %c0 = arith.constant 0 : index
  %w = vector.transfer_write %v, %t[%c0, %c0] {in_bounds = [false, true]} : vector<16x16xf32>, tensor<?x16xf32>
  %r = vector.transfer_read %w[%c0, %c0], %p {in_bounds = [false, true]} : tensor<?x16xf32>, vector<16x16xf32>
  return %r : vector<16x16xf32>
}

// The whole of a tensor, though its size is not static.
// CHECK-LABEL: func.func @whole
// CHECK-NEXT: return %arg0
func.func @whole(%t: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %m = tensor.dim %t, %c0 : tensor<?x16xf32>
  %s = tensor.extract_slice %t[0, 0] [%m, 16] [1, 1] : tensor<?x16xf32> to tensor<?x16xf32>
  return %s : tensor<?x16xf32>
}

// Elsewhere it is another tile.
// CHECK-LABEL: func.func @elsewhere
// CHECK: vector.transfer_read
func.func @elsewhere(%v: vector<16x16xf32>, %t: tensor<?x32xf32>, %p: f32) -> vector<16x16xf32> {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %w = vector.transfer_write %v, %t[%c0, %c0] {in_bounds = [false, true]} : vector<16x16xf32>, tensor<?x32xf32>
  %r = vector.transfer_read %w[%c0, %c16], %p {in_bounds = [false, true]} : tensor<?x32xf32>, vector<16x16xf32>
  return %r : vector<16x16xf32>
}
