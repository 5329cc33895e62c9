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

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Codes are multiplied one block of rows at a time.
func.func @rows(%acc: vector<2x32xf32>, %x: memref<2x1x!qf.block<a8>>, %w: memref<2x1x!qf.block<q8_0, r16>>) -> vector<2x32xf32> {
  // expected-error@below {{has more rows than a block of weights}}
  %0 = qf.tile_dot %acc, %x, %w columns 32 : vector<2x32xf32>, memref<2x1x!qf.block<a8>>, memref<2x1x!qf.block<q8_0, r16>>
  return %0 : vector<2x32xf32>
}
}
