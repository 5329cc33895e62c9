// RUN: quant-opt %s --qf-forall-to-range --verify-diagnostics

// Branches: the tasks of such a function cannot be counted.
// expected-error@below {{has several blocks; a kernel is straight-line code around parallel loops}}
func.func @branches(%x: memref<128xf32>, %c: i1) {
  cf.cond_br %c, ^store, ^end
^store:
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) = (0) to (128) step (32) { memref.store %zero, %x[%i] : memref<128xf32> }
  cf.br ^end
^end:
  return
}

// A declaration is no kernel.
func.func private @elsewhere(memref<128xf32>)
