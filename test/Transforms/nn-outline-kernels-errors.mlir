// RUN: quant-opt %s --nn-outline-kernels --split-input-file --verify-diagnostics

// expected-error @+1 {{has no function @forward}}
module {
}

// -----

// expected-error @+1 {{must have the arguments tokens, past, rows, and two caches for each layer}}
func.func @forward(%tokens: tensor<?xi32>) {
  return
}

// -----

func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index, %x: tensor<2x?x2xf16>, %y: tensor<2x?x2xf16>, %w: tensor<8x4xf32>, %v: tensor<8x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{must stand in an nn.stage}}
  %e = nn.embedding %tokens, %w : (tensor<?xi32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %e : tensor<?x4xf32>
}

// -----

func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index) -> (tensor<?xi32>, tensor<?xi32>) {
  // expected-error @+1 {{must have the logits, each cache, and either nothing else or the most likely token and its logit, or these and the most likely tokens and their logits}}
  return %tokens, %tokens : tensor<?xi32>, tensor<?xi32>
}
