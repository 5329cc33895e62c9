// RUN: quant-opt %s --pass-pipeline='builtin.module(func.func(qf-expand-math))' | FileCheck %s

// Polynomials: nothing is left that LLVM would make a call of.
// CHECK-LABEL: func.func @functions
// CHECK-NOT: math.{{exp|tanh}}
// CHECK: {{math|vector}}.fma {{.*}} : vector<16xf32>
// CHECK-NOT: math.{{exp|tanh}}
// CHECK: return
func.func @functions(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>) {
  %e = math.exp %x : vector<16xf32>
  %t = math.tanh %x : vector<16xf32>
  return %e, %t : vector<16xf32>, vector<16xf32>
}

// What is one instruction stays.
// CHECK-LABEL: func.func @instructions
// CHECK-NEXT: math.sqrt
// CHECK-NEXT: math.absf
// CHECK-NEXT: return
func.func @instructions(%x: vector<16xf32>) -> vector<16xf32> {
  %s = math.sqrt %x : vector<16xf32>
  %a = math.absf %s : vector<16xf32>
  return %a : vector<16xf32>
}
