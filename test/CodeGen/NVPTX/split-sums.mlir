// RUN: quant-opt %s --qf-split-sums --canonicalize --cse | FileCheck %s
// RUN: quant-opt %s --qf-split-sums --canonicalize --cse --qf-tile-blocks | FileCheck %s --check-prefix=TILED
// RUN: sed 's/^module.*/module {/' %s | not quant-opt --qf-split-sums 2>&1 | FileCheck %s --check-prefix=ERROR
// RUN: sed 's/, qf.multiprocessors = 8 : i64//' %s | quant-opt --qf-split-sums | FileCheck %s --check-prefix=UNKNOWN

// ERROR: error: needs the attribute 'qf.gpu'
// UNKNOWN-NOT: qf.scratch

!w = !qf.elem<int<4, group = 128>>

module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8], tiled = [64, 128, 64, 32], stages = 4>, qf.multiprocessors = 8 : i64} {
  // Two blocks have all rows; eight multiprocessors take four parts of 1024 columns. Parts come first.
  // CHECK-LABEL: func.func @linear(
  // CHECK-NOT: scf.forall
  // CHECK-LABEL: func.func @linear_m64_parts(
  // CHECK-SAME: %arg3: tensor<?x256xf16>, %arg4: tensor<?x1024xf32> {bufferization.writable = true, qf.scratch}) -> tensor<?x1024xf32>
  // CHECK-SAME: attributes {qf.most_tokens = 64 : i64, qf.variant_of = @linear}
  // CHECK: scf.forall (%[[K:.+]], %[[N:.+]]) = (0, 0) to (4096, 256) step (1024, 128) shared_outs(%[[P:.+]] = %arg4) -> (tensor<?x1024xf32>)
  // CHECK: %[[PLACE:.+]] = affine.apply #{{.+}}(%[[K]], %[[N]])
  // CHECK-DAG: %[[OUT:.+]] = tensor.extract_slice %[[P]][0, %[[PLACE]]] [%{{.+}}, 128] [1, 1]
  // CHECK-DAG: %[[X:.+]] = tensor.extract_slice %arg0[0, %[[K]]] [%{{.+}}, 1024] [1, 1]
  // CHECK-DAG: %[[W:.+]] = tensor.extract_slice %arg1[%[[N]], %[[K]]] [128, 1024] [1, 1]
  // CHECK: qf.contract %[[X]], %[[W]]
  // CHECK: tensor.parallel_insert_slice %{{.+}} into %[[P]][0, %[[PLACE]]]
  // CHECK: mapping = [#gpu.block<y>, #gpu.block<x>]
  // CHECK-LABEL: func.func @linear_m64(
  // CHECK-SAME: %arg3: tensor<?x256xf16> {bufferization.writable = true}, %arg4: tensor<?x1024xf32> {qf.scratch}) -> tensor<?x256xf16>
  // CHECK-NOT: qf.contract
  // CHECK: linalg.generic
  // CHECK-COUNT-4: tensor.extract %arg4
  // CHECK: arith.truncf
  // CHECK-NOT: linalg.generic
  // CHECK: return

  // Within a block all is as for any number of tokens.
  // TILED-LABEL: func.func @linear_m64_parts(
  // TILED-SAME: qf.tiles = array<i64: 64, 128, 64, 32, 64, 0, 4>
  // TILED: scf.forall (%{{.+}}, %{{.+}}) = (0, 0) to (4096, 256) step (1024, 128)
  // TILED:   scf.forall (%{{.+}}, %{{.+}}) = (0, 0) to (%{{.+}}, 128) step (64, 32)
  // TILED:     scf.for %{{.+}} = %c0{{.*}} to %c1024{{.*}} step %c64
  // TILED:   } {mapping = [#gpu.warp<linear_dim_1>, #gpu.warp<linear_dim_0>]}
  func.func @linear(%x: tensor<?x4096xf16>, %w: tensor<256x4096x!w>, %b: tensor<256xf32>, %out: tensor<?x256xf16> {bufferization.writable = true}) -> tensor<?x256xf16> {
    %zero = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    %m = tensor.dim %x, %c0 : tensor<?x4096xf16>
    %empty = tensor.empty(%m) : tensor<?x256xf32>
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x256xf32>) -> tensor<?x256xf32>
    %sum = qf.contract %x, %w into %init : tensor<?x4096xf16>, tensor<256x4096x!w>, tensor<?x256xf32> -> tensor<?x256xf32>
    %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"]}
        ins(%sum, %b : tensor<?x256xf32>, tensor<256xf32>) outs(%out : tensor<?x256xf16>) {
      ^bb0(%s: f32, %t: f32, %o: f16):
        %u = arith.addf %s, %t : f32
        %h = arith.truncf %u : f32 to f16
        linalg.yield %h : f16
      } -> tensor<?x256xf16>
    return %y : tensor<?x256xf16>
  }
}
