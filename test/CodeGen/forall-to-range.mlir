// RUN: quant-opt %s --pass-pipeline='builtin.module(qf-forall-to-range,canonicalize,cse)' --split-input-file | FileCheck %s

// Tasks are counted row by row of the loop.
// CHECK-LABEL: func.func @two_dimensions(
// CHECK-SAME: %[[X:.+]]: memref<?x128xf32>, %[[BEGIN:.+]]: index, %[[END:.+]]: index) {
// CHECK: scf.for %[[T:.+]] = %{{.*}} to %{{.*}} step %c1
// CHECK: affine.delinearize_index %[[T]] into (%{{.*}}, 2)
// CHECK-LABEL: func.func @two_dimensions_tasks(%{{.*}}: memref<?x128xf32>) -> index
// CHECK-NOT: scf.for
func.func @two_dimensions(%x: memref<?x128xf32>) -> memref<?x128xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = memref.dim %x, %c0 : memref<?x128xf32>
  scf.forall (%i, %j) = (0, 0) to (%m, 128) step (32, 64) {
    memref.store %zero, %x[%i, %j] : memref<?x128xf32>
  }
  return %x : memref<?x128xf32>
}

// -----

// Loops one after the other: 4 tasks, then 2.
// CHECK-LABEL: func.func @two_loops(
// CHECK: scf.for
// CHECK: scf.for
// CHECK-LABEL: func.func @two_loops_tasks
// CHECK: %[[N:.+]] = arith.constant 6 : index
// CHECK: return %[[N]]
func.func @two_loops(%x: memref<128xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) = (0) to (128) step (32) { memref.store %zero, %x[%i] : memref<128xf32> }
  scf.forall (%i) = (0) to (128) step (64) { memref.store %zero, %x[%i] : memref<128xf32> }
  return
}

// -----

// A function without a loop is one task.
// CHECK-LABEL: func.func @one_task(
// CHECK: scf.for
// CHECK: memref.store
// CHECK-LABEL: func.func @one_task_tasks
// CHECK: %[[N:.+]] = arith.constant 1 : index
// CHECK: return %[[N]]
func.func @one_task(%x: memref<128xf32>, %i: index) {
  %zero = arith.constant 0.0 : f32
  memref.store %zero, %x[%i] : memref<128xf32>
  return
}
