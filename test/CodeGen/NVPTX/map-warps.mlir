// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=gpu" | quant-opt --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-map-warps,canonicalize,cse)))" | FileCheck %s

// All activations are staged before the warps; one barrier more before one warp adds the parts.
// CHECK-LABEL: gpu.func @stream
// CHECK-SAME: known_block_size = array<i32: 64, 1, 1>
// CHECK: memref.alloc() : memref<5x264xf16, #gpu.address_space<workgroup>>
// CHECK: nvgpu.device_async_copy
// CHECK: nvgpu.device_async_wait %{{.*}} {numGroups = 0 : i32}
// CHECK: gpu.barrier
// CHECK: qf.warp_dot
// CHECK: gpu.barrier
// CHECK: scf.if

// Tiles of activations and of codes are staged in the loop, a buffer for each stage; scales are not.
// CHECK-LABEL: gpu.func @tiled
// CHECK: memref.alloc() : memref<2x16x64xf16, #gpu.address_space<workgroup>>
// CHECK: memref.alloc() : memref<2x2x1x128xi32, #gpu.address_space<workgroup>>
// CHECK: scf.for
// CHECK:   nvgpu.device_async_copy
// CHECK:   nvgpu.device_async_create_group
// CHECK:   gpu.barrier
// CHECK:   qf.warp_dot {{.*}} : vector<16x16xf32>, memref<16x64xf16, {{.*}}#gpu.address_space<workgroup>>, (memref<1x1x128xi32, {{.*}}#gpu.address_space<workgroup>>, memref<1x1x8xi32, strided<[16, 8, 1], offset: ?>>)
// CHECK: {qf.stages = 2 : i64}
