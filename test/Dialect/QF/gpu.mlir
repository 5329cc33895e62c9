// RUN: quant-opt %s | quant-opt | FileCheck %s

// CHECK: module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>}
module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>} {
  // CHECK: qf.warp_dot %{{.*}}, %{{.*}}, %{{.*}} of !qf.elem<f16> : vector<8x16xf32>, tensor<8x64xbf16>, (tensor<16x64x!qf.elem<f16>>)
  func.func @tensors(%a: vector<8x16xf32>, %x: tensor<8x64xbf16>, %w: tensor<16x64x!qf.elem<f16>>) -> vector<8x16xf32> {
    %r = qf.warp_dot %a, %x, %w of !qf.elem<f16> : vector<8x16xf32>, tensor<8x64xbf16>, (tensor<16x64x!qf.elem<f16>>)
    return %r : vector<8x16xf32>
  }
  // CHECK: qf.warp_dot {{.*}} of !qf.elem<int> : vector<8x16xf32>, memref<8x128xf16>, (memref<1x2x128xi32>, memref<1x1x8xi32>)
  func.func @planes(%a: vector<8x16xf32>, %x: memref<8x128xf16>, %q: memref<1x2x128xi32>, %s: memref<1x1x8xi32>) -> vector<8x16xf32> {
    %r = qf.warp_dot %a, %x, %q, %s of !qf.elem<int<4, group = 128>> : vector<8x16xf32>, memref<8x128xf16>, (memref<1x2x128xi32>, memref<1x1x8xi32>)
    return %r : vector<8x16xf32>
  }
}
