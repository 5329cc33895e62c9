// RUN: quant-opt %s --rt-plan-buffers | FileCheck %s

func.func private @k()
// CHECK: rt.buffer @tokens
rt.buffer @tokens per_token 4
// CHECK: rt.buffer persistent @keys
rt.buffer persistent @keys per_context 4
// @a is free when @c is first written, and takes its size; @b is not.
// CHECK: rt.buffer @a per_token 32
rt.buffer @a per_token 16
// CHECK: rt.buffer @b per_token 16
rt.buffer @b per_token 16
// CHECK-NOT: @c
rt.buffer @c per_token 32
// CHECK: rt.buffer @logits
rt.buffer @logits per_token 32

rt.program inputs {tokens = @tokens} outputs {logits = @logits} model {} {
  // CHECK: rt.stage "most" carries @a per_token 32
  rt.stage "most" carries @c per_token 32 {
    // CHECK: rt.launch @k [@tokens, @a]
    rt.launch @k [@tokens, @a]
    // CHECK: rt.launch @k [@a, @keys, @b]
    rt.launch @k [@a, @keys, @b]
    // CHECK: rt.launch @k [@b, @a]
    rt.launch @k [@b, @c]
  }
  rt.stage "rest" {
    // CHECK: rt.launch @k [@a, @logits]
    rt.launch @k [@c, @logits]
  }
}
