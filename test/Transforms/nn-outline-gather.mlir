// RUN: quant-opt %s --nn-outline-kernels | FileCheck %s

// Act-order costs no pass over memory of its own: what quantizes the activations reads them in the order of the weight's columns.
module attributes {nn.model = {context = 64 : i64}} {
  nn.weight @table : tensor<8x32xf32> from #nn.source<"f", "table">
  nn.weight @columns : tensor<32xi32> from #nn.columns<"f", "w">
  nn.weight @w : tensor<8x32x!qf.elem<int<4, group = 32>>> from #nn.source<"f", "w">

  func.func @forward(%tokens: tensor<?xi32>, %past: index, %rows: index) -> tensor<?x8xf32> {
    %l = nn.stage "head" -> tensor<?x8xf32> {
      %t = nn.get @table : tensor<8x32xf32>
      %c = nn.get @columns : tensor<32xi32>
      %w = nn.get @w : tensor<8x32x!qf.elem<int<4, group = 32>>>
      %x = nn.embedding %tokens, %t : (tensor<?xi32>, tensor<8x32xf32>) -> tensor<?x32xf32>
      %p = nn.gather %x by %c : tensor<?x32xf32>, tensor<32xi32> -> tensor<?x32xf32>
      %zero = arith.constant 0 : index
      %count = tensor.dim %p, %zero : tensor<?x32xf32>
      %e = tensor.empty(%count) : tensor<?x32x!qf.elem<a8>>
      %q = qf.encode %p into %e : tensor<?x32xf32>, tensor<?x32x!qf.elem<a8>> -> tensor<?x32x!qf.elem<a8>>
      %y = nn.linear %q weights(%w : tensor<8x32x!qf.elem<int<4, group = 32>>>) : tensor<?x32x!qf.elem<a8>> -> tensor<?x8xf32>
      nn.yield %y : tensor<?x8xf32>
    }
    return %l : tensor<?x8xf32>
  }
}

// CHECK: func.func @encode_0(%[[X:.+]]: tensor<?x32xf32>, %[[C:.+]]: tensor<32xi32>, %[[Q:.+]]: tensor<?x32x!qf.elem<a8>> {bufferization.writable = true})
// CHECK-NEXT: %[[P:.+]] = nn.gather %[[X]] by %[[C]]
// CHECK-NEXT: qf.encode %[[P]] into %[[Q]]
// CHECK: rt.program
// CHECK: rt.launch @embedding_0
// CHECK-NEXT: rt.launch @encode_0
// CHECK-NEXT: rt.launch @linear_0
