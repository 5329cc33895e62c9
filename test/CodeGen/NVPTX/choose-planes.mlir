// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=vector" | quant-opt --pass-pipeline="builtin.module(func.func(qf-choose-planes,canonicalize,cse))" | FileCheck %s

// Codes in units of 16 x 64, scales in units of 16 x 128.
// CHECK-LABEL: func.func @tiled
// CHECK-SAME: %{{.*}}: tensor<?x256xf16>, %[[CODES:.*]]: tensor<2x4x128xi32>, %[[SCALES:.*]]: tensor<2x2x8xi32>, %{{.*}}: tensor<?x32xf32>
// CHECK: %[[C:.*]] = tensor.extract_slice %[[CODES]][%{{.*}}, 0, 0] [1, 4, 128] [1, 1, 1]
// CHECK: %[[S:.*]] = tensor.extract_slice %[[SCALES]][%{{.*}}, 0, 0] [1, 2, 8] [1, 1, 1]
// CHECK: %[[U:.*]] = affine.apply #[[BY64:.*]](%[[K:.*]])
// CHECK: tensor.extract_slice %[[C]][0, %[[U]], 0] [1, 1, 128] [1, 1, 1]
// CHECK: %[[G:.*]] = affine.apply #[[BY128:.*]](%[[K]])
// CHECK: tensor.extract_slice %[[S]][0, %[[G]], 0] [1, 1, 8] [1, 1, 1]
// CHECK: qf.warp_dot {{.*}} of !qf.elem<int> : vector<16x16xf32>, tensor<?x64xf16>, (tensor<1x1x128xi32>, tensor<1x1x8xi32>)
