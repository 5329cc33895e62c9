// RUN: quant-opt %s --nn-lower-rope --nn-lower-kv-append --canonicalize --cse | FileCheck %s

// Keys are rotated and stored by one loop: 16 positions of the cache lie next to each other.
// CHECK-LABEL: func @append(
// CHECK-SAME: %[[K:.+]]: tensor<?x64xf32>, %[[V:.+]]: tensor<?x64xf32>, %[[PAST:[^:]+]]: index
// CHECK-SAME: %[[KEYS:[^:]+]]: tensor<2x?x32xf16> {bufferization.writable = true}, %[[VALUES:[^:]+]]: tensor<2x?x32xf16>
func.func @append(%k: tensor<?x64xf32>, %v: tensor<?x64xf32>, %past: index, %low: tensor<16x2x16xf32>, %high: tensor<8x2x16xf32>,
                  %keys: tensor<2x?x32xf16> {bufferization.writable = true}, %values: tensor<2x?x32xf16> {bufferization.writable = true})
    -> (tensor<2x?x32xf16>, tensor<2x?x32xf16>) {
  // CHECK: %[[GROUPED:.+]] = tensor.expand_shape {{.+}} : tensor<2x?xf16> into tensor<2x?x32x16xf16>
  // CHECK: %[[R:.+]]:2 = scf.forall (%[[T:.+]]) in {{.+}} shared_outs(%[[KO:.+]] = %[[GROUPED]], %[[VO:.+]] = %[[VALUES]])
  // CHECK:   %[[P:.+]] = arith.addi %[[PAST]], %[[T]]
  // CHECK:   %[[GROUP:.+]] = arith.divui %[[P]], %c16
  // CHECK:   %[[LANE:.+]] = arith.subi %[[P]],
  // CHECK:   tensor.extract_slice %[[KO]][0, %[[GROUP]], 0, %[[LANE]]] [2, 1, 32, 1]
  // CHECK:   tensor.extract_slice %[[VO]][0, %[[P]], 0] [2, 1, 32]
  // CHECK:   scf.for
  // CHECK-COUNT-2: arith.truncf {{.+}} : vector<32xf32> to vector<32xf16>
  // CHECK-COUNT-32: tensor.insert {{.+}} tensor<2x1x32x1xf16>
  // CHECK:   tensor.parallel_insert_slice {{.+}} into %[[KO]][0, %[[GROUP]], 0, %[[LANE]]]
  // CHECK:   tensor.parallel_insert_slice {{.+}} into %[[VO]][0, %[[P]], 0]
  // CHECK-NOT: nn.rope
  // CHECK: %[[NEW:.+]] = tensor.expand_shape {{.+}} into tensor<2x?x32xf16>
  // CHECK: return %[[NEW]], %[[R]]#1
  %y = nn.rope %k at %past angles(%low, %high) head_dim 32 style half : tensor<?x64xf32>, tensor<16x2x16xf32>, tensor<8x2x16xf32>
  %a, %b = nn.kv_append %y, %v at %past into %keys, %values : tensor<?x64xf32>, tensor<?x64xf32> into tensor<2x?x32xf16>, tensor<2x?x32xf16>
  return %a, %b : tensor<2x?x32xf16>, tensor<2x?x32xf16>
}
