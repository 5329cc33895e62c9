// RUN: quant-opt %s --nn-quantize-activations=require-fast --split-input-file --verify-diagnostics

func.func @floats(%x: tensor<?x256xf32>, %w: tensor<8x256x!qf.elem<f16>>) -> tensor<?x8xf32> {
  // expected-error @+1 {{has no fast kernel: the codes of its weight 'tensor<8x256x!qf.elem<f16>>' are neither integers nor bf16}}
  %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<f16>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @mixed(%x: tensor<?x256xf32>, %a: tensor<8x256x!qf.elem<q8_0>>, %b: tensor<8x256x!qf.elem<q4_k>>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // expected-error @+1 {{has weights that need different activations; run nn-quantize-activations before fusing}}
  %y:2 = nn.linear %x weights(%a, %b : tensor<8x256x!qf.elem<q8_0>>, tensor<8x256x!qf.elem<q4_k>>)
      : tensor<?x256xf32> -> tensor<?x8xf32>, tensor<?x8xf32>
  return %y#0, %y#1 : tensor<?x8xf32>, tensor<?x8xf32>
}
