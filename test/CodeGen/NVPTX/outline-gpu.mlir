// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=buffers" | quant-opt --qf-outline-gpu --canonicalize --cse | FileCheck %s

// CHECK: gpu.module @kernels
// CHECK: gpu.func @stream(%{{.*}}: memref<5x256xf16> {llvm.align = 16 : i64, llvm.noalias, llvm.readonly}, {{.*}}, %{{.*}}: memref<5x32xf32> {llvm.align = 16 : i64, llvm.noalias}) kernel
// CHECK: gpu.block_id  x
// The number of tokens is a parameter; a ragged block has fewer.
// CHECK: gpu.func @tiled(%[[X:.*]]: memref<1x256xf16> {{.*}}, %[[M:.*]]: index) kernel
// CHECK: memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[M]], 256], strides: [256, 1]
// CHECK: affine.min
