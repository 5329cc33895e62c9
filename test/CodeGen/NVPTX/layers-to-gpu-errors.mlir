// RUN: quant-opt %s --nn-layers-to-gpu --split-input-file --verify-diagnostics

func.func @observe(%x: tensor<?x64xf32>, %c: tensor<3x64xf32> {bufferization.writable = true}) -> tensor<3x64xf32> {
  // expected-error @+1 {{has no kernel for GPUs}}
  %r = nn.observe %x into %c : tensor<?x64xf32> into tensor<3x64xf32>
  return %r : tensor<3x64xf32>
}

// -----

func.func @rows(%t: tensor<?xi32>, %w: tensor<20x200x!qf.elem<q4_k>>, %out: tensor<?x200xf32> {bufferization.writable = true}) -> tensor<?x200xf32> {
  // expected-error @+1 {{q4_k cannot hold a weight of 20 x 200: its blocks are 1 x 256}}
  %y = qf.decode %w rows(%t) into %out : tensor<20x200x!qf.elem<q4_k>>, tensor<?xi32>, tensor<?x200xf32> -> tensor<?x200xf32>
  return %y : tensor<?x200xf32>
}

// -----

func.func @append(%k: tensor<?x64xf32>, %past: index, %keys: tensor<2x?x32x!qf.elem<int<group = 32>>> {bufferization.writable = true}, %values: tensor<2x?x32x!qf.elem<int<group = 32>>> {bufferization.writable = true}) -> (tensor<2x?x32x!qf.elem<int<group = 32>>>, tensor<2x?x32x!qf.elem<int<group = 32>>>) {
  // expected-error @+1 {{searches cannot be run at run time}}
  %a, %b = nn.kv_append %k, %k at %past into %keys, %values : tensor<?x64xf32>, tensor<?x64xf32> into tensor<2x?x32x!qf.elem<int<group = 32>>>, tensor<2x?x32x!qf.elem<int<group = 32>>>
  return %a, %b : tensor<2x?x32x!qf.elem<int<group = 32>>>, tensor<2x?x32x!qf.elem<int<group = 32>>>
}

// -----

func.func @argmax(%x: tensor<?x16777217xf32>, %t: tensor<?xi32> {bufferization.writable = true}, %l: tensor<?xf32> {bufferization.writable = true}) -> (tensor<?xi32>, tensor<?xf32>) {
  // expected-error @+1 {{has 16777217 features; a kernel for GPUs takes at most 16777216}}
  %a, %b = nn.argmax %x : tensor<?x16777217xf32> -> tensor<?xi32>, tensor<?xf32>
  %r = bufferization.materialize_in_destination %a in %t : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  %s = bufferization.materialize_in_destination %b in %l : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %r, %s : tensor<?xi32>, tensor<?xf32>
}

// -----

func.func @top(%x: tensor<?x16777217xf32>, %t: tensor<?x2xi32> {bufferization.writable = true}, %l: tensor<?x2xf32> {bufferization.writable = true}) -> (tensor<?x2xi32>, tensor<?x2xf32>) {
  // expected-error @+1 {{has 16777217 features; a kernel for GPUs takes at most 16777216}}
  %a, %b = nn.top %x : tensor<?x16777217xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  %r = bufferization.materialize_in_destination %a in %t : (tensor<?x2xi32>, tensor<?x2xi32>) -> tensor<?x2xi32>
  %s = bufferization.materialize_in_destination %b in %l : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
  return %r, %s : tensor<?x2xi32>, tensor<?x2xf32>
}
