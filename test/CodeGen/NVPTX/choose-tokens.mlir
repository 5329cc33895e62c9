// RUN: quant-opt %s --nn-choose-tokens=candidates=5 | FileCheck %s
// RUN: quant-opt %s --nn-choose-tokens | FileCheck %s --check-prefix=ALL
// RUN: quant-opt %s --nn-choose-tokens=candidates=0 | FileCheck %s --check-prefix=ONE
// RUN: quant-opt %s --nn-choose-tokens=candidates=5 --nn-outline-kernels --rt-plan-buffers | FileCheck %s --check-prefix=PROGRAM

nn.weight @table : tensor<8x4xf32> from #nn.source<"f", "table">

// CHECK: func.func @forward({{.*}}) -> (tensor<?x8xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?x5xi32>, tensor<?x5xf32>)
func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index) -> tensor<?x8xf32> {
  // CHECK: nn.stage "embed" -> tensor<?x4xf32>
  %x = nn.stage "embed" -> tensor<?x4xf32> {
    %w = nn.get @table : tensor<8x4xf32>
    %e = nn.embedding %tokens, %w : (tensor<?xi32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    nn.yield %e : tensor<?x4xf32>
  }
  // CHECK: %[[HEAD:.+]]:5 = nn.stage "head" -> tensor<?x8xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?x5xi32>, tensor<?x5xf32>
  // CHECK: %[[Y:.+]] = nn.linear
  // CHECK: %[[T:.+]], %[[L:.+]] = nn.argmax %[[Y]] : tensor<?x8xf32> -> tensor<?xi32>, tensor<?xf32>
  // CHECK: %[[TS:.+]], %[[LS:.+]] = nn.top %[[Y]] : tensor<?x8xf32> -> tensor<?x5xi32>, tensor<?x5xf32>
  // CHECK: nn.yield %[[Y]], %[[T]], %[[L]], %[[TS]], %[[LS]] :
  %l = nn.stage "head" -> tensor<?x8xf32> {
    %last = nn.last %x, %rows : tensor<?x4xf32>
    %w = nn.get @table : tensor<8x4xf32>
    %y = nn.linear %last weights(%w : tensor<8x4xf32>) : tensor<?x4xf32> -> tensor<?x8xf32>
    nn.yield %y : tensor<?x8xf32>
  }
  // CHECK: return %[[HEAD]]#0, %[[HEAD]]#1, %[[HEAD]]#2, %[[HEAD]]#3, %[[HEAD]]#4 :
  // No more than there are.
  // ALL: nn.top %{{.+}} : tensor<?x8xf32> -> tensor<?x8xi32>, tensor<?x8xf32>
  // ONE-NOT: nn.top
  // ONE: return %[[HEAD:.+]]#0, %[[HEAD]]#1, %[[HEAD]]#2 : tensor<?x8xf32>, tensor<?xi32>, tensor<?xf32>
  return %l : tensor<?x8xf32>
}

// Outputs of the program, one number for each row of logits.
// PROGRAM: rt.buffer @[[LOGITS:.+]] per_token 32
// PROGRAM: rt.buffer @[[TOKENS:.+]] per_token 4
// PROGRAM: rt.buffer @[[LARGEST:.+]] per_token 4
// PROGRAM: rt.buffer @[[TOPTOKENS:.+]] per_token 20
// PROGRAM: rt.buffer @[[TOPLOGITS:.+]] per_token 20
// PROGRAM: rt.program inputs {tokens = @tokens} outputs {largest = @[[LARGEST]], logits = @[[LOGITS]], tokens = @[[TOKENS]], top_logits = @[[TOPLOGITS]], top_tokens = @[[TOPTOKENS]]}
// PROGRAM: rt.launch @argmax_0 [@[[LOGITS]], #rt.scalar<rows>, @[[TOKENS]], #rt.scalar<rows>, @[[LARGEST]], #rt.scalar<rows>]
// PROGRAM: rt.launch @top_0 [@[[LOGITS]], #rt.scalar<rows>, @[[TOPTOKENS]], #rt.scalar<rows>, @[[TOPLOGITS]], #rt.scalar<rows>]
