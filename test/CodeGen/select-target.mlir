// RUN: quant-opt %s --qf-select-target=target=x86-64-v3 | FileCheck %s

// Only functions are left; what targets/x86-64-v3.json says stands at the module.
// CHECK: module attributes {qf.target = #qf.target<"x86-64-v3", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3",
// CHECK-SAME: dot = ["llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"]
// CHECK-NOT: nn.weight
// CHECK: func.func @kernel
// CHECK-NOT: nn.weight
nn.weight @a : tensor<8x32xf32> from #nn.source<"f", "a">
func.func @kernel(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}
nn.weight @b : tensor<8x32xf32> from #nn.source<"f", "b">
