// RUN: quant-opt %S/Inputs/linear.mlir --quant-codegen-nvptx="to=tiled" | quant-opt --pass-pipeline="builtin.module(func.func(qf-vectorize-warps,canonicalize,cse))" | FileCheck %s

// CHECK-LABEL: func.func @stream
// CHECK: %[[D:.*]] = qf.warp_dot %{{.*}}, %{{.*}}, %{{.*}} of !qf.elem<int> : vector<5x16xf32>, tensor<5x128xf16>, (tensor<16x128x!qf.elem<int>>)
// CHECK: vector.transfer_write %[[D]], %{{.*}} {in_bounds = [true, true]} : vector<5x16xf32>, tensor<5x16xf32>
// CHECK: vector.multi_reduction <add>, %{{.*}}, %{{.*}} [0] : vector<2x5x16xf32> to vector<5x16xf32>

// A vector has the size of a whole tile; what lies past the end of the tensor is out of bounds.
// CHECK-LABEL: func.func @tiled
// CHECK: %[[A:.*]] = vector.transfer_read %{{.*}} {in_bounds = [false, true]} : tensor<?x16xf32>, vector<16x16xf32>
// CHECK: %[[D:.*]] = qf.warp_dot %[[A]], %{{.*}} : vector<16x16xf32>, tensor<?x64xf16>, (tensor<16x64x!qf.elem<int>>)
// CHECK: vector.transfer_write %[[D]], %{{.*}} {in_bounds = [false, true]}
