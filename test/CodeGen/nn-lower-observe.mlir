// RUN: quant-opt %s --nn-lower-observe | FileCheck %s
// 100 features: one chunk of 64 and one of 36; tiles of 16 columns (no target: 8 lanes), the last one of 4.

// CHECK-LABEL: func.func @both
func.func @both(%x: tensor<?x100xf32>, %c: tensor<3x100xf32> {bufferization.writable = true},
                %h: tensor<100x100xf32> {bufferization.writable = true}) -> (tensor<3x100xf32>, tensor<100x100xf32>) {
  // CHECK: %[[C0:.+]] = scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %{{.+}}) -> (tensor<3x100xf32>)
  // CHECK: vector.fma {{.+}} : vector<64xf32>
  // CHECK: scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %[[C0]]) -> (tensor<3x100xf32>)
  // CHECK: vector.fma {{.+}} : vector<36xf32>
  // CHECK: %[[H0:.+]] = scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %{{.+}}) -> (tensor<100x100xf32>)
  // CHECK: vector.fma {{.+}} : vector<16xf32>
  // CHECK: vector.fma {{.+}} : vector<4xf32>
  // CHECK: scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %[[H0]]) -> (tensor<100x100xf32>)
  // CHECK-NOT: nn.observe
  %c2, %h2 = nn.observe %x into %c, %h : tensor<?x100xf32> into tensor<3x100xf32>, tensor<100x100xf32> -> tensor<100x100xf32>
  return %c2, %h2 : tensor<3x100xf32>, tensor<100x100xf32>
}

// CHECK-LABEL: func.func @columns
func.func @columns(%x: tensor<?x16xf32>, %c: tensor<3x16xf32> {bufferization.writable = true}) -> tensor<3x16xf32> {
  // CHECK: = scf.forall
  // CHECK-NOT: = scf.forall
  %c2 = nn.observe %x into %c : tensor<?x16xf32> into tensor<3x16xf32>
  return %c2 : tensor<3x16xf32>
}
