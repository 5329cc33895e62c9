// RUN: quant-opt %s --verify-diagnostics --pass-pipeline='builtin.module(func.func(qf-refuse-allocations))'

func.func @kernel(%a: memref<8xf32>, %n: index) {
  // A part of the stack frame.
  %scratch = memref.alloca() : memref<64xf32>
  // expected-error @+2 {{'memref.alloc' op in a kernel: a tensor is not computed in place}}
  // expected-note @+1 {{give it a writable destination, or fuse it into its consumer}}
  %b = memref.alloc() : memref<8xf32>
  // expected-error @+2 {{'memref.copy' op in a kernel}}
  // expected-note @+1 {{give it a writable destination, or fuse it into its consumer}}
  memref.copy %a, %b : memref<8xf32> to memref<8xf32>
  // expected-error @+2 {{'memref.alloca' op in a kernel}}
  // expected-note @+1 {{give it a writable destination, or fuse it into its consumer}}
  %c = memref.alloca(%n) : memref<?xf32>
  return
}
