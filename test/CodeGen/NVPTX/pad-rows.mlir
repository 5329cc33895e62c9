// RUN: quant-opt %s --qf-pad-rows | FileCheck %s

!x = tensor<?x64xf16>
!w = tensor<50x64x!qf.elem<int<group = 32>>>
!acc = tensor<?x50xf32>
#mn = affine_map<(m, n) -> (m, n)>
#n = affine_map<(m, n) -> (n)>

// 50 rows are 64: of weight, bias, residual and result, but not the 64 columns of x. What memory has is recorded.
// CHECK-LABEL: func.func @ragged(
// CHECK-SAME: %arg0: tensor<?x64xf16>, %arg1: tensor<64x64x!qf.elem<int<group = 32>>>, %arg2: tensor<64xf32> {qf.pitch_in_memory = 50 : i64}
// CHECK-SAME: %arg3: tensor<?x64xf32> {qf.pitch_in_memory = 50 : i64}, %arg4: tensor<?x64xf32> {bufferization.writable = true, qf.pitch_in_memory = 50 : i64}
// CHECK-SAME: attributes {qf.rows_in_memory = 50 : i64}
// CHECK: tensor.empty(%{{.*}}) : tensor<?x64xf32>
// CHECK: qf.contract {{.*}} -> tensor<?x64xf32>
// CHECK: linalg.generic
func.func @ragged(%x: !x, %w: !w, %bias: tensor<50xf32>, %residual: !acc, %y: !acc {bufferization.writable = true}) -> !acc {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : !x
  %empty = tensor.empty(%m) : !acc
  %init = linalg.fill ins(%zero : f32) outs(%empty : !acc) -> !acc
  %acc = qf.contract %x, %w into %init : !x, !w, !acc -> !acc
  %r = linalg.generic {indexing_maps = [#mn, #n, #mn, #mn], iterator_types = ["parallel", "parallel"]}
      ins(%acc, %bias, %residual : !acc, tensor<50xf32>, !acc) outs(%y : !acc) {
    ^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      %t = arith.addf %s, %c : f32
      linalg.yield %t : f32
  } -> !acc
  return %r : !acc
}

// Whole tiles stay as they are.
// CHECK-LABEL: func.func @whole(
// CHECK-NOT: _in_memory
// CHECK: return
func.func @whole(%x: !x, %w: tensor<48x64x!qf.elem<int<group = 32>>>, %y: tensor<?x48xf32> {bufferization.writable = true}) -> tensor<?x48xf32> {
  %r = qf.contract %x, %w into %y : !x, tensor<48x64x!qf.elem<int<group = 32>>>, tensor<?x48xf32> -> tensor<?x48xf32>
  return %r : tensor<?x48xf32>
}
