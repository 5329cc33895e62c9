// RUN: quant-opt %s --pass-pipeline="builtin.module(func.func(qf-float-activations))" | FileCheck %s

// CHECK-LABEL: func.func @rounded(%arg0: tensor<?x64xf32>, %arg1: tensor<?x64xf16>
// CHECK-SAME: -> tensor<?x64xf16>
// CHECK: %[[R:.+]] = linalg.generic {{.+}} ins(%arg0 : tensor<?x64xf32>) outs(%arg1 : tensor<?x64xf16>)
// CHECK: arith.truncf %{{.+}} : f32 to f16
// CHECK: return %[[R]] : tensor<?x64xf16>
func.func @rounded(%x: tensor<?x64xf32>, %out: tensor<?x64x!qf.elem<f16>>) -> tensor<?x64x!qf.elem<f16>> {
  %e = qf.encode %x into %out : tensor<?x64xf32>, tensor<?x64x!qf.elem<f16>> -> tensor<?x64x!qf.elem<f16>>
  return %e : tensor<?x64x!qf.elem<f16>>
}

// Weights, and activations in other formats, stay what they are.
// CHECK-LABEL: func.func @others(%arg0: tensor<?x64x!qf.elem<a8>>, %arg1: tensor<32x64x!qf.elem<f16>>)
func.func @others(%x: tensor<?x64x!qf.elem<a8>>, %w: tensor<32x64x!qf.elem<f16>>) {
  return
}
