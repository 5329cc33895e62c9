// RUN: quant-opt %s --qf-rtn | FileCheck %s

// CHECK: nn.weight @w : tensor<8x64xbf16> from #nn.source<"f", "w">{{$}}
nn.weight @w : tensor<8x64xbf16> from #nn.source<"f", "w"> {nn.format = !qf.elem<q8_0>}
// The same bits: only the type changes.
// CHECK: nn.weight @plain : tensor<8x64x!qf.elem<bf16>> from #nn.source<"f", "p">{{$}}
nn.weight @plain : tensor<8x64xbf16> from #nn.source<"f", "p"> {nn.format = !qf.elem<bf16>}
// CHECK: nn.weight @same : tensor<8x64x!qf.elem<q4_0>> from #nn.source<"f", "s">{{$}}
nn.weight @same : tensor<8x64x!qf.elem<q4_0>> from #nn.source<"f", "s"> {nn.format = !qf.elem<q4_0>}

func.func @forward(%x: tensor<?x64xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: %[[W:.+]] = nn.get @w : tensor<8x64xbf16>
  // CHECK: %[[Q:.+]] = qf.quantize %[[W]] using "rtn" : tensor<8x64xbf16> -> tensor<8x64x!qf.elem<q8_0>>
  %w = nn.get @w : tensor<8x64xbf16>
  // CHECK: %[[P:.+]] = nn.get @plain : tensor<8x64x!qf.elem<bf16>>
  %p = nn.get @plain : tensor<8x64xbf16>
  // CHECK: %[[S:.+]] = nn.get @same : tensor<8x64x!qf.elem<q4_0>>
  // CHECK-NOT: qf.quantize
  %s = nn.get @same : tensor<8x64x!qf.elem<q4_0>>
  // CHECK: nn.linear %{{.+}} weights(%[[Q]] : tensor<8x64x!qf.elem<q8_0>>)
  %a = nn.linear %x weights(%w : tensor<8x64xbf16>) : tensor<?x64xf32> -> tensor<?x8xf32>
  // CHECK: nn.linear %{{.+}} weights(%[[P]] : tensor<8x64x!qf.elem<bf16>>)
  %b = nn.linear %x weights(%p : tensor<8x64xbf16>) : tensor<?x64xf32> -> tensor<?x8xf32>
  %c = nn.linear %x weights(%s : tensor<8x64x!qf.elem<q4_0>>) : tensor<?x64xf32> -> tensor<?x8xf32>
  return %a, %b, %c : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}
