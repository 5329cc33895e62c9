// RUN: quant-opt %s --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-pipeline-sums)))" --verify-diagnostics

// One iteration has nothing to run ahead of.
gpu.module @kernels {
  gpu.func @short(%m: memref<64xf32>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %v = arith.constant 1.0 : f32
    // expected-error @+1 {{cannot be pipelined}}
    scf.for %i = %c0 to %c1 step %c1 {
      memref.store %v, %m[%i] : memref<64xf32>
    } {qf.stages = 4 : i64}
    gpu.return
  }
}
