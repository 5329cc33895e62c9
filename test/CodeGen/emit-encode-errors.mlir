// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-emit-encode))' --verify-diagnostics

module attributes {qf.target = #qf.target<"t", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4", features = "", dot = [], permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16,
                                          rows = 16, tiles = [256, 64, 2]>} {
func.func @search(%x: vector<1x256xf32>, %out: memref<1x1x!qf.block<q4_k>>) {
  // expected-error@below {{this function cannot be run at run time}}
  qf.encode %x into %out : vector<1x256xf32>, memref<1x1x!qf.block<q4_k>>
  return
}

func.func @cache(%x: vector<256xf32>, %row: index, %out: memref<1x2304xi8>) {
  %c0 = arith.constant 0 : index
  // expected-error@below {{this function cannot be run at run time}}
  qf.encode_row %x row %row of !qf.block<q4_k, r16> into %out[%c0] : vector<256xf32>, memref<1x2304xi8>
  return
}
}
