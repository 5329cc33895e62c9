// RUN: quant-opt %s --nn-layers-to-gpu | FileCheck %s

// Products are for other passes.
// CHECK: func.func @product
func.func @product(%x: tensor<?x128xf16>, %w: tensor<32x128x!qf.elem<int>>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %r = qf.contract %x, %w into %y : tensor<?x128xf16>, tensor<32x128x!qf.elem<int>>, tensor<?x32xf32> -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}

// A norm: a block for each token, sums over the lanes by shuffles, over the warps by shared memory.
// CHECK-LABEL: gpu.func @norm(%arg0: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg1: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg2: !llvm.ptr<1> {llvm.noalias}, %arg3: i64)
// CHECK-SAME: kernel
// CHECK-SAME: qf.grid = array<i64: -1, 1, 3, 1>
// CHECK: memref.alloc() : memref<3xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: llvm.nvvm.sqrt.rn.f
// CHECK: llvm.store
func.func @norm(%x: tensor<?x96xf32>, %w: tensor<96xf32>, %out: tensor<?x96xf32> {bufferization.writable = true}) -> tensor<?x96xf32> {
  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x96xf32>, tensor<96xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x96xf32>, tensor<?x96xf32>) -> tensor<?x96xf32>
  return %r : tensor<?x96xf32>
}

// Attention: a block for each token and key head, `past` behind a pointer, positions and tokens behind all.
// CHECK-LABEL: gpu.func @attention(
// CHECK-SAME: %arg3: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg4: !llvm.ptr<1> {llvm.noalias}, %arg5: i64, %arg6: i64)
// CHECK-SAME: qf.grid = array<i64: -1, 2, 6, 1>
// CHECK: llvm.load %arg3
// CHECK: llvm.nvvm.ex2.approx.f32
func.func @attention(%q: tensor<?x128xf32>, %k: tensor<2x?x32xf16>, %v: tensor<2x?x32xf16>, %past: index, %out: tensor<?x128xf32> {bufferization.writable = true}) -> tensor<?x128xf32> {
  %y = nn.attention %q, %k, %v at %past scale 0.3 : tensor<?x128xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x128xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x128xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
  return %r : tensor<?x128xf32>
}

// Parts of the positions: as many blocks for each; what has no positions does nothing. Their memory comes last.
// CHECK-LABEL: gpu.func @parts(
// CHECK-SAME: %arg4: i64, %arg5: i64, %arg6: !llvm.ptr<1> {llvm.noalias})
// CHECK-SAME: qf.grid = array<i64: -1, 6, 5, 1>, qf.most_tokens = 8 : i64, qf.scratch_bytes = 13056 : i64, qf.variant_of = @attention
// CHECK: %[[SOME:.+]] = arith.cmpi slt
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK-COUNT-6: llvm.store {{.+}} : f32, !llvm.ptr<1>
// CHECK-NOT: llvm.store
func.func @parts(%q: tensor<?x128xf32>, %k: tensor<2x?x32xf16>, %v: tensor<2x?x32xf16>, %past: index, %p: tensor<?x408xf32> {bufferization.writable = true, qf.scratch}) -> tensor<?x408xf32> attributes {qf.most_tokens = 8 : i64, qf.variant_of = @attention} {
  %y = nn.attention_parts %q, %k, %v at %past scale 0.3 parts 3 : tensor<?x128xf32>, tensor<2x?x32xf16>, tensor<2x?x32xf16> -> tensor<?x408xf32>
  %r = bufferization.materialize_in_destination %y in %p : (tensor<?x408xf32>, tensor<?x408xf32>) -> tensor<?x408xf32>
  return %r : tensor<?x408xf32>
}

// CHECK-LABEL: gpu.func @combine(
// CHECK-SAME: %arg2: i64, %arg3: !llvm.ptr<1> {llvm.noalias, llvm.readonly})
// CHECK-SAME: qf.grid = array<i64: -1, 4, 2, 1>
// CHECK: arith.maximumf
// CHECK: llvm.store
func.func @combine(%past: index, %out: tensor<?x128xf32> {bufferization.writable = true}, %p: tensor<?x408xf32> {qf.scratch}) -> tensor<?x128xf32> attributes {qf.most_tokens = 8 : i64, qf.variant_of = @attention} {
  %y = nn.combine_parts %p at %past heads 4 parts 3 : tensor<?x408xf32> -> tensor<?x128xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x128xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
  return %r : tensor<?x128xf32>
}

// A cache in a format: a block of threads for each head and 16 tokens, which encodes two groups of positions one by one.
// CHECK-LABEL: gpu.func @coded_append(
// CHECK-SAME: %arg3: !llvm.ptr<1> {llvm.noalias}, %arg4: !llvm.ptr<1> {llvm.noalias}, %arg5: i64, %arg6: i64)
// CHECK-SAME: qf.grid = array<i64: -1, 2, 6, 16>
// CHECK: scf.for
// CHECK: scf.for
// CHECK: vector.load {{.+}} : memref<32xf32, #gpu.address_space<workgroup>>, vector<32xf32>
// CHECK: vector.reduction <maximumf>
func.func @coded_append(%k: tensor<?x64xf32>, %v: tensor<?x64xf32>, %past: index, %keys: tensor<2x?x32x!qf.elem<q8_0>> {bufferization.writable = true}, %values: tensor<2x?x32x!qf.elem<q8_0>> {bufferization.writable = true}) -> (tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>) {
  %a, %b = nn.kv_append %k, %v at %past into %keys, %values : tensor<?x64xf32>, tensor<?x64xf32> into tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
  return %a, %b : tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>>
}

// Keys are decoded by a thread for each position, values to shared memory, a row of 32 numbers and one more.
// CHECK-LABEL: gpu.func @coded_attention(
// CHECK: memref.alloc() : memref<1056xf32, #gpu.address_space<workgroup>>
// CHECK: llvm.addrspacecast %arg1 : !llvm.ptr<1> to !llvm.ptr
// CHECK: llvm.addrspacecast %arg2 : !llvm.ptr<1> to !llvm.ptr
func.func @coded_attention(%q: tensor<?x128xf32>, %k: tensor<2x?x32x!qf.elem<q8_0>>, %v: tensor<2x?x32x!qf.elem<q8_0>>, %past: index, %out: tensor<?x128xf32> {bufferization.writable = true}) -> tensor<?x128xf32> {
  %y = nn.attention %q, %k, %v at %past scale 0.3 : tensor<?x128xf32>, tensor<2x?x32x!qf.elem<q8_0>>, tensor<2x?x32x!qf.elem<q8_0>> -> tensor<?x128xf32>
  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x128xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
  return %r : tensor<?x128xf32>
}

// Rows of a quantized table: its planes are the parameters.
// CHECK-LABEL: gpu.func @embedding(%arg0: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg1: memref<2x2x128xi32> {llvm.noalias, llvm.readonly}, %arg2: memref<2x1x8xi32>
func.func @embedding(%t: tensor<?xi32>, %w: tensor<32x128x!qf.elem<int>>, %out: tensor<?x128xf32> {bufferization.writable = true}) -> tensor<?x128xf32> {
  %y = qf.decode %w rows(%t) into %out : tensor<32x128x!qf.elem<int>>, tensor<?xi32>, tensor<?x128xf32> -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// Columns that fill no units: planes have whole units, blocks the tiles of columns that there are.
// CHECK-LABEL: gpu.func @ragged_embedding(%arg0: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg1: memref<2x4x128xi32> {llvm.noalias, llvm.readonly}, %arg2: memref<2x2x8xi32>
// CHECK-SAME: qf.grid = array<i64: -1, 3, 4, 1>
func.func @ragged_embedding(%t: tensor<?xi32>, %w: tensor<20x150x!qf.elem<int>>, %out: tensor<?x150xf32> {bufferization.writable = true}) -> tensor<?x150xf32> {
  %y = qf.decode %w rows(%t) into %out : tensor<20x150x!qf.elem<int>>, tensor<?xi32>, tensor<?x150xf32> -> tensor<?x150xf32>
  return %y : tensor<?x150xf32>
}

// The token with the largest logit: a block for each row, the largest number over the block, then its first place.
// CHECK-LABEL: gpu.func @argmax(%arg0: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg1: !llvm.ptr<1> {llvm.noalias}, %arg2: !llvm.ptr<1> {llvm.noalias}, %arg3: i64)
// CHECK-SAME: qf.grid = array<i64: -1, 1, 3, 1>
// CHECK: scf.for
// CHECK: arith.cmpf olt
// CHECK: arith.maximumf
// CHECK: gpu.shuffle xor
// CHECK: arith.cmpf oeq
// CHECK: gpu.shuffle xor
// CHECK: llvm.store {{.+}} : i32, !llvm.ptr<1>
// CHECK: llvm.store {{.+}} : f32, !llvm.ptr<1>
func.func @argmax(%x: tensor<?x51xf32>, %t: tensor<?xi32> {bufferization.writable = true}, %l: tensor<?xf32> {bufferization.writable = true}) -> (tensor<?xi32>, tensor<?xf32>) {
  %a, %b = nn.argmax %x : tensor<?x51xf32> -> tensor<?xi32>, tensor<?xf32>
  %r = bufferization.materialize_in_destination %a in %t : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>
  %s = bufferization.materialize_in_destination %b in %l : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %r, %s : tensor<?xi32>, tensor<?xf32>
}

// The most likely tokens: what each thread offers first, then, one after the other, the first of all; who offered it looks for its next one.
// CHECK-LABEL: gpu.func @top(%arg0: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %arg1: !llvm.ptr<1> {llvm.noalias}, %arg2: !llvm.ptr<1> {llvm.noalias}, %arg3: i64)
// CHECK-SAME: qf.grid = array<i64: -1, 1, 3, 1>
// CHECK: scf.for
// CHECK: arith.cmpf ult
// CHECK: scf.for
// CHECK: gpu.shuffle xor
// CHECK: arith.cmpf oeq
// CHECK: gpu.shuffle xor
// CHECK: llvm.store {{.+}} : i32, !llvm.ptr<1>
// CHECK: llvm.store {{.+}} : f32, !llvm.ptr<1>
// CHECK: scf.for
func.func @top(%x: tensor<?x51xf32>, %t: tensor<?x7xi32> {bufferization.writable = true}, %l: tensor<?x7xf32> {bufferization.writable = true}) -> (tensor<?x7xi32>, tensor<?x7xf32>) {
  %a, %b = nn.top %x : tensor<?x51xf32> -> tensor<?x7xi32>, tensor<?x7xf32>
  %r = bufferization.materialize_in_destination %a in %t : (tensor<?x7xi32>, tensor<?x7xi32>) -> tensor<?x7xi32>
  %s = bufferization.materialize_in_destination %b in %l : (tensor<?x7xf32>, tensor<?x7xf32>) -> tensor<?x7xf32>
  return %r, %s : tensor<?x7xi32>, tensor<?x7xf32>
}
