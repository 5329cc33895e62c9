// RUN: quant-opt %s --split-input-file --nn-lower-kv-append --nn-lower-attention --canonicalize --cse | FileCheck %s

// The caches become bytes: 34 for a position of 32 features. A task is a group of 16 positions, which share blocks.
// CHECK-LABEL: func @append(
// CHECK-SAME: %[[PAST:[^ ]+]]: index, %[[KEYS:[^:]+]]: tensor<2x?x34xi8> {bufferization.writable = true}, %{{.+}}: tensor<2x?x34xi8>
// CHECK-SAME: -> (tensor<2x?x34xi8>, tensor<2x?x34xi8>)
// CHECK: tensor.expand_shape {{.+}} : tensor<2x?xi8> into tensor<2x?x1x544xi8>
// CHECK: scf.forall (%[[I:.+]]) in (%[[GROUPS:.+]]) shared_outs
// CHECK:   tensor.extract_slice {{.+}} [2, 1, 1, 544]
// CHECK:   scf.for
// CHECK:     scf.for %[[HEAD:[^ ]+]] =
// CHECK:       qf.encode_row %{{.+}} row %[[LANE:.+]] of !qf.block<q8_0, r16> into %{{.+}}[%[[HEAD]], %c0, %c0]
// CHECK:       qf.encode_row %{{.+}} row %[[LANE]] of
// CHECK-COUNT-2: tensor.parallel_insert_slice
func.func @append(%k: tensor<?x64xf32>, %v: tensor<?x64xf32>, %past: index,
                  %keys: tensor<2x?x32x!qf.elem<q8_0>> {bufferization.writable = true},
                  %values: tensor<2x?x32x!qf.elem<q8_0>> {bufferization.writable = true})
    -> (tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>) {
  %a, %b = nn.kv_append %k, %v at %past into %keys, %values
    : tensor<?x64xf32>, tensor<?x64xf32> into tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
  return %a, %b : tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
}

// -----

// A head of 80 features takes three blocks, whose columns are read from the stack as often as rows want them.
// CHECK-LABEL: func @attend(
// CHECK-SAME: %{{.+}}: tensor<?x320xf32>, %{{.+}}: tensor<2x?x54xi8>, %{{.+}}: tensor<2x?x54xi8>
// CHECK: %[[K:.+]] = memref.alloca() {{.*}}: memref<192x16xf32>
// CHECK: %[[V:.+]] = memref.alloca() {{.*}}: memref<16x96xf32>
// CHECK: scf.forall
// CHECK: qf.decode_block %{{.+}} of !qf.block<q4_0, r16> : tensor<2x?x3x288xi8> -> vector<32x16xf32>
// CHECK: vector.store %{{.+}}, %[[K]]
// CHECK: vector.load %[[K]]
// CHECK: qf.decode_block
// CHECK-COUNT-64: vector.shuffle
// CHECK: vector.store %{{.+}}, %[[V]]
// CHECK: vector.load %[[V]]
func.func @attend(%q: tensor<?x320xf32>, %keys: tensor<2x?x80x!qf.elem<q4_0>>, %values: tensor<2x?x80x!qf.elem<q4_0>>,
                  %past: index, %out: tensor<?x320xf32> {bufferization.writable = true}) -> tensor<?x320xf32> {
  %y = nn.attention %q, %keys, %values at %past scale 0.125
    : tensor<?x320xf32>, tensor<2x?x80x!qf.elem<q4_0>>, tensor<2x?x80x!qf.elem<q4_0>> -> tensor<?x320xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x320xf32>, tensor<?x320xf32>) -> tensor<?x320xf32>
  return %r : tensor<?x320xf32>
}
