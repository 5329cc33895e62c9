// RUN: quant-opt %s --qf-tile-blocks --split-input-file --verify-diagnostics

#small = #qf.gpu<"small", chip = "sm_80", ptx = 80, shared = 2048, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>
module attributes {qf.gpu = #small} {
  // expected-error @+1 {{does not fit the 2048 bytes of shared memory of small}}
  func.func @memory(%x: tensor<5x1024xf16>, %w: tensor<16x1024x!qf.elem<int<4>>>, %y: tensor<5x16xf32>) -> tensor<5x16xf32> {
    %r = qf.contract %x, %w into %y : tensor<5x1024xf16>, tensor<16x1024x!qf.elem<int<4>>>, tensor<5x16xf32> -> tensor<5x16xf32>
    return %r : tensor<5x16xf32>
  }
}

// -----

#gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>
module attributes {qf.gpu = #gpu} {
  func.func @rows(%x: tensor<5x1088xf16>, %w: tensor<32x1088x!qf.elem<int<4>>>, %y: tensor<5x32xf32>) -> tensor<5x32xf32> {
    // expected-error @+1 {{has 1088 columns, no whole units of 128: run qf-pad-columns before}}
    %r = qf.contract %x, %w into %y : tensor<5x1088xf16>, tensor<32x1088x!qf.elem<int<4>>>, tensor<5x32xf32> -> tensor<5x32xf32>
    return %r : tensor<5x32xf32>
  }
}

// -----

#gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>
module attributes {qf.gpu = #gpu} {
  func.func @floats(%x: tensor<5x1024xf32>, %w: tensor<16x1024x!qf.elem<int<4>>>, %y: tensor<5x16xf32>) -> tensor<5x16xf32> {
    // expected-error @+1 {{needs activations of f16 or bf16 on a GPU}}
    %r = qf.contract %x, %w into %y : tensor<5x1024xf32>, tensor<16x1024x!qf.elem<int<4>>>, tensor<5x16xf32> -> tensor<5x16xf32>
    return %r : tensor<5x16xf32>
  }
}

// -----

// expected-error @+1 {{needs the attribute 'qf.gpu' of its module}}
func.func @target(%x: tensor<5x64xf16>, %w: tensor<16x64x!qf.elem<f16>>, %y: tensor<5x16xf32>) -> tensor<5x16xf32> {
  %r = qf.contract %x, %w into %y : tensor<5x64xf16>, tensor<16x64x!qf.elem<f16>>, tensor<5x16xf32> -> tensor<5x16xf32>
  return %r : tensor<5x16xf32>
}
