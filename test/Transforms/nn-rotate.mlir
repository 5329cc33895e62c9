// RUN: quant-opt %s --nn-rotate=seed=5 | FileCheck %s --check-prefixes=CHECK,HEADS
// RUN: quant-opt %s --nn-rotate='seed=5 heads=false' | FileCheck %s --check-prefixes=CHECK,STREAM

// CHECK: nn.weight @table : tensor<16x8xf32> from #nn.rotated<#nn.source<"f", "t">, columns, run = 8, seed = 5>
nn.weight @table : tensor<16x8xbf16> from #nn.source<"f", "t">
nn.weight @norm : tensor<8xf32> from dense<1.0> : tensor<8xf32>
// What reads the stream has its columns rotated, what adds to it its rows, and a bias, which is one row, its columns.
// CHECK: nn.weight @q : tensor<8x8xf32> from #nn.rotated<#nn.source<"f", "q">, columns, run = 8, seed = 5>
nn.weight @q : tensor<8x8xbf16> from #nn.source<"f", "q">
// CHECK: nn.weight @k : tensor<4x8xf32> from #nn.rotated<#nn.source<"f", "k">, columns, run = 8, seed = 5>
nn.weight @k : tensor<4x8xbf16> from #nn.source<"f", "k">
// Of values the heads are rotated too, by another seed: one key-value head of 4 features serves two query heads.
// HEADS: nn.weight @v : tensor<4x8xf32> from #nn.rotated<#nn.rotated<#nn.source<"f", "v">, columns, run = 8, seed = 5>, rows, run = 4, seed = 6>
// STREAM: nn.weight @v : tensor<4x8xf32> from #nn.rotated<#nn.source<"f", "v">, columns, run = 8, seed = 5>
nn.weight @v : tensor<4x8xbf16> from #nn.source<"f", "v">
// HEADS: nn.weight @vb : tensor<4xf32> from #nn.rotated<#nn.source<"f", "vb">, columns, run = 4, seed = 6>
// STREAM: nn.weight @vb : tensor<4xf32> from #nn.source<"f", "vb">
nn.weight @vb : tensor<4xf32> from #nn.source<"f", "vb">
// HEADS: nn.weight @o : tensor<8x8xf32> from #nn.rotated<#nn.rotated<#nn.source<"f", "o">, rows, run = 8, seed = 5>, columns, run = 4, seed = 6>
// STREAM: nn.weight @o : tensor<8x8xf32> from #nn.rotated<#nn.source<"f", "o">, rows, run = 8, seed = 5>
nn.weight @o : tensor<8x8xbf16> from #nn.source<"f", "o">
// CHECK: nn.weight @ob : tensor<8xf32> from #nn.rotated<#nn.source<"f", "ob">, columns, run = 8, seed = 5>
nn.weight @ob : tensor<8xf32> from #nn.source<"f", "ob">
// CHECK: nn.weight @head : tensor<16x8xf32> from #nn.rotated<#nn.source<"f", "h">, columns, run = 8, seed = 5>
nn.weight @head : tensor<16x8xbf16> from #nn.source<"f", "h">

func.func @forward(%ids: tensor<?xi32>, %past: index, %rows: index, %keys: tensor<1x?x4xf16>, %values: tensor<1x?x4xf16>)
    -> (tensor<?x16xf32>, tensor<1x?x4xf16>, tensor<1x?x4xf16>) {
  %h = nn.stage "embed" -> tensor<?x8xf32> {
    %t = nn.get @table : tensor<16x8xbf16>
    %e = nn.embedding %ids, %t : (tensor<?xi32>, tensor<16x8xbf16>) -> tensor<?x8xf32>
    nn.yield %e : tensor<?x8xf32>
  }
  %b:3 = nn.stage "block.0" -> tensor<?x8xf32>, tensor<1x?x4xf16>, tensor<1x?x4xf16> {
    %n = nn.get @norm : tensor<8xf32>
    %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
    %wq = nn.get @q : tensor<8x8xbf16>
    %q = nn.linear %x weights(%wq : tensor<8x8xbf16>) : tensor<?x8xf32> -> tensor<?x8xf32>
    %wk = nn.get @k : tensor<4x8xbf16>
    %k = nn.linear %x weights(%wk : tensor<4x8xbf16>) : tensor<?x8xf32> -> tensor<?x4xf32>
    %wv = nn.get @v : tensor<4x8xbf16>
    %bv = nn.get @vb : tensor<4xf32>
    %v = nn.linear %x weights(%wv : tensor<4x8xbf16>) bias(%bv : tensor<4xf32>) : tensor<?x8xf32> -> tensor<?x4xf32>
    %nk, %nv = nn.kv_append %k, %v at %past into %keys, %values : tensor<?x4xf32>, tensor<?x4xf32> into tensor<1x?x4xf16>, tensor<1x?x4xf16>
    %a = nn.attention %q, %nk, %nv at %past scale 0.5 : tensor<?x8xf32>, tensor<1x?x4xf16>, tensor<1x?x4xf16> -> tensor<?x8xf32>
    %wo = nn.get @o : tensor<8x8xbf16>
    %bo = nn.get @ob : tensor<8xf32>
    %o = nn.linear %a weights(%wo : tensor<8x8xbf16>) bias(%bo : tensor<8xf32>) : tensor<?x8xf32> -> tensor<?x8xf32>
    %y = nn.add %h, %o : tensor<?x8xf32>
    nn.yield %y, %nk, %nv : tensor<?x8xf32>, tensor<1x?x4xf16>, tensor<1x?x4xf16>
  }
  %l = nn.stage "head" -> tensor<?x16xf32> {
    %last = nn.last %b#0, %rows : tensor<?x8xf32>
    %n = nn.get @norm : tensor<8xf32>
    %x = nn.rms_norm %last, %n eps 1.0e-5 : tensor<?x8xf32>, tensor<8xf32>
    %w = nn.get @head : tensor<16x8xbf16>
    %y = nn.linear %x weights(%w : tensor<16x8xbf16>) : tensor<?x8xf32> -> tensor<?x16xf32>
    nn.yield %y : tensor<?x16xf32>
  }
  return %l, %b#1, %b#2 : tensor<?x16xf32>, tensor<1x?x4xf16>, tensor<1x?x4xf16>
}
