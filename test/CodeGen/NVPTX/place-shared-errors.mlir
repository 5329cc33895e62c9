// RUN: quant-opt %s --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-place-shared)))" --split-input-file --verify-diagnostics

gpu.module @kernels {
  gpu.func @global(%v: f32, %i: index) kernel {
    // expected-error @+2 {{in a kernel: a tensor is not computed in place}}
    // expected-note @+1 {{give it a writable destination, or fuse it into its consumer}}
    %a = memref.alloc() : memref<100xf32>
    memref.store %v, %a[%i] : memref<100xf32>
    gpu.return
  }
}

// -----

#gpu = #qf.gpu<"small", chip = "sm_80", ptx = 80, shared = 256, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>
module attributes {qf.gpu = #gpu} {
  gpu.module @kernels {
    // expected-error @+1 {{needs 512 bytes of shared memory, but a block of small can have 256}}
    gpu.func @large(%v: f32, %i: index) kernel {
      %a = memref.alloc() : memref<100xf32, #gpu.address_space<workgroup>>
      memref.store %v, %a[%i] : memref<100xf32, #gpu.address_space<workgroup>>
      gpu.return
    }
  }
}
