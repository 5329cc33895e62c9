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

// A row of one block and the begin of another, in a chain without loops: every slice counts blocks, also the one whose source does already.
// CHECK-LABEL: func.func @ragged
// CHECK: tensor.insert_slice %{{.*}}[0, 1] [1, 1] [1, 1] : tensor<1x1x!qf.block<a8<group = 64>>> into tensor<1x2x!qf.block<a8<group = 64>>>
// CHECK: tensor.parallel_insert_slice %{{.*}}[%{{.*}}, 0] [1, 2] [1, 1] : tensor<1x2x!qf.block<a8<group = 64>>> into tensor<?x2x!qf.block<a8<group = 64>>>
func.func @ragged(%x: tensor<1x64xf32>, %rest: tensor<1x32xf32>, %out: tensor<?x96x!qf.elem<a8<group = 64>>>, %n: index) -> tensor<?x96x!qf.elem<a8<group = 64>>> {
  %r = scf.forall (%i) in (%n) shared_outs(%o = %out) -> (tensor<?x96x!qf.elem<a8<group = 64>>>) {
    %row = tensor.extract_slice %o[%i, 0] [1, 96] [1, 1] : tensor<?x96x!qf.elem<a8<group = 64>>> to tensor<1x96x!qf.elem<a8<group = 64>>>
    %a = tensor.extract_slice %row[0, 0] [1, 64] [1, 1] : tensor<1x96x!qf.elem<a8<group = 64>>> to tensor<1x64x!qf.elem<a8<group = 64>>>
    %b = qf.encode %x into %a : tensor<1x64xf32>, tensor<1x64x!qf.elem<a8<group = 64>>> -> tensor<1x64x!qf.elem<a8<group = 64>>>
    %c = tensor.insert_slice %b into %row[0, 0] [1, 64] [1, 1] : tensor<1x64x!qf.elem<a8<group = 64>>> into tensor<1x96x!qf.elem<a8<group = 64>>>
    %d = tensor.extract_slice %c[0, 64] [1, 32] [1, 1] : tensor<1x96x!qf.elem<a8<group = 64>>> to tensor<1x32x!qf.elem<a8<group = 64>>>
    %e = qf.encode %rest into %d : tensor<1x32xf32>, tensor<1x32x!qf.elem<a8<group = 64>>> -> tensor<1x32x!qf.elem<a8<group = 64>>>
    %f = tensor.insert_slice %e into %c[0, 64] [1, 32] [1, 1] : tensor<1x32x!qf.elem<a8<group = 64>>> into tensor<1x96x!qf.elem<a8<group = 64>>>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %f into %o[%i, 0] [1, 96] [1, 1] : tensor<1x96x!qf.elem<a8<group = 64>>> into tensor<?x96x!qf.elem<a8<group = 64>>>
    }
  }
  return %r : tensor<?x96x!qf.elem<a8<group = 64>>>
}
}
