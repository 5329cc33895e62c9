// RUN: quant-opt %s --pass-pipeline='builtin.module(qf-emit-tile-decode,func.func(qf-emit-encode),canonicalize)' | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {

// A row of a block of the cache: the scale's number of the row, then a dword of codes in each of the four lines.
// CHECK-LABEL: func.func @row
// CHECK-SAME: %[[X:.+]]: vector<32xf32>, %[[ROW:[^:]+]]: index, %[[OUT:[^:]+]]: memref<2x1x288xi8>, %[[HEAD:[^:]+]]: index
// CHECK-NOT: qf.encode_row
// CHECK: memref.subview %[[OUT]][%[[HEAD]], 0, 0] [1, 1, 288]
// CHECK: vector.reduction <maximumf>
// CHECK: vector.reduction <minsi>
// CHECK: llvm.store {{.+}} : i16, !llvm.ptr
// CHECK: math.floor
// CHECK-NOT: i16, !llvm.ptr
// CHECK-COUNT-4: llvm.store {{.+}} : i32, !llvm.ptr
// CHECK-NOT: llvm.store
// CHECK: return
func.func @row(%x: vector<32xf32>, %row: index, %out: memref<2x1x288xi8>, %head: index) {
  %c0 = arith.constant 0 : index
  qf.encode_row %x row %row of !qf.block<q4_0, r16> into %out[%head, %c0] : vector<32xf32>, memref<2x1x288xi8>
  return
}

// All rows of a block: scales are read once, codes a line at a time.
// CHECK-LABEL: func.func @block
// CHECK-NOT: qf.decode_block
// CHECK-COUNT-1: llvm.load {{.+}} -> vector<16xi16>
// CHECK-COUNT-4: llvm.load {{.+}} -> vector<64xi8>
// CHECK-NOT: llvm.load
// CHECK: return {{.+}} : vector<32x16xf32>
func.func @block(%bytes: memref<2x1x288xi8>, %head: index) -> vector<32x16xf32> {
  %c0 = arith.constant 0 : index
  %v = qf.decode_block %bytes[%head, %c0] of !qf.block<q4_0, r16> : memref<2x1x288xi8> -> vector<32x16xf32>
  return %v : vector<32x16xf32>
}
}
