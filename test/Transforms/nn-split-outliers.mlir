// RUN: quant-opt %s --nn-split-outliers | FileCheck %s
// RUN: quant-opt %s --nn-split-outliers=threshold=9 | FileCheck %s --check-prefix=NONE
// RUN: quant-opt %s --nn-split-outliers --qf-rtn | FileCheck %s --check-prefix=RTN

// Rows: the means of |x| and x², the largest |x|, which is 6 and more in columns 1 and 3.
nn.weight @columns.gate : tensor<3x4xf32> from dense<[[9.0, 1.0, 1.0, 1.0], [9.0, 1.0, 1.0, 1.0], [2.0, 6.0, 5.9, 8.5]]> : tensor<3x4xf32>
nn.weight @columns.down : tensor<3x2xf32> from dense<[[1.0, 1.0], [1.0, 1.0], [2.0, 5.0]]> : tensor<3x2xf32>
nn.weight @columns.plain : tensor<3x4xf32> from dense<100.0> : tensor<3x4xf32>

// CHECK: nn.weight @gate : tensor<2x4xf32> from #nn.cleared<#nn.source<"f", "g">, [1, 3]> {nn.format = !qf.elem<int8_row>}
// CHECK: nn.weight @gate.outliers : tensor<2x2xf32> from #nn.chosen<#nn.source<"f", "g">, [1, 3]> {nn.format = !qf.elem<bf16>}
// CHECK: nn.weight @gate.inner : tensor<4xf32> from #nn.cleared<dense<1.000000e+00> : tensor<4xf32>, [1, 3]>
// CHECK: nn.weight @gate.columns : tensor<2xi32> from dense<[1, 3]> : tensor<2xi32>
// NONE-NOT: outliers
nn.weight @gate : tensor<2x4xbf16> from #nn.source<"f", "g"> {nn.format = !qf.elem<int8_row>}
// CHECK: nn.weight @up : tensor<2x4xf32> from #nn.cleared<#nn.source<"f", "u">, [1, 3]>
// CHECK: nn.weight @up.outliers : tensor<2x2xf32> from #nn.chosen<#nn.source<"f", "u">, [1, 3]> {nn.format = !qf.elem<f16>}
nn.weight @up : tensor<2x4xf32> from #nn.source<"f", "u"> {nn.format = !qf.elem<int8_row>}
nn.weight @up_bias : tensor<2xf32> from #nn.source<"f", "b">
// Without outliers, and where nothing is quantized, linears stay.
// CHECK: nn.weight @down : tensor<4x2xbf16> from #nn.source<"f", "d">
nn.weight @down : tensor<4x2xbf16> from #nn.source<"f", "d"> {nn.format = !qf.elem<int8_row>}
// CHECK: nn.weight @plain : tensor<4x4xbf16> from #nn.source<"f", "p">
nn.weight @plain : tensor<4x4xbf16> from #nn.source<"f", "p"> {nn.format = !qf.elem<bf16>}

// CHECK: func.func @forward(%[[X:.+]]: tensor<?x4xf32>)
func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // CHECK: %[[F:.+]] = nn.get @gate.inner
  // CHECK: %[[I:.+]] = nn.scale %[[X]] by %[[F]] : tensor<?x4xf32>, tensor<4xf32>
  // CHECK: %[[T:.+]] = nn.get @gate.columns
  // CHECK: %[[O:.+]] = nn.gather %[[X]] by %[[T]] : tensor<?x4xf32>, tensor<2xi32> -> tensor<?x2xf32>
  // CHECK: %[[GO:.+]] = nn.get @gate.outliers
  // CHECK: %[[B:.+]] = nn.linear %[[O]] weights(%[[GO]] : tensor<2x2xf32>)
  // CHECK: %[[A:.+]] = nn.linear %[[I]] weights(
  // CHECK: %[[G:.+]] = nn.add %[[A]], %[[B]]
  // Bits of outliers are kept by rounding to the format that they have.
  // RTN: qf.quantize %{{.+}} using "rtn" : tensor<2x2xf32> -> tensor<2x2x!qf.elem<bf16>>
  %wg = nn.get @gate : tensor<2x4xbf16>
  %g = nn.linear %x weights(%wg : tensor<2x4xbf16>) : tensor<?x4xf32> -> tensor<?x2xf32>
  // The bias is added once.
  // CHECK: nn.linear %[[O]] weights(%{{.+}} : tensor<2x2xf32>) : tensor<?x2xf32>
  // CHECK: nn.linear %[[I]] weights(%{{.+}} : tensor<2x4xf32>) bias(
  // CHECK: nn.add
  %wu = nn.get @up : tensor<2x4xf32>
  %bu = nn.get @up_bias : tensor<2xf32>
  %u = nn.linear %x weights(%wu : tensor<2x4xf32>) bias(%bu : tensor<2xf32>) : tensor<?x4xf32> -> tensor<?x2xf32>
  // CHECK: nn.gated silu %[[G]],
  %h = nn.gated silu %g, %u : tensor<?x2xf32>
  %wd = nn.get @down : tensor<4x2xbf16>
  %d = nn.linear %h weights(%wd : tensor<4x2xbf16>) : tensor<?x2xf32> -> tensor<?x4xf32>
  %wp = nn.get @plain : tensor<4x4xbf16>
  %y = nn.linear %d weights(%wp : tensor<4x4xbf16>) : tensor<?x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}
