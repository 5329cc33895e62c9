// RUN: quant-opt %s --nn-fuse-projections | FileCheck %s

nn.weight @wq : tensor<8x4xf32> from #nn.source<"f", "wq">
nn.weight @wk : tensor<6x4xf16> from #nn.source<"f", "wk">
nn.weight @offsets : tensor<8xf32> from #nn.source<"f", "bias">

// CHECK-LABEL: func.func @two
func.func @two(%x: tensor<?x4xf32>) -> (tensor<?x8xf32>, tensor<?x6xf32>) {
  // CHECK: %[[Q:.+]] = nn.get @wq
  // CHECK: %[[K:.+]] = nn.get @wk
  // CHECK: %[[R:.+]]:2 = nn.linear %{{.+}} weights(%[[Q]], %[[K]] : tensor<8x4xf32>, tensor<6x4xf16>) : tensor<?x4xf32> -> tensor<?x8xf32>, tensor<?x6xf32>
  %wq = nn.get @wq : tensor<8x4xf32>
  %q = nn.linear %x weights(%wq : tensor<8x4xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
  %wk = nn.get @wk : tensor<6x4xf16>
  %k = nn.linear %x weights(%wk : tensor<6x4xf16>) : tensor<?x4xf32> -> tensor<?x6xf32>
  // CHECK: return %[[R]]#0, %[[R]]#1
  return %q, %k : tensor<?x8xf32>, tensor<?x6xf32>
}

// A linear with a bias does not join one without.
// CHECK-LABEL: func.func @bias
func.func @bias(%x: tensor<?x4xf32>) -> (tensor<?x8xf32>, tensor<?x6xf32>) {
  // CHECK: nn.linear {{.+}} bias({{.+}}) : tensor<?x4xf32> -> tensor<?x8xf32>
  // CHECK: nn.linear {{.+}} : tensor<?x4xf32> -> tensor<?x6xf32>
  %wq = nn.get @wq : tensor<8x4xf32>
  %b = nn.get @offsets : tensor<8xf32>
  %q = nn.linear %x weights(%wq : tensor<8x4xf32>) bias(%b : tensor<8xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
  %wk = nn.get @wk : tensor<6x4xf16>
  %k = nn.linear %x weights(%wk : tensor<6x4xf16>) : tensor<?x4xf32> -> tensor<?x6xf32>
  return %q, %k : tensor<?x8xf32>, tensor<?x6xf32>
}

// Linears of two inputs stay two.
// CHECK-LABEL: func.func @inputs
func.func @inputs(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK-COUNT-2: nn.linear
  %w = nn.get @wq : tensor<8x4xf32>
  %q = nn.linear %x weights(%w : tensor<8x4xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
  %k = nn.linear %y weights(%w : tensor<8x4xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
  return %q, %k : tensor<?x8xf32>, tensor<?x8xf32>
}
