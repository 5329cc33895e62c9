// RUN: quant-opt %s | quant-opt | FileCheck %s
// RUN: quant-opt %s --mlir-print-op-generic | quant-opt | FileCheck %s

// CHECK: nn.weight @token_embd : tensor<8x4xbf16> from #nn.source<"model.safetensors", "model.embed_tokens.weight">
nn.weight @token_embd : tensor<8x4xbf16> from #nn.source<"model.safetensors", "model.embed_tokens.weight">
// CHECK: nn.weight @k : tensor<4x32x!qf.elem<q8_0>> from #nn.source<"a.gguf", "blk.0.attn_qkv.weight", row = 4> hash "00ff"
nn.weight @k : tensor<4x32x!qf.elem<q8_0>> from #nn.source<"a.gguf", "blk.0.attn_qkv.weight", row = 4> hash "00ff"
// CHECK: nn.weight @norm : tensor<4xf32> from dense<1.0
nn.weight @norm : tensor<4xf32> from dense<1.0> : tensor<4xf32>
// CHECK: nn.weight @low : tensor<16x2x1xf32> from #nn.angles<step = 1, frequencies = [1.000000e+00]>
nn.weight @low : tensor<16x2x1xf32> from #nn.angles<step = 1, frequencies = [1.0]>

// CHECK-LABEL: func.func @structure
func.func @structure(%tokens: tensor<?xi32>, %rows: index) -> tensor<?x4xf32> {
  // CHECK: %[[X:.+]] = nn.stage "embed" -> tensor<?x4xf32> {
  %x = nn.stage "embed" -> tensor<?x4xf32> {
    // CHECK: %[[TABLE:.+]] = nn.get @token_embd : tensor<8x4xbf16>
    %table = nn.get @token_embd : tensor<8x4xbf16>
    // CHECK: %[[E:.+]] = nn.embedding %{{.+}}, %[[TABLE]] : (tensor<?xi32>, tensor<8x4xbf16>) -> tensor<?x4xf32>
    %e = nn.embedding %tokens, %table : (tensor<?xi32>, tensor<8x4xbf16>) -> tensor<?x4xf32>
    // CHECK: nn.yield %[[E]] : tensor<?x4xf32>
    nn.yield %e : tensor<?x4xf32>
  }
  // CHECK: nn.last %[[X]], %{{.+}} : tensor<?x4xf32>
  %last = nn.last %x, %rows : tensor<?x4xf32>
  return %last : tensor<?x4xf32>
}

// CHECK-LABEL: nn.weight @columns : tensor<4xi32> from #nn.columns<"model.safetensors", "down_proj.weight">
nn.weight @columns : tensor<4xi32> from #nn.columns<"model.safetensors", "down_proj.weight">

// What was made of other weights, one in the other.
// CHECK: nn.weight @turned : tensor<8x4xf32> from #nn.rotated<#nn.scaled<#nn.source<"f", "w">, by = #nn.source<"f", "n">>, columns, run = 4, seed = 7>
nn.weight @turned : tensor<8x4xf32> from #nn.rotated<#nn.scaled<#nn.source<"f", "w">, by = #nn.source<"f", "n">>, columns, run = 4, seed = 7>
// CHECK: nn.weight @heads : tensor<8x4xf32> from #nn.rotated<#nn.source<"f", "w">, rows, run = 2, seed = 8>
nn.weight @heads : tensor<8x4xf32> from #nn.rotated<#nn.source<"f", "w">, rows, run = 2, seed = 8>
// CHECK: nn.weight @outliers : tensor<8x2xf32> from #nn.chosen<#nn.source<"f", "w">, [1, 3]>
nn.weight @outliers : tensor<8x2xf32> from #nn.chosen<#nn.source<"f", "w">, [1, 3]>
// A constant of any size, where all elements are the same.
// CHECK: nn.weight @inner : tensor<9000xf32> from #nn.cleared<dense<1.000000e+00> : tensor<9000xf32>, [1, 3]>
nn.weight @inner : tensor<9000xf32> from #nn.cleared<dense<1.0> : tensor<9000xf32>, [1, 3]>

// CHECK-LABEL: func.func @features
func.func @features(%x: tensor<?x4xf32>, %few: tensor<2xi32>, %f: tensor<4xf32>) -> tensor<?x4xf32> {
  %c = nn.get @columns : tensor<4xi32>
  // CHECK: nn.gather %{{.+}} by %{{.+}} : tensor<?x4xf32>, tensor<4xi32> -> tensor<?x4xf32>
  %y = nn.gather %x by %c : tensor<?x4xf32>, tensor<4xi32> -> tensor<?x4xf32>
  // CHECK: nn.gather %{{.+}} by %{{.+}} : tensor<?x4xf32>, tensor<2xi32> -> tensor<?x2xf32>
  %z = nn.gather %x by %few : tensor<?x4xf32>, tensor<2xi32> -> tensor<?x2xf32>
  // CHECK: nn.scale %{{.+}} by %{{.+}} : tensor<?x4xf32>, tensor<4xf32>
  %s = nn.scale %y by %f : tensor<?x4xf32>, tensor<4xf32>
  return %s : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @linears
func.func @linears(%x: tensor<?x4xf32>, %w: tensor<6x4xf32>, %v: tensor<6x4xbf16>, %b: tensor<6xf32>, %o: tensor<4x6xf16>)
    -> tensor<?x4xf32> {
  // CHECK: nn.linear %{{.+}} weights(%{{.+}}, %{{.+}} : tensor<6x4xf32>, tensor<6x4xbf16>) bias(%{{.+}}, %{{.+}} : tensor<6xf32>, tensor<6xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>, tensor<?x6xf32>
  %p:2 = nn.linear %x weights(%w, %v : tensor<6x4xf32>, tensor<6x4xbf16>) bias(%b, %b : tensor<6xf32>, tensor<6xf32>)
      : tensor<?x4xf32> -> tensor<?x6xf32>, tensor<?x6xf32>
  // CHECK: nn.linear {{.+}} gate(silu) :
  %h = nn.linear %x weights(%w, %v : tensor<6x4xf32>, tensor<6x4xbf16>) gate(silu) : tensor<?x4xf32> -> tensor<?x6xf32>
  // CHECK: nn.gated silu
  %g = nn.gated silu %p#0, %p#1 : tensor<?x6xf32>
  // CHECK: nn.add
  %s = nn.add %h, %g : tensor<?x6xf32>
  // CHECK: nn.linear {{.+}} add(%{{.+}} : tensor<?x4xf32>) :
  %y = nn.linear %s weights(%o : tensor<4x6xf16>) add(%x : tensor<?x4xf32>) : tensor<?x6xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x8xf32>, %k: tensor<?x4xf32>, %past: index, %low: tensor<16x2x1xf32>, %high: tensor<4x2x1xf32>,
                     %head: tensor<2xf32>, %keys: tensor<2x?x2xf16>, %values: tensor<2x?x2xf16>) -> tensor<?x8xf32> {
  // CHECK: nn.rms_norm %{{.+}}, %{{.+}} eps 9.99999997E-7 : tensor<?x8xf32>, tensor<2xf32>
  %n = nn.rms_norm %q, %head eps 1.0e-6 : tensor<?x8xf32>, tensor<2xf32>
  // CHECK: nn.rope %{{.+}} at %{{.+}} angles(%{{.+}}, %{{.+}}) head_dim 2 style half : tensor<?x8xf32>, tensor<16x2x1xf32>, tensor<4x2x1xf32>
  %r = nn.rope %n at %past angles(%low, %high) head_dim 2 style half : tensor<?x8xf32>, tensor<16x2x1xf32>, tensor<4x2x1xf32>
  // CHECK: nn.kv_append %{{.+}}, %{{.+}} at %{{.+}} into %{{.+}}, %{{.+}} : tensor<?x4xf32>, tensor<?x4xf32> into tensor<2x?x2xf16>, tensor<2x?x2xf16>
  %c:2 = nn.kv_append %k, %k at %past into %keys, %values : tensor<?x4xf32>, tensor<?x4xf32> into tensor<2x?x2xf16>, tensor<2x?x2xf16>
  // CHECK: nn.attention {{.+}} scale 5.000000e-01 window 4096 softcap 5.000000e+01 :
  %y = nn.attention %r, %c#0, %c#1 at %past scale 0.5 window 4096 softcap 50.0
      : tensor<?x8xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x8xf32>
  // CHECK: nn.attention_parts {{.+}} scale 5.000000e-01 window 4096 parts 3 :
  %p = nn.attention_parts %r, %c#0, %c#1 at %past scale 0.5 window 4096 parts 3
      : tensor<?x8xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x48xf32>
  // CHECK: nn.combine_parts %{{.+}} at %{{.+}} heads 4 parts 3 window 4096 : tensor<?x48xf32> -> tensor<?x8xf32>
  %z = nn.combine_parts %p at %past heads 4 parts 3 window 4096 : tensor<?x48xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @argmax
func.func @argmax(%logits: tensor<?x8xf32>) -> (tensor<?xi32>, tensor<?xf32>) {
  // CHECK: nn.argmax %{{.+}} : tensor<?x8xf32> -> tensor<?xi32>, tensor<?xf32>
  %t, %l = nn.argmax %logits : tensor<?x8xf32> -> tensor<?xi32>, tensor<?xf32>
  return %t, %l : tensor<?xi32>, tensor<?xf32>
}

// CHECK-LABEL: func.func @top
func.func @top(%logits: tensor<?x8xf32>) -> (tensor<?x3xi32>, tensor<?x3xf32>) {
  // CHECK: nn.top %{{.+}} : tensor<?x8xf32> -> tensor<?x3xi32>, tensor<?x3xf32>
  %t, %l = nn.top %logits : tensor<?x8xf32> -> tensor<?x3xi32>, tensor<?x3xf32>
  return %t, %l : tensor<?x3xi32>, tensor<?x3xf32>
}
