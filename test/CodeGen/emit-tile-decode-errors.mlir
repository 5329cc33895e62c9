// RUN: quant-opt %s --split-input-file --qf-emit-tile-decode --verify-diagnostics

// Nobody has said what it is compiled for.
func.func @nowhere(%w: memref<3x1x!qf.block<int<group = 32>, r16>>, %row: index) -> vector<1x32xf32> {
  // expected-error@below {{has no buffer of kernel storage, or its module no 'qf.target'}}
  %v = qf.tile_decode %w[%row] : memref<3x1x!qf.block<int<group = 32>, r16>> -> vector<1x32xf32>
  return %v : vector<1x32xf32>
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Blocks of the file, not of kernel storage.
func.func @stored(%w: memref<3x1x!qf.block<q4_0>>, %row: index) -> vector<1x32xf32> {
  // expected-error@below {{has no buffer of kernel storage, or its module no 'qf.target'}}
  %v = qf.tile_decode %w[%row] : memref<3x1x!qf.block<q4_0>> -> vector<1x32xf32>
  return %v : vector<1x32xf32>
}
}

// -----

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
// Rows at a distance that is not known.
func.func @strided(%w: memref<3x1x!qf.block<int<group = 32>, r16>, strided<[?, 1]>>, %row: index) -> vector<1x32xf32> {
  // expected-error@below {{has a table whose rows are not contiguous}}
  %v = qf.tile_decode %w[%row] : memref<3x1x!qf.block<int<group = 32>, r16>, strided<[?, 1]>> -> vector<1x32xf32>
  return %v : vector<1x32xf32>
}
}
