// RUN: quant-opt %s --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-to-lanes)))" --verify-diagnostics

gpu.module @kernels {
  gpu.func @tile(%x: memref<8x48xf16>, %q: memref<1x1x128xi32>, %s: memref<1x1x8xi32>, %y: memref<8x16xf32>) kernel {
    %a = arith.constant dense<0.0> : vector<8x16xf32>
    %c0 = arith.constant 0 : index
    // expected-error @+2 {{has tiles of 'memref<8x48xf16>', but needs a multiple of 64 columns}}
    // expected-error @+1 {{failed to legalize operation 'qf.warp_dot'}}
    %r = qf.warp_dot %a, %x, %q, %s of !qf.elem<int<4, group = 128>> : vector<8x16xf32>, memref<8x48xf16>, (memref<1x1x128xi32>, memref<1x1x8xi32>)
    vector.transfer_write %r, %y[%c0, %c0] {in_bounds = [true, true]} : vector<8x16xf32>, memref<8x16xf32>
    gpu.return
  }
}
