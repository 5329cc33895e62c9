// RUN: quant-opt %s --split-input-file --nn-rotate --verify-diagnostics

nn.weight @t : tensor<16x8xf32> from #nn.source<"f", "t">
nn.weight @n : tensor<8xf32> from #nn.source<"f", "n">
func.func @forward(%ids: tensor<?xi32>) -> tensor<?x8xf32> {
  %t = nn.get @t : tensor<16x8xf32>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xf32>) -> tensor<?x8xf32>
  %n = nn.get @n : tensor<8xf32>
  // expected-error @+1 {{multiplies the features of the residual stream: nn-fold-norms comes first}}
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  return %x : tensor<?x8xf32>
}

// -----

nn.weight @t : tensor<16x8xf32> from #nn.source<"f", "t">
nn.weight @n : tensor<8xf32> from dense<1.0> : tensor<8xf32>
func.func @forward(%ids: tensor<?xi32>) -> tensor<?x8xf32> {
  %t = nn.get @t : tensor<16x8xf32>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xf32>) -> tensor<?x8xf32>
  %n = nn.get @n : tensor<8xf32>
  // expected-error @+1 {{is read by something else than linears: this architecture cannot be rotated}}
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  return %x : tensor<?x8xf32>
}

// -----

nn.weight @t : tensor<16x8xf32> from #nn.source<"f", "t">
func.func @forward(%ids: tensor<?xi32>, %scales: tensor<8xf32>) -> tensor<?x8xf32> {
  %t = nn.get @t : tensor<16x8xf32>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xf32>) -> tensor<?x8xf32>
  // expected-error @+1 {{reads the residual stream; only norms, sums and nn.last can: this architecture cannot be rotated}}
  %x = nn.scale %h by %scales : tensor<?x8xf32>, tensor<8xf32>
  return %x : tensor<?x8xf32>
}

// -----

// A norm behind the branch.
nn.weight @t : tensor<16x8xf32> from #nn.source<"f", "t">
nn.weight @n : tensor<8xf32> from dense<1.0> : tensor<8xf32>
nn.weight @w : tensor<8x8xf32> from #nn.source<"f", "w">
func.func @forward(%ids: tensor<?xi32>) -> tensor<?x8xf32> {
  %t = nn.get @t : tensor<16x8xf32>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xf32>) -> tensor<?x8xf32>
  %n = nn.get @n : tensor<8xf32>
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  %w = nn.get @w : tensor<8x8xf32>
  %y = nn.linear %x weights(%w : tensor<8x8xf32>) : tensor<?x8xf32> -> tensor<?x8xf32>
  %z = nn.rms_norm %y, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  // expected-error @+1 {{adds to the residual stream what is no output of a linear of its own: this architecture cannot be rotated}}
  %s = nn.add %h, %z : tensor<?x8xf32>
  return %s : tensor<?x8xf32>
}

// -----

// expected-error @+1 {{has no nn.embedding, where a residual stream begins}}
module {
  func.func @forward() {
    return
  }
}
