// RUN: quant-opt %s --qf-select-gpu=target=sm_89 | FileCheck %s

// CHECK: module attributes {qf.gpu = #qf.gpu<"sm_89", chip = "sm_89", ptx = 81, shared = 101376, stream = [8, 8], tiled = [64, 128, 32, 32], stages = 4>, qf.multiprocessors = 142 : i64}
module {
  func.func @f() { return }
}
