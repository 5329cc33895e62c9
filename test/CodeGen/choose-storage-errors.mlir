// RUN: quant-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(qf-choose-storage))'

func.func @no_target(%x: tensor<8x32xf32>, %w: tensor<16x32x!qf.elem<f16>>, %acc: vector<8x16xf32>) {
  // expected-error @+1 {{'qf.tile_dot' op needs the attribute 'qf.target' of its module to choose storage}}
  %r = qf.tile_dot %acc, %x, %w columns 32 : vector<8x16xf32>, tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>
  return
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
func.func @cut(%x: tensor<8x128xf32>, %w: tensor<64x256x!qf.elem<q4_k>>, %acc: vector<8x16xf32>) {
  // expected-error @+2 {{'tensor.extract_slice' op cuts a block}}
  // expected-note @+1 {{a block of q4_k has 16 x 256 numbers}}
  %ws = tensor.extract_slice %w[0, 128] [16, 128] [1, 1] : tensor<64x256x!qf.elem<q4_k>> to tensor<16x128x!qf.elem<q4_k>>
  %r = qf.tile_dot %acc, %x, %ws columns 128 : vector<8x16xf32>, tensor<8x128xf32>, tensor<16x128x!qf.elem<q4_k>>
  return
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
func.func @both(%x: tensor<8x32x!qf.elem<a8>>, %w: tensor<16x32x!qf.elem<a8>>, %acc: vector<8x16xf32>) {
  // expected-error @+1 {{as activations and as weights, which lie differently}}
  %r = qf.tile_dot %acc, %x, %w columns 32 : vector<8x16xf32>, tensor<8x32x!qf.elem<a8>>, tensor<16x32x!qf.elem<a8>>
  return
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
func.func @no_storage(%x: tensor<8x32xf32>, %w: tensor<16x32x!qf.elem<exl3>>, %acc: vector<8x16xf32>) {
  // expected-error @+1 {{'qf.tile_dot' op exl3 has no kernel storage}}
  %r = qf.tile_dot %acc, %x, %w columns 32 : vector<8x16xf32>, tensor<8x32xf32>, tensor<16x32x!qf.elem<exl3>>
  return
}
}
