// RUN: quant-opt %s --nn-lower-rope --nn-lower-rms-norm --canonicalize --cse --split-input-file | FileCheck %s

// Angles come once for each token, by the angle sum of two rows of the tables; the norm of heads is in the same loop.
// CHECK-LABEL: func @half(
// CHECK-SAME: %[[X:.+]]: tensor<?x192xf32>, %[[W:.+]]: tensor<64xf32>, %[[PAST:.+]]: index, %[[LOW:.+]]: tensor<16x2x24xf32>, %[[HIGH:.+]]: tensor<8x2x24xf32>)
func.func @half(%x: tensor<?x192xf32>, %w: tensor<64xf32>, %past: index, %low: tensor<16x2x24xf32>, %high: tensor<8x2x24xf32>) -> tensor<?x192xf32> {
  // CHECK: scf.forall (%[[T:.+]]) in
  // CHECK:   %[[P:.+]] = arith.addi %[[PAST]], %[[T]]
  // CHECK:   %[[HI:.+]] = arith.divui %[[P]], %c16
  // CHECK:   %[[LO:.+]] = arith.subi %[[P]],
  // CHECK:   vector.transfer_read %[[LOW]][%[[LO]], %c0, %c0]
  // CHECK:   vector.transfer_read %[[LOW]][%[[LO]], %c1, %c0]
  // CHECK:   vector.transfer_read %[[HIGH]][%[[HI]], %c0, %c0]
  // CHECK:   vector.transfer_read %[[HIGH]][%[[HI]], %c1, %c0]
  // CHECK:   scf.for %[[HEAD:.+]] = %c0 to %c3
  // CHECK:     vector.transfer_read %[[X]]{{.+}} vector<64xf32>
  // CHECK:     math.sqrt
  // CHECK:     vector.extract_strided_slice {{.+}} {offsets = [0], sizes = [24]
  // CHECK:     vector.extract_strided_slice {{.+}} {offsets = [24], sizes = [24]
  // CHECK:     vector.transfer_write {{.+}} vector<64xf32>, tensor<1x192xf32>
  // CHECK-NOT: scf.forall (
  %n = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x192xf32>, tensor<64xf32>
  %y = nn.rope %n at %past angles(%low, %high) head_dim 64 style half : tensor<?x192xf32>, tensor<16x2x24xf32>, tensor<8x2x24xf32>
  return %y : tensor<?x192xf32>
}

// -----

// CHECK-LABEL: func @adjacent(
func.func @adjacent(%x: tensor<?x64xf32>, %past: index, %low: tensor<16x2x32xf32>, %high: tensor<8x2x32xf32>) -> tensor<?x64xf32> {
  // CHECK: vector.deinterleave {{.+}} : vector<64xf32> -> vector<32xf32>
  // CHECK: vector.interleave {{.+}} : vector<32xf32> -> vector<64xf32>
  %y = nn.rope %x at %past angles(%low, %high) head_dim 64 style adjacent : tensor<?x64xf32>, tensor<16x2x32xf32>, tensor<8x2x32xf32>
  return %y : tensor<?x64xf32>
}

// -----

// What only attention reads is rotated there.
// CHECK-LABEL: func @query(
func.func @query(%x: tensor<?x64xf32>, %past: index, %low: tensor<16x2x32xf32>, %high: tensor<8x2x32xf32>, %keys: tensor<1x?x64xf16>, %values: tensor<1x?x64xf16>) -> tensor<?x64xf32> {
  // CHECK-NOT: scf.forall (
  // CHECK: nn.rope
  %q = nn.rope %x at %past angles(%low, %high) head_dim 64 style half : tensor<?x64xf32>, tensor<16x2x32xf32>, tensor<8x2x32xf32>
  %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x64xf32>, tensor<1x?x64xf16>, tensor<1x?x64xf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
