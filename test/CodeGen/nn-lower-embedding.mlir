// RUN: quant-opt %s --nn-lower-embedding --canonicalize --cse --split-input-file | FileCheck %s

// CHECK-LABEL: func @embedding(
// CHECK-SAME: %[[TOKENS:.+]]: tensor<?xi32>, %[[TABLE:.+]]: tensor<50x100xf16>)
func.func @embedding(%tokens: tensor<?xi32>, %table: tensor<50x100xf16>) -> tensor<?x100xf32> {
  // CHECK: scf.forall (%[[T:.+]]) in
  // CHECK:   %[[ID:.+]] = tensor.extract %[[TOKENS]][%[[T]]]
  // CHECK:   %[[ROW:.+]] = arith.index_cast %[[ID]] : i32 to index
  // CHECK:   scf.for %[[I:.+]] = %c0 to %c96 step %c16
  // CHECK:     vector.transfer_read %[[TABLE]][%[[ROW]], %[[I]]]{{.+}} vector<16xf16>
  // CHECK:     arith.extf
  // CHECK:   vector.transfer_read %[[TABLE]][%[[ROW]], %c96]{{.+}} vector<4xf16>
  %y = nn.embedding %tokens, %table : (tensor<?xi32>, tensor<50x100xf16>) -> tensor<?x100xf32>
  return %y : tensor<?x100xf32>
}

// -----

// CHECK-LABEL: func @last(
// CHECK-SAME: %[[X:.+]]: tensor<?x64xf32>, %[[ROWS:.+]]: index)
func.func @last(%x: tensor<?x64xf32>, %rows: index) -> tensor<?x64xf32> {
  // CHECK: %[[TOKENS:.+]] = tensor.dim %[[X]], %c0
  // CHECK: %[[SKIPPED:.+]] = arith.subi %[[TOKENS]], %[[ROWS]]
  // CHECK: scf.forall (%[[T:.+]]) in (%[[ROWS]])
  // CHECK:   %[[ROW:.+]] = arith.addi %[[T]], %[[SKIPPED]]
  // CHECK:   vector.transfer_read %[[X]][%[[ROW]],
  %y = nn.last %x, %rows : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
