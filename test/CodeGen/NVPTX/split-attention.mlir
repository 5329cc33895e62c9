// RUN: quant-opt %s --nn-split-attention | FileCheck %s
// RUN: sed 's/^module.*/module {/' %s | not quant-opt --nn-split-attention 2>&1 | FileCheck %s --check-prefix=ERROR
// RUN: sed 's/, qf.multiprocessors = 6 : i64//' %s | quant-opt --nn-split-attention | FileCheck %s --check-prefix=UNKNOWN

// ERROR: error: needs the attribute 'qf.gpu'
// UNKNOWN-NOT: nn.attention_parts
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>, qf.multiprocessors = 6 : i64} {
  // Two blocks for each token; four of each of six multiprocessors are twelve parts. Parts come first.
  // CHECK-LABEL: func.func @attention_0(
  // CHECK: nn.attention
  // CHECK-LABEL: func.func @attention_0_m8_parts(
  // CHECK-SAME: %arg6: tensor<?x128x!qf.elem<f16>>, %arg7: tensor<?x1632xf32> {bufferization.writable = true, qf.scratch}) -> tensor<?x1632xf32>
  // CHECK-SAME: attributes {qf.most_tokens = 8 : i64, qf.variant_of = @attention_0}
  // CHECK: %[[R:.+]] = nn.rope %arg0
  // CHECK: %[[P:.+]] = nn.attention_parts %[[R]], %arg1, %arg2 at %arg3 scale 3.000000e-01 window 99 softcap 2.000000e+00 parts 12
  // CHECK: %[[D:.+]] = bufferization.materialize_in_destination %[[P]] in %arg7
  // CHECK-NEXT: return %[[D]]
  // CHECK-LABEL: func.func @attention_0_m8(
  // CHECK-SAME: %arg6: tensor<?x128x!qf.elem<f16>> {bufferization.writable = true}, %arg7: tensor<?x1632xf32> {qf.scratch}) -> tensor<?x128x!qf.elem<f16>>
  // CHECK-SAME: attributes {qf.most_tokens = 8 : i64, qf.variant_of = @attention_0}
  // CHECK-NEXT: %[[Y:.+]] = nn.combine_parts %arg7 at %arg3 heads 4 parts 12 window 99
  // CHECK-NEXT: %[[E:.+]] = qf.encode %[[Y]] into %arg6
  // CHECK-NEXT: return %[[E]]
  func.func @attention_0(%q: tensor<?x128xf32>, %k: tensor<2x?x32xf16>, %v: tensor<2x?x32xf16>, %past: index, %low: tensor<16x2x16xf32>, %high: tensor<4x2x16xf32>, %out: tensor<?x128x!qf.elem<f16>> {bufferization.writable = true}) -> tensor<?x128x!qf.elem<f16>> {
    %r = nn.rope %q at %past angles(%low, %high) head_dim 32 style half : tensor<?x128xf32>, tensor<16x2x16xf32>, tensor<4x2x16xf32>
    %y = nn.attention %r, %k, %v at %past scale 0.3 window 99 softcap 2.0 : tensor<?x128xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x128xf32>
    %e = qf.encode %y into %out : tensor<?x128xf32>, tensor<?x128x!qf.elem<f16>> -> tensor<?x128x!qf.elem<f16>>
    return %e : tensor<?x128x!qf.elem<f16>>
  }

  // As many key heads as blocks are wanted: one kernel.
  // CHECK-LABEL: func.func @attention_1(
  // CHECK-NOT: @attention_1_m
  func.func @attention_1(%q: tensor<?x384xf32>, %k: tensor<24x?x16xf16>, %v: tensor<24x?x16xf16>, %past: index, %out: tensor<?x384xf32> {bufferization.writable = true}) -> tensor<?x384xf32> {
    %y = nn.attention %q, %k, %v at %past scale 0.3 : tensor<?x384xf32>, tensor<24x?x16xf16>, tensor<24x?x16xf16> -> tensor<?x384xf32>
    %r = bufferization.materialize_in_destination %y in %out : (tensor<?x384xf32>, tensor<?x384xf32>) -> tensor<?x384xf32>
    return %r : tensor<?x384xf32>
  }
}
