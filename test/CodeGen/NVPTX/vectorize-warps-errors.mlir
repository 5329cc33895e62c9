// RUN: quant-opt %s --qf-vectorize-warps --verify-diagnostics

func.func @f(%x: tensor<5x64xf16>, %w: tensor<?x64x!qf.elem<f16>>, %y: tensor<5x?xf32>) -> tensor<5x?xf32> attributes {qf.tiles = array<i64: 0, 16, 0, 16, 64, 1, 0>} {
  // expected-error @+1 {{has no static tile of '!qf.elem': run qf-tile-blocks before}}
  %r = qf.contract %x, %w into %y : tensor<5x64xf16>, tensor<?x64x!qf.elem<f16>>, tensor<5x?xf32> -> tensor<5x?xf32>
  return %r : tensor<5x?xf32>
}
