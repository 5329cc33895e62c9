// RUN: not quant-opt %s --nn-split-outliers 2>&1 | FileCheck %s
// RUN: not quant-opt %s --nn-split-outliers=threshold=-1 2>&1 | FileCheck %s --check-prefix=THRESHOLD
// CHECK: columns.w is not known: give a text to calibrate with, or statistics
// THRESHOLD: an input is an outlier from a threshold above 0 on, not -1

nn.weight @w : tensor<2x32xf32> from dense<1.0> : tensor<2x32xf32> {nn.format = !qf.elem<q4_0>}
func.func @forward(%x: tensor<?x32xf32>) -> tensor<?x2xf32> {
  %w = nn.get @w : tensor<2x32xf32>
  %y = nn.linear %x weights(%w : tensor<2x32xf32>) : tensor<?x32xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
