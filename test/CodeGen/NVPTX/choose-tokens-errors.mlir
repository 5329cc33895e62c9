// RUN: quant-opt %s --nn-choose-tokens --split-input-file --verify-diagnostics

// expected-error @+1 {{has no function @forward}}
module {
}

// -----

func.func @forward(%tokens: tensor<?xi32>, %logits: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @+1 {{must return the logits of an nn.stage first}}
  return %logits : tensor<?x8xf32>
}

// -----

func.func @forward() {
  // expected-error @+1 {{must return the logits of an nn.stage first}}
  return
}
