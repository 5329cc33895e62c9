// RUN: quant-opt %s --split-input-file --qf-emit-tile-dot --verify-diagnostics

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// A codebook of floats has no integer codes that int8 activations could multiply.
func.func @floats(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<a8>>, %w: memref<1x1x!qf.block<nf4, r16>>) -> vector<2x16xf32> {
  // expected-error@below {{cannot multiply 'nf4' with integer activations}}
  // expected-note@below {{codes are no bytes}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, memref<2x1x!qf.block<a8>>, memref<1x1x!qf.block<nf4, r16>>
  return %0 : vector<2x16xf32>
}
}

// -----

// Nobody has said what it is compiled for.
func.func @nowhere(%acc: vector<2x16xf32>, %x: memref<2x32xf32>, %w: memref<1x1x!qf.block<f16, r16>>) -> vector<2x16xf32> {
  // expected-error@below {{needs the attribute 'qf.target' of its module}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, memref<2x32xf32>, memref<1x1x!qf.block<f16, r16>>
  return %0 : vector<2x16xf32>
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Tiles of tensors, whose storage nobody has chosen.
func.func @stored(%acc: vector<2x16xf32>, %x: tensor<2x32xf32>, %w: tensor<16x32x!qf.elem<q4_0>>) -> vector<2x16xf32> {
  // expected-error@below {{has no weights in kernel storage yet}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, tensor<2x32xf32>, tensor<16x32x!qf.elem<q4_0>>
  return %0 : vector<2x16xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Activations that nobody has made blocks of.
func.func @elements(%acc: vector<2x16xf32>, %x: tensor<2x32x!qf.elem<a8>>, %w: memref<1x1x!qf.block<q4_0, r16>>) -> vector<2x16xf32> {
  // expected-error@below {{has no blocks of activations yet}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, tensor<2x32x!qf.elem<a8>>, memref<1x1x!qf.block<q4_0, r16>>
  return %0 : vector<2x16xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// A format of weights.
func.func @weights(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<q4_0>>, %w: memref<1x1x!qf.block<q4_0, r16>>) -> vector<2x16xf32> {
  // expected-error@below {{'q4_0' holds no activations: expected one signed byte for each column}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x16xf32>, memref<2x1x!qf.block<q4_0>>, memref<1x1x!qf.block<q4_0, r16>>
  return %0 : vector<2x16xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>,
                   qf.units = {halves = "llvm.x86.avx512bf16.dpbf16ps.512", permute_words = "llvm.x86.avx512.permvar.hi.512"}} {
// Weights of 32 bits are no bf16.
func.func @wide(%acc: vector<2x16xf32>, %x: memref<2x1x!qf.block<a16>>, %w: memref<1x8x!qf.block<f32, r16>>) -> vector<2x16xf32> {
  // expected-error@below {{cannot multiply 'f32' with bf16 activations}}
  %0 = qf.tile_dot %acc, %x, %w columns 256 : vector<2x16xf32>, memref<2x1x!qf.block<a16>>, memref<1x8x!qf.block<f32, r16>>
  return %0 : vector<2x16xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Codes are multiplied one block of rows at a time.
func.func @rows(%acc: vector<2x32xf32>, %x: memref<2x1x!qf.block<a8>>, %w: memref<2x1x!qf.block<q8_0, r16>>) -> vector<2x32xf32> {
  // expected-error@below {{has more rows than a block of weights}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x32xf32>, memref<2x1x!qf.block<a8>>, memref<2x1x!qf.block<q8_0, r16>>
  return %0 : vector<2x32xf32>
}
}
