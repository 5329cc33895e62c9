// RUN: quant-opt %s --nn-lower-rms-norm --canonicalize --cse --split-input-file | FileCheck %s

// One task a token; squares in 16 lanes, summed by a tree; the last chunk is smaller.
// CHECK-LABEL: func @norm(
// CHECK-SAME: %[[X:.+]]: tensor<?x100xf32>, %[[W:.+]]: tensor<100xf32>, %[[OUT:.+]]: tensor<?x100xf32> {
func.func @norm(%x: tensor<?x100xf32>, %w: tensor<100xf32>, %out: tensor<?x100xf32> {bufferization.writable = true}) -> tensor<?x100xf32> {
  // CHECK: %[[TOKENS:.+]] = tensor.dim %[[X]], %c0
  // CHECK: %[[Y:.+]] = scf.forall (%[[T:.+]]) in (%[[TOKENS]]) shared_outs(%[[O:.+]] = %[[OUT]])
  // CHECK:   %[[SQUARES:.+]] = scf.for %{{.+}} = %c0 to %c96 step %c16 iter_args(%[[ACC:.+]] = %{{.+}}) -> (vector<16xf32>)
  // CHECK:     %[[PART:.+]] = vector.transfer_read %[[X]][%[[T]],
  // CHECK:     vector.fma %[[PART]], %[[PART]], %[[ACC]] : vector<16xf32>
  // CHECK:   vector.transfer_read %[[X]][%[[T]], %c96]{{.+}} vector<4xf32>
  // CHECK:   arith.addf {{.+}} : vector<8xf32>
  // CHECK:   arith.addf {{.+}} : vector<4xf32>
  // CHECK:   arith.addf {{.+}} : vector<2xf32>
  // CHECK:   math.sqrt
  // CHECK:   scf.for
  // CHECK:   tensor.parallel_insert_slice %{{.+}} into %[[O]][%[[T]], 0] [1, 100]
  // CHECK: return %[[Y]]
  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x100xf32>, tensor<100xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x100xf32>, tensor<?x100xf32>) -> tensor<?x100xf32>
  return %r : tensor<?x100xf32>
}

// -----

// Runs of features are normalized one after the other. Without a destination the result is a new tensor.
// CHECK-LABEL: func @runs(
func.func @runs(%x: tensor<4x96xf32>, %w: tensor<32xbf16>) -> tensor<4x96xf32> {
  // CHECK: %[[EMPTY:.+]] = tensor.empty() : tensor<4x96xf32>
  // CHECK: scf.forall (%{{.+}}) in (4) shared_outs(%{{.+}} = %[[EMPTY]])
  // CHECK:   scf.for %{{.+}} = %c0 to %c3 step %c1 {{.*}} -> (tensor<1x96xf32>)
  // CHECK:     arith.extf {{.+}} : vector<16xbf16> to vector<16xf32>
  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<4x96xf32>, tensor<32xbf16>
  return %y : tensor<4x96xf32>
}
