// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-vectorize))' | FileCheck %s

// CHECK-LABEL: func.func @contract
// CHECK: %[[A:.+]] = vector.transfer_read %{{.*}} {in_bounds = [true, true]} : tensor<8x16xf32>, vector<8x16xf32>
// CHECK: %[[D:.+]] = qf.tile_dot %[[A]], %{{.*}}, %{{.*}} columns 32 exact : vector<8x16xf32>, tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>
// CHECK: vector.transfer_write %[[D]], %{{.*}} {in_bounds = [true, true]} : vector<8x16xf32>, tensor<8x16xf32>
func.func @contract(%x: tensor<8x32xf32>, %w: tensor<16x32x!qf.elem<f16>>, %out: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %y = qf.contract %x, %w into %out exact : tensor<8x32xf32>, tensor<16x32x!qf.elem<f16>>, tensor<8x16xf32> -> tensor<8x16xf32>
  return %y : tensor<8x16xf32>
}

// CHECK-LABEL: func.func @encode
// CHECK: %[[X:.+]] = vector.transfer_read {{.*}} : tensor<1x32xf32>, vector<1x32xf32>
// CHECK: qf.encode %[[X]] into %{{.*}} : vector<1x32xf32>, tensor<1x32x!qf.elem<a8>> -> tensor<1x32x!qf.elem<a8>>
func.func @encode(%x: tensor<1x32xf32>, %out: tensor<1x32x!qf.elem<a8>>) -> tensor<1x32x!qf.elem<a8>> {
  %r = qf.encode %x into %out : tensor<1x32xf32>, tensor<1x32x!qf.elem<a8>> -> tensor<1x32x!qf.elem<a8>>
  return %r : tensor<1x32x!qf.elem<a8>>
}

// CHECK-LABEL: func.func @decode
// CHECK: %[[T:.+]] = tensor.extract %{{.*}}[%{{.*}}] : tensor<1xi32>
// CHECK: %[[ROW:.+]] = arith.index_cast %[[T]] : i32 to index
// CHECK: %[[V:.+]] = qf.tile_decode %{{.*}}[%[[ROW]]] : tensor<100x32x!qf.elem<f16>> -> vector<1x32xf32>
// CHECK: vector.transfer_write %[[V]]
func.func @decode(%w: tensor<100x32x!qf.elem<f16>>, %rows: tensor<1xi32>, %out: tensor<1x32xf32>) -> tensor<1x32xf32> {
  %r = qf.decode %w rows(%rows) into %out : tensor<100x32x!qf.elem<f16>>, tensor<1xi32>, tensor<1x32xf32> -> tensor<1x32xf32>
  return %r : tensor<1x32xf32>
}

// CHECK-LABEL: func.func @epilogue
// CHECK: arith.addf %{{.*}}, %{{.*}} : vector<8x16xf32>
#id = affine_map<(m, n) -> (m, n)>
func.func @epilogue(%a: tensor<8x16xf32>, %b: tensor<8x16xf32>, %out: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %b : tensor<8x16xf32>, tensor<8x16xf32>) outs(%out : tensor<8x16xf32>) {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %r = arith.addf %p, %q : f32
      linalg.yield %r : f32
  } -> tensor<8x16xf32>
  return %s : tensor<8x16xf32>
}
