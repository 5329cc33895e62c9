// RUN: quant-opt %s --qf-to-llvm | FileCheck %s

// A block is an array of its bytes: 16 rows of 32 codes of 4 bits, and 16 scales of 16 bits.
// CHECK-LABEL: llvm.func @address(
// CHECK: llvm.getelementptr %{{.+}} : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.array<288 x i8>
// CHECK-NOT: qf.address
func.func @address(%args: !llvm.ptr, %i: index) -> !llvm.ptr {
  %m = qf.argument %args[0] : !llvm.ptr -> memref<4x!qf.block<int<group = 32>, r16>>
  %s = memref.reinterpret_cast %m to offset: [%i], sizes: [1], strides: [1]
    : memref<4x!qf.block<int<group = 32>, r16>> to memref<1x!qf.block<int<group = 32>, r16>, strided<[1], offset: ?>>
  %p = qf.address %s : memref<1x!qf.block<int<group = 32>, r16>, strided<[1], offset: ?>> -> !llvm.ptr
  return %p : !llvm.ptr
}

// Arguments are read from the array of words.
// CHECK-LABEL: llvm.func @argument(
// CHECK: %[[SLOT:.+]] = llvm.getelementptr %arg0[2] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: llvm.load %[[SLOT]]
// CHECK-NOT: qf.argument
func.func @argument(%args: !llvm.ptr) -> index {
  %n = qf.argument %args[2] : !llvm.ptr -> index
  return %n : index
}
