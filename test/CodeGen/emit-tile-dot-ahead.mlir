// RUN: quant-opt %s --qf-emit-tile-dot | FileCheck %s

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "+avx512vnni", dot = ["llvm.x86.avx512.vpdpbusd.512"], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8], words = "llvm.x86.avx512.vpdpwssd.512">} {

// Many tokens: the integers of 8 runs, pairs of minima and their scale, and the scale of the group are stored once for all
// tiles of tokens, if there are any, and loaded where they were unpacked. A loop carries sums of integers alone.
// CHECK-LABEL: func.func @many
// CHECK: llvm.alloca
// CHECK: %[[ANY:.+]] = arith.cmpi slt
// CHECK: scf.if %[[ANY]] {
// CHECK: scf.for
// CHECK-COUNT-14: llvm.store
// CHECK-NOT: llvm.store
// CHECK: scf.for
// CHECK: scf.for
// CHECK: scf.for {{.*}} -> (vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>)
// CHECK: arith.muli {{.*}} : vector<16xi32>
// CHECK-NOT: llvm.store
// CHECK: return
func.func @many(%x: memref<64x4x!qf.block<a8<group = 256, sum = 32, width = 16>>>, %w: memref<1x4x!qf.block<q4_k, r16>>, %y: memref<64x16xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %f0 = arith.constant 0.0 : f32
  %zero = arith.constant dense<0.0> : vector<8x16xf32>
  scf.for %t = %c0 to %n step %c8 {
    %sum = scf.for %k = %c0 to %c4 step %c1 iter_args(%acc = %zero) -> (vector<8x16xf32>) {
      %xs = memref.subview %x[%t, %k] [8, 1] [1, 1] : memref<64x4x!qf.block<a8<group = 256, sum = 32, width = 16>>> to memref<8x1x!qf.block<a8<group = 256, sum = 32, width = 16>>, strided<[4, 1], offset: ?>>
      %ws = memref.subview %w[0, %k] [1, 1] [1, 1] : memref<1x4x!qf.block<q4_k, r16>> to memref<1x1x!qf.block<q4_k, r16>, strided<[4, 1], offset: ?>>
      %next = qf.tile_dot %acc, %xs, %ws columns 256 : vector<8x16xf32>, memref<8x1x!qf.block<a8<group = 256, sum = 32, width = 16>>, strided<[4, 1], offset: ?>>, memref<1x1x!qf.block<q4_k, r16>, strided<[4, 1], offset: ?>>
      scf.yield %next : vector<8x16xf32>
    }
    vector.transfer_write %sum, %y[%t, %c0] {in_bounds = [true, true]} : vector<8x16xf32>, memref<64x16xf32>
  }
  return
}

// One token: beside the first load from a line (2304 bytes: 4 of the head, 4 of each of 8 segments), the line 4 KB later
// is prefetched. Minima and the scale of the group are read behind the loop.
// Codes of 4 bits are multiplied where they lie in their bytes: no shift but that of the sum of the upper ones.
// CHECK-LABEL: func.func @one
// CHECK: scf.for
// CHECK-COUNT-2: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: scf.for
// CHECK: llvm.intr.prefetch
// CHECK: llvm.load
// CHECK: arith.shrsi
// CHECK: scf.yield
// CHECK-COUNT-2: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: return
func.func @one(%x: memref<1x4x!qf.block<a8<group = 256, sum = 32, width = 16>>>, %w: memref<1x4x!qf.block<q4_k, r16>>) -> vector<1x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant dense<0.0> : vector<1x16xf32>
  %sum = scf.for %k = %c0 to %c4 step %c1 iter_args(%acc = %zero) -> (vector<1x16xf32>) {
    %xs = memref.subview %x[0, %k] [1, 1] [1, 1] : memref<1x4x!qf.block<a8<group = 256, sum = 32, width = 16>>> to memref<1x1x!qf.block<a8<group = 256, sum = 32, width = 16>>, strided<[4, 1], offset: ?>>
    %ws = memref.subview %w[0, %k] [1, 1] [1, 1] : memref<1x4x!qf.block<q4_k, r16>> to memref<1x1x!qf.block<q4_k, r16>, strided<[4, 1], offset: ?>>
    %next = qf.tile_dot %acc, %xs, %ws columns 256 : vector<1x16xf32>, memref<1x1x!qf.block<a8<group = 256, sum = 32, width = 16>>, strided<[4, 1], offset: ?>>, memref<1x1x!qf.block<q4_k, r16>, strided<[4, 1], offset: ?>>
    scf.yield %next : vector<1x16xf32>
  }
  return %sum : vector<1x16xf32>
}

// Codes of 3 bits and scales of 6 fit a byte: multiplied ahead for several tokens, one sum and one conversion for 256
// columns. For one token sums of 16 columns are multiplied instead, the same integers.
// CHECK-LABEL: func.func @multiplied
// CHECK: arith.muli %{{.*}} : vector<16xi32>
// CHECK-COUNT-128: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK-COUNT-2: arith.sitofp {{.*}} : vector<16xi32> to vector<16xf32>
// CHECK-NOT: arith.sitofp
// CHECK: return
// CHECK-LABEL: func.func @multiplied_one
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: arith.muli %{{.*}} : vector<16xi32>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: return
func.func @multiplied(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<a8<group = 256, sum = 16, width = 16>>>, %w: memref<1x1x!qf.block<q3_k, r16>>) -> vector<2x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<2x16xf32>, memref<2x1x!qf.block<a8<group = 256, sum = 16, width = 16>>>, memref<1x1x!qf.block<q3_k, r16>>
  return %0 : vector<2x16xf32>
}
func.func @multiplied_one(%acc: vector<1x16xf32>, %x: memref<1x1x!qf.block<a8<group = 256, sum = 16, width = 16>>>, %w: memref<1x1x!qf.block<q3_k, r16>>) -> vector<1x16xf32> {
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<1x16xf32>, memref<1x1x!qf.block<a8<group = 256, sum = 16, width = 16>>>, memref<1x1x!qf.block<q3_k, r16>>
  return %0 : vector<1x16xf32>
}
}
