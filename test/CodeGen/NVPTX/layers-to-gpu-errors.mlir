// RUN: quant-opt %s --nn-layers-to-gpu --split-input-file --verify-diagnostics

func.func @observe(%x: tensor<?x64xf32>, %c: tensor<3x64xf32> {bufferization.writable = true}) -> tensor<3x64xf32> {
  // expected-error @+1 {{has no kernel for GPUs}}
  %r = nn.observe %x into %c : tensor<?x64xf32> into tensor<3x64xf32>
  return %r : tensor<3x64xf32>
}

// -----

func.func @rows(%t: tensor<?xi32>, %w: tensor<20x192x!qf.elem<int>>, %out: tensor<?x192xf32> {bufferization.writable = true}) -> tensor<?x192xf32> {
  // expected-error @+1 {{int has no fragments for a weight of 20 x 192: columns must be a multiple of 128}}
  %y = qf.decode %w rows(%t) into %out : tensor<20x192x!qf.elem<int>>, tensor<?xi32>, tensor<?x192xf32> -> tensor<?x192xf32>
  return %y : tensor<?x192xf32>
}
