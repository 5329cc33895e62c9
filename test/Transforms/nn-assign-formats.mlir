// RUN: quant-opt %s --nn-assign-formats | FileCheck %s --check-prefixes=CHECK,KEEP
// RUN: quant-opt %s --nn-assign-formats=format=q8_0 | FileCheck %s --check-prefixes=CHECK,FORMAT
// RUN: quant-opt %s --nn-assign-formats=policy=q4_k_m | FileCheck %s --check-prefixes=CHECK,POLICY

module attributes {nn.model = {layers = 8 : i64, heads = 4 : i64, kv_heads = 2 : i64}} {
  // KEEP:   nn.weight @token_embd {{.+}} {nn.format = !qf.elem<bf16>}
  // FORMAT: nn.weight @token_embd {{.+}} {nn.format = !qf.elem<q8_0>}
  // POLICY: nn.weight @token_embd {{.+}} {nn.format = !qf.elem<q4_k>}
  nn.weight @token_embd : tensor<8x256xbf16> from #nn.source<"f", "e">
  // Vectors stay floats.
  // CHECK: nn.weight @blk.0.attn_norm : tensor<256xf32> from #nn.source<"f", "n">{{$}}
  nn.weight @blk.0.attn_norm : tensor<256xf32> from #nn.source<"f", "n">
  // KEEP:   nn.weight @blk.0.attn_v {{.+}} {nn.format = !qf.elem<q4_0>}
  // FORMAT: nn.weight @blk.0.attn_v {{.+}} {nn.format = !qf.elem<q8_0>}
  // POLICY: nn.weight @blk.0.attn_v {{.+}} {nn.format = !qf.elem<q6_k>}
  nn.weight @blk.0.attn_v : tensor<8x256x!qf.elem<q4_0>> from #nn.source<"f", "v">
  // KEEP:   nn.weight @output {{.+}} {nn.format = !qf.elem<f16>}
  // POLICY: nn.weight @output {{.+}} {nn.format = !qf.elem<q6_k>}
  nn.weight @output : tensor<8x256xf16> from #nn.source<"f", "o">

  func.func @forward(%tokens: tensor<?xi32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %e = nn.get @token_embd : tensor<8x256xbf16>
    %n = nn.get @blk.0.attn_norm : tensor<256xf32>
    %v = nn.get @blk.0.attn_v : tensor<8x256x!qf.elem<q4_0>>
    %o = nn.get @output : tensor<8x256xf16>
    %x = nn.embedding %tokens, %e : (tensor<?xi32>, tensor<8x256xbf16>) -> tensor<?x256xf32>
    %y = nn.rms_norm %x, %n eps 1.0e-5 : tensor<?x256xf32>, tensor<256xf32>
    %a = nn.linear %y weights(%v : tensor<8x256x!qf.elem<q4_0>>) : tensor<?x256xf32> -> tensor<?x8xf32>
    %b = nn.linear %y weights(%o : tensor<8x256xf16>) : tensor<?x256xf32> -> tensor<?x8xf32>
    return %a, %b : tensor<?x8xf32>, tensor<?x8xf32>
  }
}
