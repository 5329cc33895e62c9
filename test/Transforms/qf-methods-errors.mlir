// RUN: quant-opt %s --split-input-file --qf-gptq --qf-materialize --verify-diagnostics
// RUN: not quant-opt %s --split-input-file --qf-gptq=scales=sometimes 2>&1 | FileCheck %s
// RUN: not quant-opt %s --split-input-file --qf-auto=scales=sometimes 2>&1 | FileCheck %s
// RUN: not quant-opt %s --split-input-file --qf-gptq='act-order groups=some' 2>&1 | FileCheck %s --check-prefix=GROUPS
// RUN: not quant-opt %s --split-input-file --qf-gptq=groups=dynamic 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not quant-opt %s --split-input-file --qf-auto=grid=fine 2>&1 | FileCheck %s --check-prefix=GRID
// RUN: not quant-opt %s --split-input-file --qf-awq='method=gptq block=0' 2>&1 | FileCheck %s --check-prefix=BLOCK
// GROUPS: groups are 'static' or 'dynamic', found 'some'
// ORDER: dynamic groups are those of columns in another order: act-order is not given
// GRID: grids are 'weighted', 'mse' or 'range', found 'fine'
// BLOCK: a block has at least 1 column, found 0
// RUN: not quant-opt %s --split-input-file --qf-awq=method=imatrix 2>&1 | FileCheck %s --check-prefix=AWQ
// AWQ: factors can be searched for rtn or gptq, found 'imatrix'
// RUN: not quant-opt %s --split-input-file --qf-auto=candidates=rtn,best 2>&1 | FileCheck %s --check-prefix=AUTO
// AUTO: 'best' is none of the methods that can be tried: rtn, imatrix, gptq, gptq:act-order
// CHECK: scales are 'updated' or 'block', found 'sometimes'

// expected-error @+1 {{columns.w is not known: give a text to calibrate with, or statistics}}
nn.weight @w : tensor<2x32xf32> from dense<1.0> : tensor<2x32xf32> {nn.format = !qf.elem<q4_0>}
func.func @forward(%x: tensor<?x32xf32>) -> tensor<?x2xf32> {
  %w = nn.get @w : tensor<2x32xf32>
  %y = nn.linear %x weights(%w : tensor<2x32xf32>) : tensor<?x32xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// expected-error @+1 {{method "best" is not known; rtn, imatrix, gptq and auto are}}
nn.weight @w : tensor<2x32xf32> from dense<1.0> : tensor<2x32xf32>
nn.weight @c : tensor<3x32xf32> from dense<1.0> : tensor<3x32xf32>
func.func @forward(%x: tensor<?x32xf32>) -> tensor<?x2xf32> {
  %w = nn.get @w : tensor<2x32xf32>
  %c = nn.get @c : tensor<3x32xf32>
  %q = qf.quantize %w using "best"(%c : tensor<3x32xf32>) : tensor<2x32xf32> -> tensor<2x32x!qf.elem<q4_0>>
  %y = nn.linear %x weights(%q : tensor<2x32x!qf.elem<q4_0>>) : tensor<?x32xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// -----

// expected-error @+1 {{method "auto" needs columns, a Hessian, a held-out one, and candidates}}
nn.weight @w : tensor<2x32xf32> from dense<1.0> : tensor<2x32xf32>
nn.weight @c : tensor<3x32xf32> from dense<1.0> : tensor<3x32xf32>
func.func @forward(%x: tensor<?x32xf32>) -> tensor<?x2xf32> {
  %w = nn.get @w : tensor<2x32xf32>
  %c = nn.get @c : tensor<3x32xf32>
  %q = qf.quantize %w using "auto"(%c : tensor<3x32xf32>) : tensor<2x32xf32> -> tensor<2x32x!qf.elem<q4_0>>
  %y = nn.linear %x weights(%q : tensor<2x32x!qf.elem<q4_0>>) : tensor<?x32xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
