// RUN: quant-opt %s --split-input-file --verify-diagnostics --qf-pad-columns

!x = tensor<?x50xf16>

func.func @computed(%a: !x, %w: tensor<32x50x!qf.elem<int<group = 32>>>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %x = arith.addf %a, %a : !x
  // expected-error @+1 {{has 50 columns, which fill no units: its activations and weights must be parameters that nothing else reads}}
  %r = qf.contract %x, %w into %y : !x, tensor<32x50x!qf.elem<int<group = 32>>>, tensor<?x32xf32> -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// -----

!x = tensor<?x50xf16>

// A unit of f16 has 64 columns, one with groups of 128 has 128.
func.func @units(%x: !x, %v: tensor<32x50x!qf.elem<f16>>, %w: tensor<32x50x!qf.elem<int<group = 128>>>, %y: tensor<?x32xf32>,
                 %z: tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // expected-error @+1 {{has weights padded to 64 columns, another product of its activations to 128: give both formats of the same units}}
  %r = qf.contract %x, %v into %y : !x, tensor<32x50x!qf.elem<f16>>, tensor<?x32xf32> -> tensor<?x32xf32>
  %s = qf.contract %x, %w into %z : !x, tensor<32x50x!qf.elem<int<group = 128>>>, tensor<?x32xf32> -> tensor<?x32xf32>
  return %r, %s : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

!x = tensor<?x500xf16>

func.func @format(%x: !x, %w: tensor<32x500x!qf.elem<q4_k>>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{q4_k cannot hold a weight of 32 x 500: its blocks are 1 x 256}}
  %r = qf.contract %x, %w into %y : !x, tensor<32x500x!qf.elem<q4_k>>, tensor<?x32xf32> -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}
