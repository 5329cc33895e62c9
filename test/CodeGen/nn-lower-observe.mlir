// RUN: quant-opt %s --nn-lower-observe | FileCheck %s
// 200 features: chunks of 64, one of 8; panels of 128 rows and of 72, tiles of 16 columns (no target: 8 lanes), the last one of 8.
// A block of tokens is summed before the Hessian is read, which is asked for ahead.

// CHECK-LABEL: func.func @both
func.func @both(%x: tensor<?x200xf32>, %c: tensor<3x200xf32> {bufferization.writable = true},
                %h: tensor<200x200xf32> {bufferization.writable = true}) -> (tensor<3x200xf32>, tensor<200x200xf32>) {
  // CHECK: %[[C0:.+]] = scf.forall (%{{.+}}) in (3) shared_outs(%{{.+}} = %{{.+}}) -> (tensor<3x200xf32>)
  // CHECK: vector.fma {{.+}} : vector<64xf32>
  // CHECK: scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %[[C0]]) -> (tensor<3x200xf32>)
  // CHECK: vector.fma {{.+}} : vector<8xf32>
  // CHECK: %[[H0:.+]] = scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %{{.+}}) -> (tensor<200x200xf32>)
  // CHECK: memref.prefetch
  // CHECK: vector.fma {{.+}} : vector<16xf32>
  // CHECK: vector.transfer_read
  // CHECK: arith.addf {{.+}} : vector<16xf32>
  // CHECK: vector.fma {{.+}} : vector<8xf32>
  // CHECK: scf.forall (%{{.+}}) in (1) shared_outs(%{{.+}} = %[[H0]]) -> (tensor<200x200xf32>)
  // CHECK-NOT: nn.observe
  %c2, %h2 = nn.observe %x into %c, %h : tensor<?x200xf32> into tensor<3x200xf32>, tensor<200x200xf32> -> tensor<200x200xf32>
  return %c2, %h2 : tensor<3x200xf32>, tensor<200x200xf32>
}

// CHECK-LABEL: func.func @columns
func.func @columns(%x: tensor<?x16xf32>, %c: tensor<3x16xf32> {bufferization.writable = true}) -> tensor<3x16xf32> {
  // CHECK: = scf.forall
  // CHECK-NOT: = scf.forall
  %c2 = nn.observe %x into %c : tensor<?x16xf32> into tensor<3x16xf32>
  return %c2 : tensor<3x16xf32>
}
