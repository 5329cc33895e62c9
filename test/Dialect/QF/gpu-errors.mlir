// RUN: quant-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{'stream' takes two positive numbers: tokens and warps of a block}}
module attributes {qf.gpu = #qf.gpu<"x", chip = "sm_80", ptx = 80, shared = 1, stream = [8], tiled = [64, 128, 64, 32], stages = 4>} {}

// -----

// expected-error @+1 {{'tiled' takes four positive sizes: tokens and rows of a block, tokens and rows of a warp}}
module attributes {qf.gpu = #qf.gpu<"x", chip = "sm_80", ptx = 80, shared = 1, stream = [8, 8], tiled = [64, 0, 64, 32], stages = 4>} {}

// -----

// expected-error @+1 {{'stages' must be at least 2}}
module attributes {qf.gpu = #qf.gpu<"x", chip = "sm_80", ptx = 80, shared = 1, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 1>} {}

// -----

func.func @rows(%a: vector<8x20xf32>, %x: tensor<8x64xf16>, %w: tensor<20x64x!qf.elem<f16>>) -> vector<8x20xf32> {
  // expected-error @+1 {{has 20 rows: a warp takes a multiple of 16}}
  %r = qf.warp_dot %a, %x, %w of !qf.elem<f16> : vector<8x20xf32>, tensor<8x64xf16>, (tensor<20x64x!qf.elem<f16>>)
  return %r : vector<8x20xf32>
}

// -----

func.func @weights(%a: vector<8x32xf32>, %x: tensor<8x64xf16>, %w: tensor<16x64x!qf.elem<f16>>) -> vector<8x32xf32> {
  // expected-error @+1 {{has accumulators of 32 rows, but weights 'tensor<16x64x!qf.elem<f16>>'}}
  %r = qf.warp_dot %a, %x, %w of !qf.elem<f16> : vector<8x32xf32>, tensor<8x64xf16>, (tensor<16x64x!qf.elem<f16>>)
  return %r : vector<8x32xf32>
}

// -----

func.func @format(%a: vector<8x16xf32>, %x: tensor<8x64xf16>, %w: tensor<16x64x!qf.elem<f16>>) -> vector<8x16xf32> {
  // expected-error @+1 {{takes one weight of '!qf.elem<bf16>'}}
  %r = qf.warp_dot %a, %x, %w of !qf.elem<bf16> : vector<8x16xf32>, tensor<8x64xf16>, (tensor<16x64x!qf.elem<f16>>)
  return %r : vector<8x16xf32>
}
