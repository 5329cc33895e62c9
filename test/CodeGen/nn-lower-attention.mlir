// RUN: quant-opt %s --nn-lower-attention=rows=8 --canonicalize --cse --split-input-file | FileCheck %s

// Eight query heads share a key head: a task is one token of the group. Blocks of 128 positions up to the token's own.
// CHECK-LABEL: func @grouped(
// CHECK-SAME: %[[Q:.+]]: tensor<?x512xf32>, %[[KEYS:.+]]: tensor<2x?x32xf16>, %[[VALUES:.+]]: tensor<2x?x32xf16>, %[[PAST:.+]]: index
func.func @grouped(%q: tensor<?x512xf32>, %keys: tensor<2x?x32xf16>, %values: tensor<2x?x32xf16>, %past: index) -> tensor<?x512xf32> {
  // CHECK-COUNT-3: memref.alloca() {alignment = 64 : i64} : memref<8x
  // CHECK: %[[GROUPED:.+]] = tensor.expand_shape {{.+}} into tensor<2x?x32x16xf16>
  // CHECK: %[[TOKENS:.+]] = tensor.dim %[[Q]], %c0
  // CHECK: scf.forall (%[[KH:.+]], %[[T:.+]]) in (2, %[[TOKENS]])
  // CHECK:   %[[POSITION:.+]] = arith.addi %[[PAST]], %[[T]]
  // CHECK:   %[[END:.+]] = arith.addi %[[POSITION]], %c1
  // The maximum of each row, and the sums of its weights in 16 lanes.
  // CHECK:   scf.for %[[BASE:.+]] = %c0 to %[[END]] step %c128 {{.+}} -> (vector<8xf32>, vector<16xf32>,
  // Scores: keys are the lanes.
  // CHECK:     scf.for %{{.+}} = %c0 to %{{.+}} step %c16
  // CHECK:       scf.for %[[D:.+]] = %c0 to %c32 step %c1
  // CHECK:         vector.transfer_read %[[GROUPED]][%[[KH]], %{{.+}}, %[[D]], %c0]{{.+}} vector<16xf16>
  // CHECK-COUNT-8: vector.fma {{.+}} : vector<16xf32>
  // CHECK:       arith.cmpi
  // CHECK:       arith.select
  // CHECK:     math.exp {{.+}} : vector<8xf32>
  // Weights.
  // CHECK:     scf.for
  // CHECK-COUNT-8: math.exp {{.+}} : vector<16xf32>
  // Values.
  // CHECK:     scf.for
  // CHECK:       vector.transfer_read %[[VALUES]][%[[KH]],
  // CHECK-COUNT-8: vector.fma
  // CHECK:   tensor.parallel_insert_slice
  // CHECK-NOT: nn.attention
  %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x512xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// -----

// A head of its own: eight tokens a task; fewer go one by one, with eight groups of keys at once.
// CHECK-LABEL: func @single(
func.func @single(%q: tensor<?x64xf32>, %keys: tensor<2x?x32xf16>, %values: tensor<2x?x32xf16>, %past: index) -> tensor<?x64xf32> {
  // CHECK: scf.forall
  // CHECK:   scf.if
  // CHECK:     scf.for {{.+}} step %c128 {{.+}} -> (vector<8xf32>,
  // CHECK:   } else {
  // CHECK:     scf.for {{.+}} -> (tensor<?x32xf32>)
  // CHECK:       scf.for {{.+}} step %c128 {{.+}} -> (vector<1xf32>, vector<16xf32>)
  // CHECK:         scf.for {{.+}} = %c0 to %{{.+}} step %c128
  // CHECK-COUNT-8: vector.fma
  %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x64xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// With a window blocks that no row sees are left out; the soft cap is a tanh.
// CHECK-LABEL: func @window(
func.func @window(%q: tensor<?x128xf32>, %keys: tensor<2x?x32xf16>, %values: tensor<2x?x32xf16>, %past: index) -> tensor<?x128xf32> {
  // CHECK: %[[BACK:.+]] = arith.subi %{{.+}}, %c299
  // CHECK: %[[FIRST:.+]] = arith.maxsi %[[BACK]], %c0
  // CHECK: %[[BLOCK:.+]] = arith.divui %[[FIRST]], %c128
  // CHECK: %[[BEGIN:.+]] = arith.muli %[[BLOCK]], %c128
  // CHECK: scf.for %{{.+}} = %[[BEGIN]] to %{{.+}} step %c128
  // CHECK: math.tanh
  %y = nn.attention %q, %keys, %values at %past scale 0.125 window 300 softcap 30.0 : tensor<?x128xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// -----

// Queries are rotated where they are used.
// CHECK-LABEL: func @rotated(
func.func @rotated(%x: tensor<?x64xf32>, %past: index, %low: tensor<16x2x16xf32>, %high: tensor<8x2x16xf32>, %keys: tensor<1x?x32xf16>, %values: tensor<1x?x32xf16>) -> tensor<?x64xf32> {
  // CHECK-NOT: nn.rope
  // CHECK: scf.forall
  // CHECK:   vector.transfer_read {{.+}} tensor<16x2x16xf32>
  // CHECK-NOT: nn.rope
  %q = nn.rope %x at %past angles(%low, %high) head_dim 32 style half : tensor<?x64xf32>, tensor<16x2x16xf32>, tensor<8x2x16xf32>
  %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x64xf32>, tensor<1x?x32xf16>, tensor<1x?x32xf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
