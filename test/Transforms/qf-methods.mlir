// RUN: quant-opt %s --qf-imatrix | FileCheck %s --check-prefixes=CHECK,HESSIAN,IMATRIX
// RUN: quant-opt %s --qf-imatrix=diagonal | FileCheck %s --check-prefixes=CHECK,DIAGONAL
// RUN: quant-opt %s --qf-gptq='damp=0.05 act-order' | FileCheck %s --check-prefixes=CHECK,HESSIAN,GPTQ
// RUN: quant-opt %s --qf-gptq='act-order groups=dynamic grid=mse block=64 plain' | FileCheck %s --check-prefix=OPTIONS
// RUN: quant-opt %s --qf-auto=candidates=rtn,gptq | FileCheck %s --check-prefixes=CHECK,AUTO
// RUN: quant-opt %s --qf-awq | FileCheck %s --check-prefix=AWQ
// RUN: quant-opt %s --qf-awq=clip=false --qf-gptq | FileCheck %s --check-prefix=BOTH
// RUN: quant-opt %s --qf-awq='clip=false method=gptq act-order held-out' | FileCheck %s --check-prefix=JUDGED

// Statistics are declared before the weight that names the observer: gate and up share one.
// CHECK: nn.weight @columns.gate : tensor<3x64xf32> from #nn.statistic<"columns.gate">
// HESSIAN: nn.weight @hessian.gate : tensor<64x64xf32> from #nn.statistic<"hessian.gate">
// AUTO: nn.weight @heldout.gate : tensor<64x64xf32> from #nn.statistic<"heldout.gate">
// CHECK: nn.weight @gate : tensor<128x64xbf16> from #nn.source<"f", "g">{{$}}
nn.weight @gate : tensor<128x64xbf16> from #nn.source<"f", "g"> {nn.format = !qf.elem<q4_0>}
nn.weight @up : tensor<128x64xbf16> from #nn.source<"f", "u"> {nn.format = !qf.elem<q4_0>}
nn.weight @down : tensor<64x128xbf16> from #nn.source<"f", "d"> {nn.format = !qf.elem<q4_0>}
nn.weight @norm : tensor<64xf32> from #nn.source<"f", "n">
nn.weight @table : tensor<32x64xbf16> from #nn.source<"f", "t"> {nn.format = !qf.elem<q4_0>}

func.func @forward(%ids: tensor<?xi32>) -> tensor<?x64xf32> {
  // A table has no input to learn from.
  // CHECK: qf.quantize %{{.+}} using "rtn" : tensor<32x64xbf16>
  %t = nn.get @table : tensor<32x64xbf16>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<32x64xbf16>) -> tensor<?x64xf32>

  // The norm is divided by the factors that serve gate and up.
  // JUDGED: %[[O:.+]] = nn.get @heldout.gate
  // JUDGED: qf.search_scales %{{.+}}, %{{.+}} using(%{{.+}}, %{{.+}}) judged_by(%[[O]]) formats [!qf.elem<q4_0>, !qf.elem<q4_0>] {act_order, damp = 1.000000e-02 : f64, method = "gptq", scales = "updated"}
  // AWQ: %[[S:.+]] = qf.search_scales %{{.+}}, %{{.+}} using(%{{.+}}, %{{.+}}) formats [!qf.elem<q4_0>, !qf.elem<q4_0>]
  // AWQ: %[[N:.+]] = qf.scale %{{.+}} over %[[S]] : tensor<64xf32>, tensor<64xf32> -> tensor<64xf32>
  // AWQ: nn.rms_norm %{{.+}}, %[[N]]
  %n = nn.get @norm : tensor<64xf32>
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x64xf32>, tensor<64xf32>

  // IMATRIX: %[[C:.+]] = nn.get @columns.gate
  // IMATRIX: %[[H:.+]] = nn.get @hessian.gate
  // IMATRIX: qf.quantize %{{.+}} using "imatrix"(%[[C]], %[[H]] : tensor<3x64xf32>, tensor<64x64xf32>) : tensor<128x64xbf16> -> tensor<128x64x!qf.elem<q4_0>>
  // DIAGONAL: qf.quantize %{{.+}} using "imatrix"(%{{.+}} : tensor<3x64xf32>) : tensor<128x64xbf16> -> tensor<128x64x!qf.elem<q4_0>>
  // GPTQ: qf.quantize %{{.+}} using "gptq"(%{{.+}}, %{{.+}} : tensor<3x64xf32>, tensor<64x64xf32>) {act_order, damp = 5.000000e-02 : f64, scales = "updated"}
  // OPTIONS: qf.quantize %{{.+}} using "gptq"({{.+}}) {act_order, block = 64 : i64, damp = 1.000000e-02 : f64, grid = "mse", groups = "dynamic", plain, scales = "updated"}
  // AUTO: qf.quantize %{{.+}} using "auto"(%{{.+}}, %{{.+}}, %{{.+}} : tensor<3x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) {candidates = ["rtn", "gptq"], damp = 1.000000e-02 : f64, scales = "updated"}
  // AWQ: %[[G:.+]] = qf.scale %{{.+}} columns by %[[S]] : tensor<128x64xbf16>, tensor<64xf32> -> tensor<128x64xf32>
  // AWQ: qf.clip %[[G]] using(%{{.+}}, %{{.+}}) inputs_over(%[[S]] : tensor<64xf32>) format !qf.elem<q4_0>
  // BOTH: qf.quantize %{{.+}} using "gptq"({{.+}}) inputs_over(%{{.+}} : tensor<64xf32>)
  %g = nn.get @gate : tensor<128x64xbf16>
  %a = nn.linear %x weights(%g : tensor<128x64xbf16>) : tensor<?x64xf32> -> tensor<?x128xf32>
  // Rows of up are divided for what down is multiplied by.
  // AWQ: %[[U:.+]] = qf.scale %{{.+}} columns by %[[S]]
  // AWQ: %[[D:.+]] = qf.search_scales
  // AWQ: %[[V:.+]] = qf.scale %[[U]] over %[[D]]
  %u = nn.get @up : tensor<128x64xbf16>
  %b = nn.linear %x weights(%u : tensor<128x64xbf16>) : tensor<?x64xf32> -> tensor<?x128xf32>
  %f = nn.gated silu %a, %b : tensor<?x128xf32>
  // AWQ: qf.scale %{{.+}} columns by %[[D]]
  %d = nn.get @down : tensor<64x128xbf16>
  %y = nn.linear %f weights(%d : tensor<64x128xbf16>) : tensor<?x128xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
