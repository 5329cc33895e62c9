// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-tile))' | FileCheck %s
// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-tile{tiles=32,16,4}))' | FileCheck %s --check-prefix=ASKED

// What passes choose for a kernel, and why, stands on its function: the manifest of an artifact says it.

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>,
                   qf.units = {matrix = {tokens = 64, bytes = "llvm.x86.tdpbsud.internal", signed_bytes = "llvm.x86.tdpbssd.internal"}}} {

// CHECK-LABEL: func.func @floats
// CHECK-SAME: qf.choices = {reasons = ["no matrix unit: activations are f32", "tasks of 256 tokens and 32 rows, register tiles of 8 tokens and 32 rows: those of target t, but equal tasks of 96 rows"], tiles = [array<i64: 256, 32, 8, 32, 0>]}
// ASKED-LABEL: func.func @floats
// ASKED-SAME: "tasks of 32 tokens and 32 rows, register tiles of 4 tokens and 32 rows: as asked for"
func.func @floats(%x: tensor<512x256xf32>, %w: tensor<96x256x!qf.elem<int<group = 32>>>, %y: tensor<512x96xf32>) -> tensor<512x96xf32> {
  %r = qf.contract %x, %w into %y : tensor<512x256xf32>, tensor<96x256x!qf.elem<int<group = 32>>>, tensor<512x96xf32> -> tensor<512x96xf32>
  return %r : tensor<512x96xf32>
}

// CHECK-LABEL: func.func @short_sums
// CHECK-SAME: "no matrix unit: sums of 16 columns are shorter than 32", "tasks of 256 tokens and 64 rows, register tiles of 8 tokens and 16 rows, the last of 4 rows: those of target t"
func.func @short_sums(%x: tensor<512x256x!qf.elem<a8<sum = 16>>>, %w: tensor<100x256x!qf.elem<int<group = 16>>>, %y: tensor<512x100xf32>) -> tensor<512x100xf32> {
  %r = qf.contract %x, %w into %y : tensor<512x256x!qf.elem<a8<sum = 16>>>, tensor<100x256x!qf.elem<int<group = 16>>>, tensor<512x100xf32> -> tensor<512x100xf32>
  return %r : tensor<512x100xf32>
}

// The matrix unit has tiles of its own size.
// CHECK-LABEL: func.func @long_sums
// CHECK-SAME: qf.choices = {reasons = ["tasks of 256 tokens and 64 rows, register tiles of 64 tokens and 16 rows: those of target t"], tiles = [array<i64: 256, 64, 64, 16, 0>]}
func.func @long_sums(%x: tensor<512x256x!qf.elem<a8<group = 128, sum = 128>>>, %w: tensor<64x256x!qf.elem<int<group = 128>>>, %y: tensor<512x64xf32>) -> tensor<512x64xf32> {
  %r = qf.contract %x, %w into %y : tensor<512x256x!qf.elem<a8<group = 128, sum = 128>>>, tensor<64x256x!qf.elem<int<group = 128>>>, tensor<512x64xf32> -> tensor<512x64xf32>
  return %r : tensor<512x64xf32>
}

// What is no product has nothing to choose.
// CHECK-LABEL: func.func @encode
// CHECK-NOT: qf.choices
func.func @encode(%x: tensor<512x256xf32>, %y: tensor<512x256x!qf.elem<a8>>) -> tensor<512x256x!qf.elem<a8>> {
  %r = qf.encode %x into %y : tensor<512x256xf32>, tensor<512x256x!qf.elem<a8>> -> tensor<512x256x!qf.elem<a8>>
  return %r : tensor<512x256x!qf.elem<a8>>
}

}
