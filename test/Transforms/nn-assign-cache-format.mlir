// RUN: quant-opt %s --nn-assign-cache-format=format=q8_0 | FileCheck %s
// RUN: quant-opt %s --nn-assign-cache-format=format=f16 | FileCheck %s --check-prefix=F16
// RUN: not quant-opt %s --nn-assign-cache-format=format=nosuch 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not quant-opt %s --nn-assign-cache-format=format=aqlm 2>&1 | FileCheck %s --check-prefix=STORAGE

// UNKNOWN: error: the KV cache cannot be nosuch: there is no format 'nosuch'
// STORAGE: error: the KV cache cannot be aqlm: {{.*}}has no kernel storage

// CHECK-LABEL: func.func @forward
// CHECK-SAME: %{{.+}}: tensor<2x?x32x!qf.elem<q8_0>>, %{{.+}}: tensor<2x?x32x!qf.elem<q8_0>>) -> (tensor<?x64xf32>, tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>)
// CHECK: nn.stage "block.0" -> tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
// CHECK: nn.kv_append {{.+}} into tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
// F16: nn.kv_append {{.+}} into tensor<2x?x32xf16>, tensor<2x?x32xf16>
func.func @forward(%x: tensor<?x64xf32>, %past: index, %rows: index, %keys: tensor<2x?x32xf16>, %values: tensor<2x?x32xf16>)
    -> (tensor<?x64xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16>) {
  %s:2 = nn.stage "block.0" -> tensor<2x?x32xf16>, tensor<2x?x32xf16> {
    %a, %b = nn.kv_append %x, %x at %past into %keys, %values
      : tensor<?x64xf32>, tensor<?x64xf32> into tensor<2x?x32xf16>, tensor<2x?x32xf16>
    nn.yield %a, %b : tensor<2x?x32xf16>, tensor<2x?x32xf16>
  }
  return %x, %s#0, %s#1 : tensor<?x64xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16>
}
