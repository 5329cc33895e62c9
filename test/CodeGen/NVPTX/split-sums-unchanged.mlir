// RUN: quant-opt %s --qf-split-sums | FileCheck %s

// Enough rows; too few columns for two parts; columns that fill no units; few tokens: one kernel each.

!w = !qf.elem<int<4, group = 128>>

module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>, qf.multiprocessors = 8 : i64} {
  // CHECK-NOT: qf.scratch
  func.func @rows(%x: tensor<?x4096xf16>, %w: tensor<1024x4096x!w>, %y: tensor<?x1024xf32>) -> tensor<?x1024xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x1024xf32>) -> tensor<?x1024xf32>
    %r = qf.contract %x, %w into %init : tensor<?x4096xf16>, tensor<1024x4096x!w>, tensor<?x1024xf32> -> tensor<?x1024xf32>
    return %r : tensor<?x1024xf32>
  }
  func.func @columns(%x: tensor<?x1920xf16>, %w: tensor<256x1920x!w>, %y: tensor<?x256xf32>) -> tensor<?x256xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x256xf32>) -> tensor<?x256xf32>
    %r = qf.contract %x, %w into %init : tensor<?x1920xf16>, tensor<256x1920x!w>, tensor<?x256xf32> -> tensor<?x256xf32>
    return %r : tensor<?x256xf32>
  }
  func.func @units(%x: tensor<?x4160xf16>, %w: tensor<256x4160x!w>, %y: tensor<?x256xf32>) -> tensor<?x256xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x256xf32>) -> tensor<?x256xf32>
    %r = qf.contract %x, %w into %init : tensor<?x4160xf16>, tensor<256x4160x!w>, tensor<?x256xf32> -> tensor<?x256xf32>
    return %r : tensor<?x256xf32>
  }
  func.func @few(%x: tensor<?x4096xf16>, %w: tensor<256x4096x!w>, %y: tensor<?x256xf32>) -> tensor<?x256xf32> attributes {qf.most_tokens = 8 : i64} {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x256xf32>) -> tensor<?x256xf32>
    %r = qf.contract %x, %w into %init : tensor<?x4096xf16>, tensor<256x4096x!w>, tensor<?x256xf32> -> tensor<?x256xf32>
    return %r : tensor<?x256xf32>
  }
}
