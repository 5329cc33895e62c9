// RUN: quant-opt %s --nn-specialize-tokens | FileCheck %s
// RUN: sed 's/^module.*/module {/' %s | not quant-opt --nn-specialize-tokens 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: needs the attribute 'qf.gpu'
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>} {
  // CHECK-LABEL: func.func @linear_0(%arg0: tensor<?x64x!qf.elem<f16>>
  // CHECK-LABEL: func.func @linear_0_m1(%arg0: tensor<1x64x!qf.elem<f16>>
  // CHECK-SAME: -> tensor<1x32xf32> attributes {qf.most_tokens = 1 : i64, qf.variant_of = @linear_0}
  // CHECK: nn.linear %arg0 {{.+}} : tensor<1x64x!qf.elem<f16>> -> tensor<1x32xf32>
  // CHECK-LABEL: func.func @linear_0_m8(%arg0: tensor<?x64x!qf.elem<f16>>
  // CHECK-SAME: attributes {qf.most_tokens = 8 : i64, qf.variant_of = @linear_0}
  func.func @linear_0(%x: tensor<?x64x!qf.elem<f16>>, %w: tensor<32x64x!qf.elem<int<group = 32>>>, %out: tensor<?x32xf32> {bufferization.writable = true}) -> tensor<?x32xf32> {
    %y = nn.linear %x weights(%w : tensor<32x64x!qf.elem<int<group = 32>>>) : tensor<?x64x!qf.elem<f16>> -> tensor<?x32xf32>
    %r = bufferization.materialize_in_destination %y in %out : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
    return %r : tensor<?x32xf32>
  }

  // Other layers have one kernel.
  // CHECK-LABEL: func.func @add_0
  // CHECK-NOT: @add_0_m
  func.func @add_0(%a: tensor<?x32xf32>, %b: tensor<?x32xf32>, %out: tensor<?x32xf32> {bufferization.writable = true}) -> tensor<?x32xf32> {
    %y = nn.add %a, %b : tensor<?x32xf32>
    %r = bufferization.materialize_in_destination %y in %out : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
    return %r : tensor<?x32xf32>
  }
}
