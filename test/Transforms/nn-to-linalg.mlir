// RUN: quant-opt %s --split-input-file --nn-to-linalg | FileCheck %s
// RUN: quant-opt %s --split-input-file --nn-to-linalg=exact | FileCheck %s --check-prefix=EXACT

// CHECK-LABEL: func.func @plain
// CHECK-SAME: (%[[X:.+]]: tensor<?x64xf32>, %[[W:.+]]: tensor<32x64x!qf.elem<q8_0>>, %[[O:.+]]: tensor<?x32xf32>
// EXACT-LABEL: func.func @plain
func.func @plain(%x: tensor<?x64xf32>, %w: tensor<32x64x!qf.elem<q8_0>>, %o: tensor<?x32xf32> {bufferization.writable = true})
    -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: %[[I:.+]] = linalg.fill ins(%{{.+}} : f32) outs(%[[O]] : tensor<?x32xf32>)
  // CHECK: %[[Y:.+]] = qf.contract %[[X]], %[[W]] into %[[I]] :
  // CHECK: return %[[Y]]
  // EXACT: qf.contract {{.+}} exact
  %y = nn.linear %x weights(%w : tensor<32x64x!qf.elem<q8_0>>) : tensor<?x64xf32> -> tensor<?x32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

// CHECK-LABEL: func.func @epilogue
// CHECK-SAME: (%[[X:.+]]: tensor<?x64xf32>, %[[W:.+]]: tensor<32x64x!qf.elem<q8_0>>, %[[B:.+]]: tensor<32xf32>, %[[RES:.+]]: tensor<?x32xf32>, %[[O:.+]]: tensor<?x32xf32>
func.func @epilogue(%x: tensor<?x64xf32>, %w: tensor<32x64x!qf.elem<q8_0>>, %b: tensor<32xf32>, %res: tensor<?x32xf32>,
                    %o: tensor<?x32xf32> {bufferization.writable = true}) -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: %[[D:.+]] = tensor.dim %[[X]]
  // CHECK: %[[E:.+]] = tensor.empty(%[[D]])
  // CHECK: %[[I:.+]] = linalg.fill {{.+}} outs(%[[E]]
  // CHECK: %[[S:.+]] = qf.contract %[[X]], %[[W]] into %[[I]]
  // CHECK: %[[Y:.+]] = linalg.generic {{.+}} ins(%[[S]], %[[B]], %[[RES]] : {{.+}}) outs(%[[O]]
  // CHECK-COUNT-2: arith.addf
  // CHECK: return %[[Y]]
  %y = nn.linear %x weights(%w : tensor<32x64x!qf.elem<q8_0>>) bias(%b : tensor<32xf32>) add(%res : tensor<?x32xf32>)
      : tensor<?x64xf32> -> tensor<?x32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

// CHECK-LABEL: func.func @gate
func.func @gate(%x: tensor<?x64xf32>, %g: tensor<32x64x!qf.elem<q8_0>>, %u: tensor<32x64x!qf.elem<q4_0>>,
                %o: tensor<?x32xf32> {bufferization.writable = true}) -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: %[[G:.+]] = qf.contract
  // CHECK: %[[U:.+]] = qf.contract
  // CHECK: linalg.generic {{.+}} ins(%[[G]], %[[U]] :
  // CHECK: math.exp
  // CHECK: arith.divf
  // CHECK: arith.mulf
  %y = nn.linear %x weights(%g, %u : tensor<32x64x!qf.elem<q8_0>>, tensor<32x64x!qf.elem<q4_0>>) gate(silu)
      : tensor<?x64xf32> -> tensor<?x32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

// CHECK-LABEL: func.func @projections
// CHECK-SAME: %[[P:[a-z0-9]+]]: tensor<?x32xf32> {bufferization.writable = true}, %[[Q:[a-z0-9]+]]: tensor<?x16xf32>
func.func @projections(%x: tensor<?x64xf32>, %w: tensor<32x64x!qf.elem<q8_0>>, %v: tensor<16x64x!qf.elem<q4_0>>,
                       %p: tensor<?x32xf32> {bufferization.writable = true}, %q: tensor<?x16xf32> {bufferization.writable = true})
    -> (tensor<?x32xf32>, tensor<?x16xf32>) attributes {rt.kernel} {
  // CHECK: linalg.fill {{.+}} outs(%[[P]]
  // CHECK: %[[A:.+]] = qf.contract
  // CHECK: linalg.fill {{.+}} outs(%[[Q]]
  // CHECK: %[[B:.+]] = qf.contract
  // CHECK: return %[[A]], %[[B]]
  %y:2 = nn.linear %x weights(%w, %v : tensor<32x64x!qf.elem<q8_0>>, tensor<16x64x!qf.elem<q4_0>>)
      : tensor<?x64xf32> -> tensor<?x32xf32>, tensor<?x16xf32>
  %a = bufferization.materialize_in_destination %y#0 in %p : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  %b = bufferization.materialize_in_destination %y#1 in %q : (tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x16xf32>
  return %a, %b : tensor<?x32xf32>, tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @embedding
// CHECK-SAME: (%[[T:.+]]: tensor<?xi32>, %[[W:.+]]: tensor<8x32x!qf.elem<q8_0>>, %[[O:.+]]: tensor<?x32xf32>
func.func @embedding(%t: tensor<?xi32>, %w: tensor<8x32x!qf.elem<q8_0>>, %o: tensor<?x32xf32> {bufferization.writable = true})
    -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: %[[Y:.+]] = qf.decode %[[W]] rows(%[[T]]) into %[[O]]
  // CHECK: return %[[Y]]
  %y = nn.embedding %t, %w : (tensor<?xi32>, tensor<8x32x!qf.elem<q8_0>>) -> tensor<?x32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

// CHECK-LABEL: func.func @gather
// CHECK-SAME: (%[[X:.+]]: tensor<?x32xf32>, %[[C:.+]]: tensor<32xi32>, %[[O:.+]]: tensor<?x32xf32>
func.func @gather(%x: tensor<?x32xf32>, %c: tensor<32xi32>, %o: tensor<?x32xf32> {bufferization.writable = true})
    -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: %[[Y:.+]] = linalg.generic {{.+}} ins(%[[C]] : tensor<32xi32>) outs(%[[O]] : tensor<?x32xf32>)
  // CHECK: ^bb0(%[[J:.+]]: i32,
  // CHECK: %[[T:.+]] = linalg.index 0
  // CHECK: %[[K:.+]] = arith.index_cast %[[J]] : i32 to index
  // CHECK: tensor.extract %[[X]][%[[T]], %[[K]]]
  // CHECK: return %[[Y]]
  %y = nn.gather %x by %c : tensor<?x32xf32>, tensor<32xi32> -> tensor<?x32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @scale
func.func @scale(%x: tensor<?x32xf32>, %f: tensor<32xf32>, %o: tensor<?x32xf32> {bufferization.writable = true})
    -> tensor<?x32xf32> attributes {rt.kernel} {
  // CHECK: linalg.generic {{.+}} ins(%{{.+}}, %{{.+}} : tensor<?x32xf32>, tensor<32xf32>)
  // CHECK: arith.mulf
  %y = nn.scale %x by %f : tensor<?x32xf32>, tensor<32xf32>
  %r = bufferization.materialize_in_destination %y in %o : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}
