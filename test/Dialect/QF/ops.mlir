// RUN: quant-opt %s | quant-opt | FileCheck %s
// RUN: quant-opt %s --mlir-print-op-generic | quant-opt | FileCheck %s

// CHECK-LABEL: func.func @types
// CHECK-SAME: tensor<5632x2048x!qf.elem<int<group = 64, asym>>>
// Parameters in any order, defaults written out or not: one type.
// CHECK-SAME: tensor<16x256x!qf.elem<int<3>>>
// CHECK-SAME: tensor<16x256x!qf.elem<int<3>>>
// CHECK-SAME: memref<352x8x!qf.block<q4_k, r16>>
// CHECK-SAME: memref<?x64x!qf.block<a8>>
// CHECK-SAME: memref<?x8x!qf.block<a8<group = 256>, lines>>
func.func @types(%a: tensor<5632x2048x!qf.elem<int<asym, 4, group = 64>>>, %b: tensor<16x256x!qf.elem<int<3>>>,
                 %c: tensor<16x256x!qf.elem<int<bits = 3, group = 128>>>, %d: memref<352x8x!qf.block<q4_k, r16>>,
                 %e: memref<?x64x!qf.block<a8>>, %f: memref<?x8x!qf.block<a8<group = 256>, lines>>) {
  return
}

// CHECK-LABEL: func.func @quantize
// CHECK: qf.quantize %{{.*}} using "gptq"(%{{.*}} : tensor<2048x2048xf32>) {damp = 2.500000e-01 : f32} : tensor<5632x2048xf32> -> tensor<5632x2048x!qf.elem<int>>
// CHECK: qf.quantize %{{.*}} using "rtn" : tensor<5632x2048xf32> -> tensor<5632x2048x!qf.elem<nf4>>
func.func @quantize(%w: tensor<5632x2048xf32>, %h: tensor<2048x2048xf32>) {
  %p = qf.quantize %w using "gptq"(%h : tensor<2048x2048xf32>) {damp = 0.25 : f32} : tensor<5632x2048xf32> -> tensor<5632x2048x!qf.elem<int<4>>>
  %q = qf.quantize %w using "rtn" : tensor<5632x2048xf32> -> tensor<5632x2048x!qf.elem<nf4>>
  return
}

// CHECK-LABEL: func.func @encode
// CHECK: qf.encode %{{.*}} into %{{.*}} : tensor<?x2048xf32>, tensor<?x2048x!qf.elem<a8>> -> tensor<?x2048x!qf.elem<a8>>
func.func @encode(%x: tensor<?x2048xf32>, %out: tensor<?x2048x!qf.elem<a8>>) -> tensor<?x2048x!qf.elem<a8>> {
  %r = qf.encode %x into %out : tensor<?x2048xf32>, tensor<?x2048x!qf.elem<a8>> -> tensor<?x2048x!qf.elem<a8>>
  return %r : tensor<?x2048x!qf.elem<a8>>
}

// CHECK-LABEL: func.func @encode_buffer
// CHECK: qf.encode %{{.*}} into %{{.*}} : vector<1x32xf32>, memref<1x1x!qf.block<a8>>
func.func @encode_buffer(%x: vector<1x32xf32>, %out: memref<1x1x!qf.block<a8>>) {
  qf.encode %x into %out : vector<1x32xf32>, memref<1x1x!qf.block<a8>>
  return
}

// CHECK-LABEL: func.func @decode
// CHECK: qf.decode %{{.*}} rows(%{{.*}}) into %{{.*}} : tensor<32000x2048x!qf.elem<f16>>, tensor<?xi32>, tensor<?x2048xf32> -> tensor<?x2048xf32>
func.func @decode(%w: tensor<32000x2048x!qf.elem<f16>>, %rows: tensor<?xi32>, %out: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %r = qf.decode %w rows(%rows) into %out : tensor<32000x2048x!qf.elem<f16>>, tensor<?xi32>, tensor<?x2048xf32> -> tensor<?x2048xf32>
  return %r : tensor<?x2048xf32>
}

// CHECK-LABEL: func.func @contract
// CHECK: qf.contract %{{.*}}, %{{.*}} into %{{.*}} : tensor<?x2048xf32>, tensor<100x2048x!qf.elem<q8_0>>, tensor<?x100xf32> -> tensor<?x100xf32>
// CHECK: qf.contract %{{.*}}, %{{.*}} into %{{.*}} exact : tensor<?x2048xf32>
func.func @contract(%x: tensor<?x2048xf32>, %w: tensor<100x2048x!qf.elem<q8_0>>, %out: tensor<?x100xf32>) -> tensor<?x100xf32> {
  %y = qf.contract %x, %w into %out : tensor<?x2048xf32>, tensor<100x2048x!qf.elem<q8_0>>, tensor<?x100xf32> -> tensor<?x100xf32>
  %z = qf.contract %x, %w into %y exact : tensor<?x2048xf32>, tensor<100x2048x!qf.elem<q8_0>>, tensor<?x100xf32> -> tensor<?x100xf32>
  return %z : tensor<?x100xf32>
}

// CHECK-LABEL: func.func @tiles
// CHECK: qf.tile_dot %{{.*}}, %{{.*}}, %{{.*}} columns 256 : vector<8x16xf32>, tensor<8x256xf32>, tensor<16x256x!qf.elem<q4_k>>
// CHECK: qf.tile_dot %{{.*}}, %{{.*}}, %{{.*}} columns 250 exact : vector<8x4xf32>, memref<8x250xf32>, memref<1x1x!qf.block<q4_k, r16>>
// CHECK: qf.tile_decode %{{.*}}[%{{.*}}] : memref<20x1x!qf.block<q4_k, r16>> -> vector<1x256xf32>
func.func @tiles(%a: vector<8x16xf32>, %x: tensor<8x256xf32>, %w: tensor<16x256x!qf.elem<q4_k>>, %b: vector<8x4xf32>,
                 %y: memref<8x250xf32>, %v: memref<1x1x!qf.block<q4_k, r16>>, %t: memref<20x1x!qf.block<q4_k, r16>>, %row: index) {
  %0 = qf.tile_dot %a, %x, %w columns 256 : vector<8x16xf32>, tensor<8x256xf32>, tensor<16x256x!qf.elem<q4_k>>
  %1 = qf.tile_dot %b, %y, %v columns 250 exact : vector<8x4xf32>, memref<8x250xf32>, memref<1x1x!qf.block<q4_k, r16>>
  %2 = qf.tile_decode %t[%row] : memref<20x1x!qf.block<q4_k, r16>> -> vector<1x256xf32>
  return
}

// CHECK-LABEL: func.func @cache
// CHECK: qf.encode_row %{{.*}} row %{{.*}} of !qf.block<q8_0, r16> into %{{.*}}[%{{.*}}, %{{.*}}] : vector<32xf32>, tensor<4x?x544xi8> -> tensor<4x?x544xi8>
// CHECK: qf.decode_block %{{.*}}[%{{.*}}, %{{.*}}] of !qf.block<q8_0, r16> : tensor<4x?x544xi8> -> vector<32x16xf32>
func.func @cache(%x: vector<32xf32>, %row: index, %cache: tensor<4x?x544xi8>) -> (tensor<4x?x544xi8>, vector<32x16xf32>) {
  %0 = qf.encode_row %x row %row of !qf.block<q8_0, r16> into %cache[%row, %row] : vector<32xf32>, tensor<4x?x544xi8> -> tensor<4x?x544xi8>
  %1 = qf.decode_block %0[%row, %row] of !qf.block<q8_0, r16> : tensor<4x?x544xi8> -> vector<32x16xf32>
  return %0, %1 : tensor<4x?x544xi8>, vector<32x16xf32>
}

// CHECK-LABEL: func.func @addresses
// CHECK: qf.address %{{.*}} : memref<4x4xf32> -> !llvm.ptr
// CHECK: qf.argument %{{.*}}[3] : !llvm.ptr -> memref<?x4xf32>
func.func @addresses(%m: memref<4x4xf32>, %args: !llvm.ptr) {
  %0 = qf.address %m : memref<4x4xf32> -> !llvm.ptr
  %1 = qf.argument %args[3] : !llvm.ptr -> memref<?x4xf32>
  return
}

// CHECK: module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3", features = "", dot = ["a", "b"], permute = "p", shuffle = "", lanes = 8, rows = 16, tiles = [256, 64, 4]>}
module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3", features = "",
                   dot = ["a", "b"], permute = "p", shuffle = "", lanes = 8, rows = 16, tiles = [256, 64, 4]>} {
}
