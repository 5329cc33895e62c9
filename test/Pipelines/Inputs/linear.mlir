// y = x Wᵀ + residual for any number of tokens: with int8 activations, and with f32 sums of one order.
#id = affine_map<(m, n) -> (m, n)>
func.func @encode(%x: tensor<?x288xf32>, %out: tensor<?x288x!qf.elem<a8<group = 32>>> {bufferization.writable = true})
    -> tensor<?x288x!qf.elem<a8<group = 32>>> {
  %r = qf.encode %x into %out : tensor<?x288xf32>, tensor<?x288x!qf.elem<a8<group = 32>>> -> tensor<?x288x!qf.elem<a8<group = 32>>>
  return %r : tensor<?x288x!qf.elem<a8<group = 32>>>
}
func.func @fast(%x: tensor<?x288x!qf.elem<a8<group = 32>>>, %w: tensor<200x288x!qf.elem<int<4, group = 32>>>, %residual: tensor<?x200xf32>,
                %out: tensor<?x200xf32> {bufferization.writable = true}) -> tensor<?x200xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %out, %c0 : tensor<?x200xf32>
  %empty = tensor.empty(%m) : tensor<?x200xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x200xf32>) -> tensor<?x200xf32>
  %y = qf.contract %x, %w into %init : tensor<?x288x!qf.elem<a8<group = 32>>>, tensor<200x288x!qf.elem<int<4, group = 32>>>, tensor<?x200xf32> -> tensor<?x200xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %residual : tensor<?x200xf32>, tensor<?x200xf32>) outs(%out : tensor<?x200xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
  } -> tensor<?x200xf32>
  return %s : tensor<?x200xf32>
}
func.func @exact(%x: tensor<?x288xf32>, %w: tensor<200x288x!qf.elem<int<4, group = 32>>>, %residual: tensor<?x200xf32>,
                 %out: tensor<?x200xf32> {bufferization.writable = true}) -> tensor<?x200xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %out, %c0 : tensor<?x200xf32>
  %empty = tensor.empty(%m) : tensor<?x200xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x200xf32>) -> tensor<?x200xf32>
  %y = qf.contract %x, %w into %init exact : tensor<?x288xf32>, tensor<200x288x!qf.elem<int<4, group = 32>>>, tensor<?x200xf32> -> tensor<?x200xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %residual : tensor<?x200xf32>, tensor<?x200xf32>) outs(%out : tensor<?x200xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
  } -> tensor<?x200xf32>
  return %s : tensor<?x200xf32>
}
