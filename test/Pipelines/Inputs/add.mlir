// y = x Wᵀ + residual for 16 tokens, sums of one order.
#id = affine_map<(m, n) -> (m, n)>
func.func @add(%x: tensor<16x288xf32>, %w: tensor<128x288x!qf.elem<int<4, group = 32>>>, %residual: tensor<16x128xf32>,
               %out: tensor<16x128xf32> {bufferization.writable = true}) -> tensor<16x128xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<16x128xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<16x128xf32>) -> tensor<16x128xf32>
  %y = qf.contract %x, %w into %init exact : tensor<16x288xf32>, tensor<128x288x!qf.elem<int<4, group = 32>>>, tensor<16x128xf32> -> tensor<16x128xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %residual : tensor<16x128xf32>, tensor<16x128xf32>) outs(%out : tensor<16x128xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
  } -> tensor<16x128xf32>
  return %s : tensor<16x128xf32>
}
