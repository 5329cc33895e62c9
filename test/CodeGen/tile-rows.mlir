// RUN: quant-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(qf-tile,canonicalize,cse))' | FileCheck %s

// Where a register holds a block of rows, floats are multiplied two blocks at a time.
module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
// CHECK-LABEL: func.func @floats
// CHECK: qf.contract {{.*}} : tensor<8x32xf32>, tensor<32x32x!qf.elem<f16>>, tensor<8x32xf32>
// CHECK: qf.contract {{.*}} : tensor<8x32xf32>, tensor<20x32x!qf.elem<f16>>, tensor<8x20xf32>
// CHECK-NOT: qf.contract
func.func @floats(%x: tensor<512x2048xf32>, %w: tensor<84x2048x!qf.elem<f16>>, %out: tensor<512x84xf32>) -> tensor<512x84xf32> {
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<512x84xf32>) -> tensor<512x84xf32>
  %y = qf.contract %x, %w into %init : tensor<512x2048xf32>, tensor<84x2048x!qf.elem<f16>>, tensor<512x84xf32> -> tensor<512x84xf32>
  return %y : tensor<512x84xf32>
}

// Codes are not: their sums need the registers.
// CHECK-LABEL: func.func @codes
// CHECK: qf.contract {{.*}} : tensor<8x32x!qf.elem<a8>>, tensor<16x32x!qf.elem<q8_0>>, tensor<8x16xf32>
func.func @codes(%x: tensor<512x2048x!qf.elem<a8>>, %w: tensor<96x2048x!qf.elem<q8_0>>, %out: tensor<512x96xf32>) -> tensor<512x96xf32> {
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%out : tensor<512x96xf32>) -> tensor<512x96xf32>
  %y = qf.contract %x, %w into %init : tensor<512x2048x!qf.elem<a8>>, tensor<96x2048x!qf.elem<q8_0>>, tensor<512x96xf32> -> tensor<512x96xf32>
  return %y : tensor<512x96xf32>
}
}
