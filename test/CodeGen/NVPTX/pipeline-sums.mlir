// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=gpu" | quant-opt --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-map-warps,canonicalize,cse,qf-to-lanes,canonicalize,cse,qf-pipeline-sums,canonicalize,cse)))" | FileCheck %s

// The copies of the first tile are a prologue; in the loop those of the next, which read nothing past the end.
// CHECK-LABEL: gpu.func @tiled
// CHECK: nvgpu.device_async_copy
// CHECK: %[[FIRST:.*]] = nvgpu.device_async_create_group
// CHECK: scf.for %[[K:.*]] = %c0 to %c256 step %c64 iter_args(%{{.*}} = %{{.*}}, %[[T:.*]] = %[[FIRST]]) -> (vector<1x2x2x2xf32>, !nvgpu.device.async.token)
// CHECK:   %[[MORE:.*]] = arith.cmpi slt, %[[K]], %c192
// CHECK:   nvgpu.device_async_wait %[[T]] {numGroups = 0 : i32}
// CHECK:   gpu.barrier
// CHECK:   %[[COUNT:.*]] = arith.select %[[MORE]], %c8, %c0
// CHECK:   nvgpu.device_async_copy {{.*}}, 8, %[[COUNT]]
// CHECK:   nvvm.mma.sync
