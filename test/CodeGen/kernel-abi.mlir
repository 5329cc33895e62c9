// RUN: quant-opt %s --qf-kernel-abi --split-input-file --verify-diagnostics | FileCheck %s

// A buffer takes a slot for its address and one for each dynamic size, an index takes one.
// CHECK-LABEL: func.func @kernel(
// CHECK-SAME: %[[ARGS:.+]]: !llvm.ptr, %[[BEGIN:.+]]: i64, %[[END:.+]]: i64)
// CHECK-DAG: qf.argument %[[ARGS]][0] : !llvm.ptr -> memref<?x128xf32>
// CHECK-DAG: qf.argument %[[ARGS]][2] : !llvm.ptr -> index
// CHECK-DAG: qf.argument %[[ARGS]][3] : !llvm.ptr -> memref<8xf32>
// CHECK-DAG: arith.index_cast %[[BEGIN]] : i64 to index
func.func @kernel(%x: memref<?x128xf32>, %past: index, %y: memref<8xf32>, %begin: index, %end: index) {
  %v = memref.load %x[%begin, %past] : memref<?x128xf32>
  memref.store %v, %y[%end] : memref<8xf32>
  return
}
// CHECK-LABEL: func.func @kernel_tasks(%{{.*}}: !llvm.ptr) -> i64
func.func @kernel_tasks(%x: memref<?x128xf32>, %past: index, %y: memref<8xf32>) -> index {
  return %past : index
}

// -----

// expected-error @+1 {{parameter 0 is neither a row-major buffer nor an index, but 'f32'}}
func.func @scalar(%x: f32, %begin: index, %end: index) { return }
