// RUN: quant-opt %s --nn-quantize-activations=exactly | FileCheck %s

// Integer codes, no term without one: bf16 activations for both.
// CHECK-LABEL: func.func @shared
func.func @shared(%x: tensor<?x256xf32>, %a: tensor<8x256x!qf.elem<q8_0>>, %b: tensor<8x256x!qf.elem<q6_k>>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: %[[Q:.+]] = qf.encode {{.+}}!qf.elem<a16>
  // CHECK-NOT: qf.encode
  // CHECK: nn.linear %[[Q]] weights({{.+}}q8_0
  // CHECK: nn.linear %[[Q]] weights({{.+}}q6_k
  %y = nn.linear %x weights(%a : tensor<8x256x!qf.elem<q8_0>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  %z = nn.linear %x weights(%b : tensor<8x256x!qf.elem<q6_k>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// Minima multiply sums, of as many columns as they hold for.
// CHECK-LABEL: func.func @minima
func.func @minima(%x: tensor<?x256xf32>, %a: tensor<8x256x!qf.elem<q4_k>>, %b: tensor<8x256x!qf.elem<q2_k>>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: %[[B:.+]] = qf.encode {{.+}}!qf.elem<a16s<sum = 16>>
  // CHECK: %[[A:.+]] = qf.encode {{.+}}!qf.elem<a16s>
  // CHECK: nn.linear %[[A]] weights({{.+}}q4_k
  // CHECK: nn.linear %[[B]] weights({{.+}}q2_k
  %y = nn.linear %x weights(%a : tensor<8x256x!qf.elem<q4_k>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  %z = nn.linear %x weights(%b : tensor<8x256x!qf.elem<q2_k>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// f16 has more digits than bf16.
// CHECK-LABEL: func.func @floats
func.func @floats(%x: tensor<?x256xf32>, %w: tensor<8x256x!qf.elem<f16>>) -> tensor<?x8xf32> {
  // CHECK-NOT: qf.encode
  %y = nn.linear %x weights(%w : tensor<8x256x!qf.elem<f16>>) : tensor<?x256xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
