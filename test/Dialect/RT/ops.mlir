// RUN: quant-opt %s | quant-opt | FileCheck %s

nn.weight @w : tensor<4xf32> from #nn.source<"f", "t">
// CHECK: rt.buffer @tokens per_token 4
rt.buffer @tokens per_token 4
// CHECK: rt.buffer persistent @keys.0 per_context 128
rt.buffer persistent @keys.0 per_context 128
// CHECK: rt.buffer @x per_token 16
rt.buffer @x per_token 16
// CHECK: rt.buffer @logits bytes 16 per_token 32
rt.buffer @logits bytes 16 per_token 32
func.func private @kernel()

// CHECK: rt.program inputs {tokens = @tokens} outputs {logits = @logits} model {context = 64 : i64} {
rt.program inputs {tokens = @tokens} outputs {logits = @logits} model {context = 64 : i64} {
  // CHECK: rt.stage "embed" carries @x per_token 12 {
  rt.stage "embed" carries @x per_token 12 {
  }
  // CHECK: rt.stage "head" {
  rt.stage "head" {
    // CHECK: rt.launch @kernel [@tokens, #rt.scalar<tokens>, @w, @keys.0, #rt.scalar<context>, #rt.scalar<past>, @logits, #rt.scalar<rows>]
    rt.launch @kernel [@tokens, #rt.scalar<tokens>, @w, @keys.0, #rt.scalar<context>, #rt.scalar<past>, @logits, #rt.scalar<rows>]
  }
}
