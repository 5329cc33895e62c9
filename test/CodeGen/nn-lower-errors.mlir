// RUN: quant-opt %s --nn-lower-attention --nn-lower-kv-append --nn-lower-rope --nn-lower-rms-norm --nn-lower-embedding --nn-lower-observe --split-input-file --verify-diagnostics

func.func @dynamic_features(%x: tensor<?x?xf32>, %w: tensor<32xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{needs static sizes except for tokens and positions, found 'tensor<?x?xf32>'}}
  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x?xf32>, tensor<32xf32>
  return %y : tensor<?x?xf32>
}

// -----

func.func @dynamic_table(%x: tensor<?x64xf32>, %past: index, %low: tensor<16x2x32xf32>, %high: tensor<?x2x32xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{needs static sizes except for tokens and positions, found 'tensor<?x2x32xf32>'}}
  %y = nn.rope %x at %past angles(%low, %high) head_dim 64 style half : tensor<?x64xf32>, tensor<16x2x32xf32>, tensor<?x2x32xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @large_heads(%q: tensor<?x2048xf32>, %keys: tensor<1x?x2048xf16>, %values: tensor<1x?x64xf16>, %past: index) -> tensor<?x64xf32> {
  // expected-error @+1 {{has heads of 2048 features; at most 1024 are supported}}
  %y = nn.attention %q, %keys, %values at %past scale 0.125 : tensor<?x2048xf32>, tensor<1x?x2048xf16>, tensor<1x?x64xf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @large_rope(%x: tensor<?x2048xf32>, %past: index, %low: tensor<16x2x32xf32>, %high: tensor<4x2x32xf32>) -> tensor<?x2048xf32> {
  // expected-error @+1 {{has heads of 2048 features; at most 1024 are supported}}
  %y = nn.rope %x at %past angles(%low, %high) head_dim 2048 style half : tensor<?x2048xf32>, tensor<16x2x32xf32>, tensor<4x2x32xf32>
  return %y : tensor<?x2048xf32>
}

// -----

func.func @dynamic_observed(%x: tensor<?x?xf32>, %c: tensor<3x?xf32>) -> tensor<3x?xf32> {
  // expected-error @+1 {{needs static sizes except for tokens and positions, found 'tensor<?x?xf32>'}}
  %c2 = nn.observe %x into %c : tensor<?x?xf32> into tensor<3x?xf32>
  return %c2 : tensor<3x?xf32>
}

// -----

func.func @inner_cache(%q: tensor<?x64xf32>, %keys: tensor<1x?x64x!qf.elem<q8_0>>, %past: index) -> tensor<?x64xf32> {
  %other = tensor.cast %keys : tensor<1x?x64x!qf.elem<q8_0>> to tensor<1x?x64x!qf.elem<q8_0>>
  // expected-error @+1 {{reads or writes a cache in a format, which must be a parameter of its kernel}}
  %y = nn.attention %q, %other, %other at %past scale 0.125 : tensor<?x64xf32>, tensor<1x?x64x!qf.elem<q8_0>>, tensor<1x?x64x!qf.elem<q8_0>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
