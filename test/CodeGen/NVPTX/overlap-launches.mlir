// RUN: quant-opt %s --split-input-file --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-overlap-launches)))" | FileCheck %s

// The wait comes first; the next kernel may begin behind it.
module attributes {qf.dependent_launch} {
  gpu.module @kernels {
    // CHECK: gpu.func @k(%{{.*}}: memref<4xf32>) kernel attributes {qf.waits} {
    // CHECK-NEXT: llvm.inline_asm has_side_effects {{.*}}"griddepcontrol.wait;", "~{memory}"
    // CHECK-NEXT: llvm.inline_asm has_side_effects {{.*}}"griddepcontrol.launch_dependents;", "~{memory}"
    // CHECK-NEXT: arith.constant
    gpu.func @k(%a: memref<4xf32>) kernel {
      %c0 = arith.constant 0 : index
      %v = memref.load %a[%c0] : memref<4xf32>
      gpu.return
    }
    // CHECK: gpu.func @no_kernel() {
    // CHECK-NEXT: gpu.return
    gpu.func @no_kernel() {
      gpu.return
    }
  }
}

// -----

// What the GPU has not.
gpu.module @kernels {
  // CHECK: gpu.func @k() kernel {
  // CHECK-NEXT: gpu.return
  gpu.func @k() kernel {
    gpu.return
  }
}
