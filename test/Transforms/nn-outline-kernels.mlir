// RUN: quant-opt %s --nn-outline-kernels | FileCheck %s

module attributes {nn.model = {context = 64 : i64}} {
  nn.weight @table : tensor<8x4xf32> from #nn.source<"f", "table">
  nn.weight @norm : tensor<2xf32> from #nn.source<"f", "norm">
  nn.weight @low : tensor<16x2x1xf32> from #nn.angles<step = 1, frequencies = [1.0]>
  nn.weight @high : tensor<4x2x1xf32> from #nn.angles<step = 16, frequencies = [1.0]>

  func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index, %keys: tensor<2x?x2xf16>, %values: tensor<2x?x2xf16>)
      -> (tensor<?x8xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16>) {
    %x = nn.stage "embed" -> tensor<?x4xf32> {
      %w = nn.get @table : tensor<8x4xf32>
      %e = nn.embedding %tokens, %w : (tensor<?xi32>, tensor<8x4xf32>) -> tensor<?x4xf32>
      nn.yield %e : tensor<?x4xf32>
    }
    %b:3 = nn.stage "block.0" -> tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> {
      %w = nn.get @norm : tensor<2xf32>
      %low = nn.get @low : tensor<16x2x1xf32>
      %high = nn.get @high : tensor<4x2x1xf32>
      %n = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x4xf32>, tensor<2xf32>
      %k = nn.rope %n at %past angles(%low, %high) head_dim 2 style half : tensor<?x4xf32>, tensor<16x2x1xf32>, tensor<4x2x1xf32>
      %c:2 = nn.kv_append %k, %x at %past into %keys, %values : tensor<?x4xf32>, tensor<?x4xf32> into tensor<2x?x2xf16>, tensor<2x?x2xf16>
      %y = nn.attention %x, %c#0, %c#1 at %past scale 1.0 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x4xf32>
      %z = nn.attention %y, %c#0, %c#1 at %past scale 1.0 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x4xf32>
      nn.yield %z, %c#0, %c#1 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16>
    }
    %l = nn.stage "head" -> tensor<?x8xf32> {
      %last = nn.last %b#0, %rows : tensor<?x4xf32>
      %w = nn.get @table : tensor<8x4xf32>
      %y = nn.linear %last weights(%w : tensor<8x4xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
      nn.yield %y : tensor<?x8xf32>
    }
    return %l, %b#1, %b#2 : tensor<?x8xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16>
  }
}

// CHECK-NOT: @forward
// CHECK: rt.buffer @tokens per_token 4
// CHECK: rt.buffer persistent @keys.0 per_context 8
// CHECK: rt.buffer persistent @values.0 per_context 8

// CHECK: func.func @embedding_0(%[[T:.+]]: tensor<?xi32>, %[[W:.+]]: tensor<8x4xf32>, %[[O:.+]]: tensor<?x4xf32> {bufferization.writable = true}) -> tensor<?x4xf32> attributes {rt.kernel} {
// CHECK:   %[[E:.+]] = nn.embedding %[[T]], %[[W]]
// CHECK:   %[[R:.+]] = bufferization.materialize_in_destination %[[E]] in %[[O]]
// CHECK:   return %[[R]]

// The norm of heads and rope are part of the kernel that appends; the caches are written in place.
// CHECK: func.func @kv_append_0(
// CHECK-SAME: tensor<2x?x2xf16> {bufferization.writable = true}, %{{.+}}: tensor<2x?x2xf16> {bufferization.writable = true}) -> (tensor<2x?x2xf16>, tensor<2x?x2xf16>)
// CHECK:   nn.rms_norm
// CHECK:   nn.rope
// CHECK:   %[[K:.+]], %[[V:.+]] = nn.kv_append
// CHECK:   return %[[K]], %[[V]]

// One kernel for two attentions of the same types.
// CHECK: func.func @attention_0(
// CHECK-NOT: func.func @attention_1(

// CHECK: rt.program inputs {tokens = @tokens} outputs {logits = @[[LOGITS:.+]]} model {context = 64 : i64} {
// What the next stage reads; the logits go nowhere.
// CHECK:   rt.stage "embed" carries @[[X:.+]] per_token {{[0-9]+}} {
// CHECK:     rt.launch @embedding_0 [@tokens, #rt.scalar<tokens>, @table, @[[X]], #rt.scalar<tokens>]
// CHECK:   rt.stage "block.0" carries @{{.+}} per_token {{[0-9]+}} {
// CHECK:     rt.launch @kv_append_0 [@[[X]], #rt.scalar<tokens>, @norm, #rt.scalar<past>, @low, @high, @keys.0, #rt.scalar<context>, @values.0, #rt.scalar<context>]
// CHECK:     rt.launch @attention_0 [@[[X]], #rt.scalar<tokens>, @keys.0, #rt.scalar<context>, @values.0, #rt.scalar<context>, #rt.scalar<past>, @[[Y:.+]], #rt.scalar<tokens>]
// CHECK:     rt.launch @attention_0 [@[[Y]], #rt.scalar<tokens>,
// CHECK:   rt.stage "head" {
// CHECK:     rt.launch @last_0 [@{{.+}}, #rt.scalar<tokens>, #rt.scalar<rows>, @[[LAST:.+]], #rt.scalar<rows>]
// CHECK:     rt.launch @linear_0 [@[[LAST]], #rt.scalar<rows>, @table, @[[LOGITS]], #rt.scalar<rows>]
