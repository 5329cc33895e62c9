// RUN: quant-opt %s --qf-choose-planes --split-input-file --verify-diagnostics

func.func @cuts(%w: tensor<32x384x!qf.elem<int<4, group = 96>>>, %x: tensor<5x144xf16>, %a: vector<5x16xf32>) -> vector<5x16xf32> {
  // expected-error @+2 {{cuts a unit of storage}}
  // expected-note @+1 {{a unit of 'q' has 16 x 64 numbers}}
  %s = tensor.extract_slice %w[0, 0] [16, 144] [1, 1] : tensor<32x384x!qf.elem<int<4, group = 96>>> to tensor<16x144x!qf.elem<int<4, group = 96>>>
  %r = qf.warp_dot %a, %x, %s of !qf.elem<int<4, group = 96>> : vector<5x16xf32>, tensor<5x144xf16>, (tensor<16x144x!qf.elem<int<4, group = 96>>>)
  return %r : vector<5x16xf32>
}

// -----

func.func @result() -> vector<5x16xf32> {
  %w = tensor.empty() : tensor<16x64x!qf.elem<f16>>
  %x = tensor.empty() : tensor<5x64xf16>
  %a = arith.constant dense<0.0> : vector<5x16xf32>
  // expected-error @+1 {{has a weight that is no parameter}}
  %r = qf.warp_dot %a, %x, %w of !qf.elem<f16> : vector<5x16xf32>, tensor<5x64xf16>, (tensor<16x64x!qf.elem<f16>>)
  return %r : vector<5x16xf32>
}
