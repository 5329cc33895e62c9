// RUN: not quant-opt %s --nn-assign-formats=format=ghost 2>&1 | FileCheck %s --check-prefix=FORMAT
// RUN: not quant-opt %s --nn-assign-formats=policy=ghost 2>&1 | FileCheck %s --check-prefix=POLICY
// RUN: not quant-opt %s --nn-assign-formats="format=f16 policy=f16" 2>&1 | FileCheck %s --check-prefix=BOTH

// FORMAT: error: weight w: {{.*}}ghost
// POLICY: error: {{.*}}ghost
// BOTH: error: give a format or a policy, not both
nn.weight @w : tensor<8x64xf32> from #nn.source<"f", "w">
func.func @forward(%x: tensor<?x64xf32>) -> tensor<?x8xf32> {
  %w = nn.get @w : tensor<8x64xf32>
  %y = nn.linear %x weights(%w : tensor<8x64xf32>) : tensor<?x64xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
