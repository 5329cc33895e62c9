// RUN: quant-opt %s --nn-fold-norms | FileCheck %s

// CHECK: nn.weight @table : tensor<16x8xbf16> from #nn.source<"f", "t">
// The head reads the table too, so it gets a weight of its own.
// CHECK: nn.weight @output : tensor<16x8xf32> from #nn.scaled<#nn.source<"f", "t">, by = #nn.source<"f", "o">>
nn.weight @table : tensor<16x8xbf16> from #nn.source<"f", "t">
// CHECK: nn.weight @norm : tensor<8xf32> from dense<1.000000e+00> : tensor<8xf32>
nn.weight @norm : tensor<8xf32> from #nn.source<"f", "n">
// CHECK: nn.weight @gate : tensor<12x8xf32> from #nn.scaled<#nn.source<"f", "g">, by = #nn.source<"f", "n">>
nn.weight @gate : tensor<12x8xbf16> from #nn.source<"f", "g">
// CHECK: nn.weight @up : tensor<12x8xf32> from #nn.scaled<#nn.source<"f", "u">, by = #nn.source<"f", "n">>
nn.weight @up : tensor<12x8x!qf.elem<f16>> from #nn.source<"f", "u">
// A norm of heads, and one that is read by something else than linears, stay.
// CHECK: nn.weight @heads : tensor<4xf32> from #nn.source<"f", "h">
nn.weight @heads : tensor<4xf32> from #nn.source<"f", "h">
// CHECK: nn.weight @other : tensor<12xf32> from #nn.source<"f", "p">
nn.weight @other : tensor<12xf32> from #nn.source<"f", "p">
// CHECK: nn.weight @down : tensor<8x12xbf16> from #nn.source<"f", "d">
nn.weight @down : tensor<8x12xbf16> from #nn.source<"f", "d">
// CHECK: nn.weight @last : tensor<8xf32> from dense<1.0
nn.weight @last : tensor<8xf32> from #nn.source<"f", "o">

func.func @forward(%ids: tensor<?xi32>) -> tensor<?x16xf32> {
  %t = nn.get @table : tensor<16x8xbf16>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xbf16>) -> tensor<?x8xf32>
  %k = nn.get @heads : tensor<4xf32>
  %i = nn.rms_norm %h, %k eps 1.0e-5 : tensor<?x8xf32>, tensor<4xf32>
  %n = nn.get @norm : tensor<8xf32>
  %x = nn.rms_norm %i, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  // CHECK: nn.linear %{{.+}} weights(%{{.+}} : tensor<12x8xf32>)
  %g = nn.get @gate : tensor<12x8xbf16>
  %a = nn.linear %x weights(%g : tensor<12x8xbf16>) : tensor<?x8xf32> -> tensor<?x12xf32>
  %u = nn.get @up : tensor<12x8x!qf.elem<f16>>
  %b = nn.linear %x weights(%u : tensor<12x8x!qf.elem<f16>>) : tensor<?x8xf32> -> tensor<?x12xf32>
  %p = nn.get @other : tensor<12xf32>
  %c = nn.rms_norm %a, %p eps 1.0e-5 : tensor<?x12xf32>, tensor<12xf32>
  %f = nn.gated silu %c, %b : tensor<?x12xf32>
  %d = nn.get @down : tensor<8x12xbf16>
  %y = nn.linear %f weights(%d : tensor<8x12xbf16>) : tensor<?x12xf32> -> tensor<?x8xf32>
  %o = nn.get @last : tensor<8xf32>
  %z = nn.rms_norm %y, %o eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
  // CHECK: %[[O:.+]] = nn.get @output : tensor<16x8xf32>
  // CHECK: nn.linear %{{.+}} weights(%[[O]] : tensor<16x8xf32>)
  %l = nn.linear %z weights(%t : tensor<16x8xbf16>) : tensor<?x8xf32> -> tensor<?x16xf32>
  return %l : tensor<?x16xf32>
}
