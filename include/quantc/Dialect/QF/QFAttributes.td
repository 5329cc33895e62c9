//===- QFAttributes.td - the target that kernels are made for -------------------------------------------------===//

#ifndef QUANTC_DIALECT_QF_QFATTRIBUTES
#define QUANTC_DIALECT_QF_QFATTRIBUTES

include "mlir/IR/AttrTypeBase.td"
include "quantc/Dialect/QF/QFDialect.td"

def QF_TargetAttr : AttrDef<QF_Dialect, "Target"> {
  let summary = "what passes know of the target: one file of targets/";
  let description = [{
    The attribute `qf.target` of a module. `features` are LLVM's. `lanes` are the dwords of a vector register. `dot`
    has the intrinsics of its byte dot product (unsigned bytes with signed ones): one, acc + the sum of four products;
    two, the sums of two products, saturated, then of two i16 products; none: by widening. `words` is that of pairs of
    i16, which adds to an accumulator where `dot` does. `permute` chooses dwords of a register by the low bits of
    indices, `shuffle` bytes within each 16; empty: by memory. `rows` are the rows of a block of kernel storage,
    `tiles` the tokens and rows of a task and the tokens of a register tile (its rows are those of a block).

    ```mlir
    module attributes {qf.target = #qf.target<"x86-64-v4-vnni", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v4",
      features = "+avx512vnni", dot = ["llvm.x86.avx512.vpdpbusd.512"],
      permute = "llvm.x86.avx512.permvar.si.512", shuffle = "llvm.x86.avx512.pshuf.b.512", lanes = 16, rows = 16,
      tiles = [256, 64, 8], words = "llvm.x86.avx512.vpdpwssd.512">}
    ```
  }];
  let mnemonic = "target";
  let parameters = (ins StringRefParameter<"name">:$name, StringRefParameter<"LLVM triple">:$triple,
                        StringRefParameter<"LLVM CPU">:$cpu, StringRefParameter<"LLVM features">:$features,
                        "::mlir::ArrayAttr":$dot, "::mlir::StringAttr":$permute, "::mlir::StringAttr":$shuffle,
                        "unsigned":$lanes, "unsigned":$rows,
                        ArrayRefParameter<"int64_t", "tokens and rows of a task, tokens of a register tile">:$tiles,
                        OptionalParameter<"::mlir::StringAttr", "intrinsic of the dot product of i16 pairs">:$words);
  let assemblyFormat = [{
    `<` $name `,` `triple` `=` $triple `,` `cpu` `=` $cpu `,` `features` `=` $features `,` `dot` `=` $dot `,`
    `permute` `=` $permute `,` `shuffle` `=` $shuffle `,` `lanes` `=` $lanes `,` `rows` `=` $rows `,` `tiles` `=` `[`
    $tiles `]` (`,` `words` `=` $words^)? `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The attribute of the module around `op`, or null.
    static TargetAttr of(::mlir::Operation *op);
  }];
}

def QF_GPUTargetAttr : AttrDef<QF_Dialect, "GPUTarget"> {
  let summary = "what passes know of a GPU: one file of targets/";
  let description = [{
    The attribute `qf.gpu` of a module. `ptx` is the version of the instruction set times ten, `shared` the bytes of
    shared memory that a thread block can have. `stream` are the tokens and the warps of a block that reads every weight
    once, its warps sharing the sum; `tiled` the tokens and rows of a block, and of a warp; `stages` how many tiles
    along the sum are on their way.

    ```mlir
    module attributes {qf.gpu = #qf.gpu<"sm_80", chip = "sm_80", ptx = 80, shared = 166912, stream = [8, 8],
      tiled = [64, 128, 64, 32], stages = 4>} { … }
    ```
  }];
  let mnemonic = "gpu";
  let parameters = (ins StringRefParameter<"name">:$name, StringRefParameter<"LLVM CPU">:$chip, "unsigned":$ptx,
                        "int64_t":$shared, ArrayRefParameter<"int64_t", "tokens, warps">:$stream,
                        ArrayRefParameter<"int64_t", "tokens and rows of a block, of a warp">:$tiled,
                        "unsigned":$stages);
  let assemblyFormat = [{
    `<` $name `,` `chip` `=` $chip `,` `ptx` `=` $ptx `,` `shared` `=` $shared `,` `stream` `=` `[` $stream `]` `,`
    `tiled` `=` `[` $tiled `]` `,` `stages` `=` $stages `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The attribute of the module around `op`, or null.
    static GPUTargetAttr of(::mlir::Operation *op);
  }];
}

#endif // QUANTC_DIALECT_QF_QFATTRIBUTES
