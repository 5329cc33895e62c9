// RUN: quant-opt %s --nn-quantize-activations | FileCheck %s

// One encode for both linears; its group is the scale's scope.
// CHECK-LABEL: func.func @shared
// CHECK-SAME: (%[[X:.+]]: tensor<?x256xf32>
func.func @shared(%x: tensor<?x256xf32>, %a: tensor<8x256x!qf.elem<q8_0>>, %b: tensor<8x256x!qf.elem<q4_0>>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: %[[D:.+]] = tensor.dim %[[X]]
  // CHECK: %[[E:.+]] = tensor.empty(%[[D]]) : tensor<?x256x!qf.elem<a8>>
  // CHECK: %[[Q:.+]] = qf.encode %[[X]] into %[[E]]
  // CHECK-NOT: qf.encode
  // CHECK: nn.linear %[[Q]] weights({{.+}}q8_0
  // CHECK: nn.linear %[[Q]] weights({{.+}}q4_0
  %y = nn.linear %x weights(%a : tensor<8x256x!qf.elem<q8_0>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  %z = nn.linear %x weights(%b : tensor<8x256x!qf.elem<q4_0>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// Super-blocks have a scale of 256; sums of codes are wanted for each 32.
// CHECK-LABEL: func.func @coarse
func.func @coarse(%x: tensor<?x256xf32>, %w: tensor<8x256x!qf.elem<q4_k>>) -> tensor<?x8xf32> {
  // CHECK: qf.encode {{.+}}!qf.elem<a8<group = 256, width = 16>>
  %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<q4_k>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A codebook of floats: few numbers, which are rounded to bf16.
// CHECK-LABEL: func.func @halves
func.func @halves(%x: tensor<?x256xf32>, %w: tensor<8x256x!qf.elem<nf4>>) -> tensor<?x8xf32> {
  // CHECK: qf.encode {{.+}}!qf.elem<a16>
  %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<nf4>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// f16 has more digits than bf16.
// CHECK-LABEL: func.func @floats
func.func @floats(%x: tensor<?x256xf32>, %w: tensor<8x256x!qf.elem<f16>>) -> tensor<?x8xf32> {
  // CHECK-NOT: qf.encode
  // CHECK: nn.linear {{.+}} : tensor<?x256xf32>
  %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<f16>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
