// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=gpu" | quant-opt --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-map-warps,canonicalize,cse,qf-to-lanes,canonicalize,cse)))" | FileCheck %s
// RUN: sed 's/!qf.elem<int<4, group = 128>>/!qf.elem<int<4, group = 128, asym>>/' %S/Inputs/linear.mlir | quant-opt --quant-codegen-nvptx="to=lanes" | FileCheck %s --check-prefix=ASYM
// RUN: sed 's/xf16/xbf16/g' %S/Inputs/linear.mlir | quant-opt --quant-codegen-nvptx="to=lanes" | FileCheck %s --check-prefix=BF16
// RUN: sed 's/!qf.elem<int<4, group = 128>>/!qf.elem<nf4>/' %S/Inputs/linear.mlir | quant-opt --quant-codegen-nvptx="to=lanes" | FileCheck %s --check-prefix=TABLE

// Four bits: one lop3 for two codes, one addition or multiply-add takes 1024 and the zero point away.
// CHECK-LABEL: gpu.func @stream
// CHECK: nvgpu.ldmatrix %{{.*}} -> vector<4x2xf16>
// CHECK: %[[W:.*]] = vector.load %{{.*}} {alignment = 16 : i64} : memref<1x2x128xi32, {{.*}}>, vector<4xi32>
// CHECK: %[[U:.*]] = vector.extract %[[W]][0]
// CHECK: llvm.inline_asm {{.*}} "lop3.b32 $0, $1, $2, $3, 0xEA;", "=r,r,n,r" %[[U]], %c983055_i32, %c1677747200_i32
// CHECK: arith.addf %{{.*}}, %{{.*}} : vector<2xf16>
// CHECK: llvm.intr.fma(%{{.*}}) : (vector<2xf16>, vector<2xf16>, vector<2xf16>) -> vector<2xf16>
// CHECK: nvvm.mma.sync {{.*}} shape = #nvvm.shape<m = 16, n = 8, k = 16>
// Scales: once for the run of 128 columns, in f32.
// CHECK-COUNT-7: nvvm.mma.sync
// CHECK: llvm.intr.fma(%{{.*}}) : (f32, f32, f32) -> f32
// CHECK-NOT: qf.warp_dot
// CHECK-LABEL: gpu.func @tiled

// The zero point belongs to the codes: what they lie on, 1024 and itself, is taken off in one number. No product with ones.
// ASYM-NOT: arith.constant dense<1.000000e+00> : vector<2xf16>
// ASYM: arith.constant -1.024000e+03 : f32
// ASYM-NOT: arith.constant dense<1.000000e+00> : vector<2xf16>
// ASYM: nvvm.mma.sync

// BF16: arith.constant 1124090624 : i32
// BF16: nvvm.mma.sync {{.*}}multiplicandAPtxType = #nvvm.mma_type<bf16>

// TABLE-COUNT-12: prmt.b32 $0, $1, $2, $3;
