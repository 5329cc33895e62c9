// RUN: quant-opt %s --qf-outline-gpu --split-input-file --verify-diagnostics

// expected-error @+1 {{is not one parallel loop mapped to blocks: run qf-tile-blocks before}}
func.func @none(%x: memref<8xf32>) attributes {qf.tiles = array<i64: 0, 16, 0, 16, 64, 1, 0>} {
  return
}

// -----

// expected-error @+1 {{has a parameter 'memref<?x?xf32>', which is no row-major buffer of tokens}}
func.func @dynamic(%x: memref<?x?xf32>) attributes {qf.tiles = array<i64: 0, 16, 0, 16, 64, 1, 0>} {
  scf.forall (%i) = (0) to (32) step (16) { } {mapping = [#gpu.block<x>]}
  return
}
