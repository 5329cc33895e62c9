//===- QFTypes.td - a quantized number, and a block of them ---------------------------------------------------===//

#ifndef QUANTC_DIALECT_QF_QFTYPES
#define QUANTC_DIALECT_QF_QFTYPES

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "quantc/Dialect/QF/QFDialect.td"

class QF_Type<string name, string typeMnemonic, list<Trait> traits = []> : TypeDef<QF_Dialect, name, traits> {
  let mnemonic = typeMnemonic;
  let hasCustomAssemblyFormat = 1;
}

def QF_ElemType : QF_Type<"Elem", "elem"> {
  let summary = "one quantized number; where its bits lie is not decided";
  let description = [{
    The parameter names a description of `formats/` with its own parameters, in any order: `!qf.elem<f16>`,
    `!qf.elem<int<4, group = 128, asym>>`. It is stored and printed in the canonical form of the description: every
    parameter that differs from its default, in the order of declaration, so that equal formats are equal types.
  }];
  let parameters = (ins StringRefParameter<"canonical specification of the format">:$spec);
  let extraClassDeclaration = [{
    /// The type of a format by its specification ("int:4:g128:asym"), or why there is none.
    static ::quantc::Result<ElemType> of(::mlir::MLIRContext *context, ::llvm::StringRef spec);
    /// The description. Never null: parser and `of` looked it up.
    std::shared_ptr<const ::quantc::Format> getFormat() const;
  }];
}

def QF_BlockType : QF_Type<"Block", "block", [MemRefElementTypeInterface]> {
  let summary = "one block of a quantized tensor: rows × columns numbers in a fixed count of bytes";
  let description = [{
    `!qf.block<FORMAT, r16>` is a block of kernel storage of 16 rows (docs/Architecture.md), `!qf.block<FORMAT>` a
    block as files have it (activations), `!qf.block<FORMAT, lines>` the same in whole lines of cache. A tensor or
    memref of blocks has one element for each block: `tensor<352x8x!qf.block<FORMAT, r16>>` holds 5632 × 2048 numbers in
    blocks of 16 × 256.
  }];
  let parameters = (ins StringRefParameter<"canonical specification of the format">:$spec,
                        "unsigned":$storageRows, "bool":$inLines);
  let extraClassDeclaration = [{
    /// The block of a format: kernel storage of `storageRows` rows, or 0: as files have it, `inLines` with
    /// `bytesInLines` (Activations.h); or why there is none.
    static ::quantc::Result<BlockType> of(ElemType elem, unsigned storageRows, bool inLines = false);
    /// The description and the storage. Never null: parser and `of` looked them up.
    std::shared_ptr<const ::quantc::Format> getFormat() const;
    /// Kernel storage of the block; null where the block lies as in files.
    std::shared_ptr<const ::quantc::KernelStorage> getKernelStorage() const;
    /// Rows, columns and bytes of one block.
    int64_t getRows() const;
    int64_t getColumns() const;
    int64_t getBytes() const;
  }];
}

#endif // QUANTC_DIALECT_QF_QFTYPES
