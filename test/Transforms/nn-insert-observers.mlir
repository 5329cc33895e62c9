// RUN: quant-opt %s --nn-insert-observers | FileCheck %s
// RUN: quant-opt %s --nn-insert-observers=hessian=false | FileCheck %s --check-prefix=COLUMNS
// RUN: quant-opt %s --nn-insert-observers --nn-outline-kernels | FileCheck %s --check-prefix=PROGRAM

nn.weight @a : tensor<8x16xf32> from #nn.source<"f", "a">
nn.weight @b : tensor<8x16xf32> from #nn.source<"f", "b">
func.func @forward(%ids: tensor<?xi32>, %past: index, %rows: index) -> tensor<?x8xf32> {
  %r = nn.stage "all" -> tensor<?x8xf32> {
    %t = nn.get @a : tensor<8x16xf32>
    %x = nn.embedding %ids, %t : (tensor<?xi32>, tensor<8x16xf32>) -> tensor<?x16xf32>
    // One observer for the two linears, called by the first weight.
    // CHECK: %[[C:.+]] = nn.state "columns.a" : tensor<3x16xf32>
    // CHECK: %[[H:.+]] = nn.state "hessian.a" : tensor<16x16xf32>
    // CHECK: nn.observe %{{.+}} into %[[C]], %[[H]] : tensor<?x16xf32> into tensor<3x16xf32>, tensor<16x16xf32> -> tensor<16x16xf32>
    // CHECK-NOT: nn.observe
    // COLUMNS: nn.observe %{{.+}} into %{{.+}} : tensor<?x16xf32> into tensor<3x16xf32>{{$}}
    %w = nn.get @a : tensor<8x16xf32>
    %y = nn.linear %x weights(%w : tensor<8x16xf32>) : tensor<?x16xf32> -> tensor<?x8xf32>
    %v = nn.get @b : tensor<8x16xf32>
    %z = nn.linear %x weights(%v : tensor<8x16xf32>) : tensor<?x16xf32> -> tensor<?x8xf32>
    %s = nn.add %y, %z : tensor<?x8xf32>
    nn.yield %s : tensor<?x8xf32>
  }
  return %r : tensor<?x8xf32>
}
// The states are persistent buffers, which the kernel writes in place.
// PROGRAM: func.func @observe_0(%{{.+}}: tensor<?x16xf32>, %{{.+}}: tensor<3x16xf32> {bufferization.writable = true}, %{{.+}}: tensor<16x16xf32> {bufferization.writable = true})
// PROGRAM: rt.launch @observe_0 [@{{.+}}, #rt.scalar<tokens>, @columns.a, @hessian.a]
