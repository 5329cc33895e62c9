// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-choose-storage,canonicalize))' | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {

// Weights lie in kernel storage, activations as in files; offsets and sizes count blocks. The last block of a row and of a column may
// be filled up: 100 rows are 7 blocks.
// CHECK-LABEL: func.func @tile
// CHECK-SAME: tensor<?x8x!qf.block<a8<group = 256>>>, %{{.*}}: tensor<7x8x!qf.block<q4_k, r16>>
// CHECK: tensor.extract_slice %{{.*}}[%{{.*}}, %{{.*}}] [8, 1] [1, 1] : tensor<?x8x!qf.block<a8<group = 256>>> to tensor<8x1x!qf.block<a8<group = 256>>>
// CHECK: tensor.extract_slice %{{.*}}[%{{.*}}, %{{.*}}] [1, 1] [1, 1] : tensor<7x8x!qf.block<q4_k, r16>> to tensor<1x1x!qf.block<q4_k, r16>>
// CHECK: qf.tile_dot {{.*}} columns 256 : vector<8x4xf32>, tensor<8x1x!qf.block<a8<group = 256>>>, tensor<1x1x!qf.block<q4_k, r16>>
func.func @tile(%x: tensor<?x2048x!qf.elem<a8<group = 256>>>, %w: tensor<100x2048x!qf.elem<q4_k>>, %acc: vector<8x4xf32>, %m: index, %n: index, %k: index) -> vector<8x4xf32> {
  %xs = tensor.extract_slice %x[%m, %k] [8, 256] [1, 1] : tensor<?x2048x!qf.elem<a8<group = 256>>> to tensor<8x256x!qf.elem<a8<group = 256>>>
  %ws = tensor.extract_slice %w[%n, %k] [4, 256] [1, 1] : tensor<100x2048x!qf.elem<q4_k>> to tensor<4x256x!qf.elem<q4_k>>
  %r = qf.tile_dot %acc, %xs, %ws columns 256 : vector<8x4xf32>, tensor<8x256x!qf.elem<a8<group = 256>>>, tensor<4x256x!qf.elem<q4_k>>
  return %r : vector<8x4xf32>
}
}
