// RUN: quant-opt %s --nn-insert-observers --verify-diagnostics

func.func @forward(%x: tensor<?x16xf32>, %w: tensor<8x16xf32>) -> tensor<?x8xf32> {
  // expected-error @+1 {{cannot be observed: its weight must be an nn.get, its input f32}}
  %y = nn.linear %x weights(%w : tensor<8x16xf32>) : tensor<?x16xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
