// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-emit-encode))' | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {

// The clause of the format: the largest magnitude, its scale, codes rounded to even, their sum; then the block's bytes.
// CHECK-LABEL: func.func @encode
// CHECK-NOT: qf.encode
// CHECK: vector.reduction <max{{.*}}f
// CHECK: math.roundeven
// CHECK: arith.fptosi {{.*}} to vector<{{.*}}xi{{8|32}}>
// CHECK: llvm.store
// CHECK: return
func.func @encode(%x: vector<1x32xf32>, %out: memref<1x1x!qf.block<a8>>) {
  qf.encode %x into %out : vector<1x32xf32>, memref<1x1x!qf.block<a8>>
  return
}

// Sums of floats are in order: a second vector goes on from the first's.
// CHECK-LABEL: func.func @sums
// CHECK: %[[FIRST:.+]] = vector.reduction <add>, %{{.+}} : vector<16xf32> into f32
// CHECK: vector.reduction <add>, %{{.+}}, %[[FIRST]] : vector<16xf32> into f32
func.func @sums(%x: vector<1x256xf32>, %out: memref<1x1x!qf.block<a16s>>) {
  qf.encode %x into %out : vector<1x256xf32>, memref<1x1x!qf.block<a16s>>
  return
}
}
