// Groups of four warps multiply together where the module has qf.warp_groups and the rows are a multiple of 64.
// RUN: quant-opt %s --quant-codegen-nvptx="to=tiled" | FileCheck %s --check-prefix=TILED
// RUN: quant-opt %s --quant-codegen-nvptx="to=tiled warp-groups=false" | FileCheck %s --check-prefix=OFF
// RUN: sed 's/64x256/96x256/g; s/?x64xf32/?x96xf32/g' %s | quant-opt --quant-codegen-nvptx="to=tiled" | FileCheck %s --check-prefix=OFF
// RUN: quant-opt %s --quant-codegen-nvptx="to=gpu" | quant-opt --pass-pipeline="builtin.module(gpu.module(gpu.func(qf-map-warps,canonicalize,cse)))" | FileCheck %s --check-prefix=WARPS
// RUN: quant-opt %s --quant-codegen-nvptx="to=lanes" | FileCheck %s --check-prefix=LANES
// RUN: sed 's/xf16/xbf16/g' %s | quant-opt --quant-codegen-nvptx="to=lanes" | FileCheck %s --check-prefix=BF16

!w = !qf.elem<int<4, group = 128>>
#gpu = #qf.gpu<"sm_90a", chip = "sm_90a", ptx = 80, shared = 232448, stream = [8, 2], tiled = [16, 32, 16, 16], stages = 2>
module attributes {qf.gpu = #gpu, qf.warp_groups = array<i64: 16, 128, 2>} {
  func.func @linear(%x: tensor<?x256xf16>, %w: tensor<64x256x!w>, %y: tensor<?x64xf32> {bufferization.writable = true}) -> tensor<?x64xf32> {
    %zero = arith.constant 0.0 : f32
    %init = linalg.fill ins(%zero : f32) outs(%y : tensor<?x64xf32>) -> tensor<?x64xf32>
    %r = qf.contract %x, %w into %init : tensor<?x256xf16>, tensor<64x256x!w>, tensor<?x64xf32> -> tensor<?x64xf32>
    return %r : tensor<?x64xf32>
  }
}

// A warp has 16 rows and all tokens of its block.
// TILED: func.func @linear
// TILED-SAME: qf.tiles = array<i64: 16, 64, 16, 16, 128, 0, 2>
// TILED-SAME: qf.warp_group
// TILED: scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 64) step (16, 64)

// OFF: qf.tiles
// OFF-NOT: qf.warp_group

// Panels of 64 columns, aligned for the swizzling; copies are fenced before an asynchronous proxy reads them.
// WARPS: gpu.func @linear
// WARPS-SAME: known_block_size = array<i32: 128, 1, 1>
// WARPS: memref.alloc() {alignment = 1024 : i64} : memref<2x32x64xf16, #gpu.address_space<workgroup>>
// WARPS: scf.for
// WARPS:   arith.xori
// WARPS:   nvgpu.device_async_copy
// WARPS:   nvgpu.device_async_wait
// WARPS:   nvvm.fence.proxy
// WARPS:   gpu.barrier
// WARPS:   qf.warp_dot {{.*}} {qf.warp_group} : vector<16x16xf32>, memref<32x64xf16, {{.*}}>

// A run of 128 columns: codes of the next step while a product is under way; factors when all have ended.
// LANES: gpu.func @linear
// LANES: scf.for
// LANES: llvm.inline_asm {{.*}} "lop3.b32 $0, $1, $2, $3, 0xEA;"
// LANES: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.fence.sync.aligned;", "=r,=r,=r,=r,0,1,2,3"
// LANES: llvm.inline_asm has_side_effects {{.*}}setp.ne.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {{.*}}"=f,=f,=f,=f,=f,=f,=f,=f,r,r,r,r,l"
// LANES-NEXT: llvm.extractvalue
// LANES: nvvm.wgmma.commit.group.sync.aligned
// LANES: llvm.inline_asm {{.*}} "lop3.b32 $0, $1, $2, $3, 0xEA;"
// LANES: nvvm.wgmma.wait.group.sync.aligned 1
// LANES: setp.ne.b32 p, 1, 0; wgmma.mma_async
// LANES: setp.ne.b32 p, 1, 0; wgmma.mma_async
// LANES: setp.ne.b32 p, 1, 0; wgmma.mma_async
// LANES: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.wait_group.sync.aligned 0;"
// LANES: llvm.intr.fma(%{{.*}}) : (f32, f32, f32) -> f32

// BF16: wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16
