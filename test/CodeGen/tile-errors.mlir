// RUN: quant-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(qf-tile))'

func.func @no_target(%x: tensor<8x32xf32>, %w: tensor<16x32x!qf.elem<f16>>, %out: tensor<8x16xf32>) -> tensor<8x16xf32> {
  // expected-error @+1 {{'qf.contract' op needs the attribute 'qf.target' of its module to choose tile sizes}}
  %y = qf.contract %x, %w into %out : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<8x16xf32> -> tensor<8x16xf32>
  return %y : tensor<8x16xf32>
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
func.func @sizes(%x: tensor<8x32xf32>, %w: tensor<16x32x!qf.elem<f16>>, %out: tensor<8x16xf32>) -> tensor<8x16xf32> {
  // expected-error @+1 {{'qf.contract' op 'qf.tiles' takes five sizes}}
  %y = qf.contract %x, %w into %out {qf.tiles = array<i64: 1, 2>} : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<8x16xf32> -> tensor<8x16xf32>
  return %y : tensor<8x16xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
func.func @dynamic_rows(%x: tensor<8x32xf32>, %w: tensor<?x32x!qf.elem<f16>>, %out: tensor<8x?xf32>) -> tensor<8x?xf32> {
  // expected-error @+1 {{'qf.contract' op is not tiled: its result is no matrix with a static number of columns}}
  %y = qf.contract %x, %w into %out : tensor<8x32xf32>, tensor<?x32x!qf.elem<f16>>, tensor<8x?xf32> -> tensor<8x?xf32>
  return %y : tensor<8x?xf32>
}
}
