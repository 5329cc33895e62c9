// RUN: quant-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(qf-vectorize))'

func.func @dynamic(%x: tensor<?x32xf32>, %w: tensor<16x32x!qf.elem<f16>>, %out: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // expected-error @+1 {{'qf.contract' op has no static tile: run qf-tile before}}
  %y = qf.contract %x, %w into %out : tensor<?x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<?x16xf32> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

func.func @tokens(%w: tensor<100x32x!qf.elem<f16>>, %rows: tensor<2xi32>, %out: tensor<2x32xf32>) -> tensor<2x32xf32> {
  // expected-error @+1 {{'qf.decode' op has a tile of several tokens}}
  %r = qf.decode %w rows(%rows) into %out : tensor<100x32x!qf.elem<f16>>, tensor<2xi32>, tensor<2x32xf32> -> tensor<2x32xf32>
  return %r : tensor<2x32xf32>
}
