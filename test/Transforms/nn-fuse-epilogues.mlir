// RUN: quant-opt %s --nn-fuse-epilogues | FileCheck %s

// CHECK-LABEL: func.func @gate
func.func @gate(%x: tensor<?x4xf32>, %g: tensor<6x4xf32>, %u: tensor<6x4xf32>) -> tensor<?x6xf32> {
  // CHECK: %[[Y:.+]] = nn.linear %{{.+}} weights(%{{.+}}, %{{.+}} : tensor<6x4xf32>, tensor<6x4xf32>) gate(silu) : tensor<?x4xf32> -> tensor<?x6xf32>
  // CHECK-NEXT: return %[[Y]]
  %r:2 = nn.linear %x weights(%g, %u : tensor<6x4xf32>, tensor<6x4xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>, tensor<?x6xf32>
  %y = nn.gated silu %r#0, %r#1 : tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// A projection that is read elsewhere stays.
// CHECK-LABEL: func.func @gate_used
func.func @gate_used(%x: tensor<?x4xf32>, %g: tensor<6x4xf32>, %u: tensor<6x4xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK: nn.linear {{.+}} -> tensor<?x6xf32>, tensor<?x6xf32>
  // CHECK: nn.gated
  %r:2 = nn.linear %x weights(%g, %u : tensor<6x4xf32>, tensor<6x4xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>, tensor<?x6xf32>
  %y = nn.gated silu %r#0, %r#1 : tensor<?x6xf32>
  return %y, %r#0 : tensor<?x6xf32>, tensor<?x6xf32>
}

// CHECK-LABEL: func.func @residual
// CHECK-SAME: (%[[X:.+]]: tensor<?x4xf32>, %[[H:.+]]: tensor<?x6xf32>
func.func @residual(%x: tensor<?x4xf32>, %h: tensor<?x6xf32>, %w: tensor<4x6xf32>, %b: tensor<4xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  // CHECK: nn.linear %[[H]] weights(%{{.+}} : tensor<4x6xf32>) add(%[[X]] : tensor<?x4xf32>)
  %d = nn.linear %h weights(%w : tensor<4x6xf32>) : tensor<?x6xf32> -> tensor<?x4xf32>
  %y = nn.add %x, %d : tensor<?x4xf32>
  // CHECK: nn.linear %[[H]] weights(%{{.+}} : tensor<4x6xf32>) bias(%{{.+}} : tensor<4xf32>) add(%[[X]] : tensor<?x4xf32>)
  %e = nn.linear %h weights(%w : tensor<4x6xf32>) bias(%b : tensor<4xf32>) : tensor<?x6xf32> -> tensor<?x4xf32>
  %z = nn.add %e, %x : tensor<?x4xf32>
  return %y, %z : tensor<?x4xf32>, tensor<?x4xf32>
}
