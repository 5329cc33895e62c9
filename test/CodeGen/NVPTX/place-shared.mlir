// RUN: quant-opt %s --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-place-shared,canonicalize,cse)))" | FileCheck %s

// CHECK: gpu.func @two{{.*}} attributes {qf.shared_bytes = 640 : i64}
// CHECK: %[[ALL:.*]] = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
// CHECK-DAG: memref.view %[[ALL]][%c0][] : {{.*}} to memref<100xf32, #gpu.address_space<workgroup>>
// CHECK-DAG: memref.view %[[ALL]][%c512][] : {{.*}} to memref<8xf32, #gpu.address_space<workgroup>>
gpu.module @kernels {
  gpu.func @two(%v: f32, %i: index) kernel {
    %a = memref.alloc() : memref<100xf32, #gpu.address_space<workgroup>>
    %b = memref.alloc() : memref<8xf32, #gpu.address_space<workgroup>>
    memref.store %v, %a[%i] : memref<100xf32, #gpu.address_space<workgroup>>
    memref.store %v, %b[%i] : memref<8xf32, #gpu.address_space<workgroup>>
    gpu.return
  }
}
