// Few tokens, and any number of them.
!w = !qf.elem<int<4, group = 128>>
#gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 2], tiled = [16, 32, 16, 16], stages = 2>
module attributes {qf.gpu = #gpu} {
  func.func @stream(%x: tensor<5x256xf16>, %w: tensor<32x256x!w>, %y: tensor<5x32xf32> {bufferization.writable = true}) -> tensor<5x32xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<5x32xf32>) -> tensor<5x32xf32>
    %r = qf.contract %x, %w into %init : tensor<5x256xf16>, tensor<32x256x!w>, tensor<5x32xf32> -> tensor<5x32xf32>
    return %r : tensor<5x32xf32>
  }
  func.func @tiled(%x: tensor<?x256xf16>, %w: tensor<32x256x!w>, %y: tensor<?x32xf32> {bufferization.writable = true}) -> tensor<?x32xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x32xf32>) -> tensor<?x32xf32>
    %r = qf.contract %x, %w into %init : tensor<?x256xf16>, tensor<32x256x!w>, tensor<?x32xf32> -> tensor<?x32xf32>
    return %r : tensor<?x32xf32>
  }
}
