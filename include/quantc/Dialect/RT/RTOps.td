//===- RTOps.td - the dialect of run-time programs ------------------------------------------------------------===//

#ifndef QUANTC_DIALECT_RT_RTOPS
#define QUANTC_DIALECT_RT_RTOPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"

def RT_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::quantc::rt";
  let summary = "what the runtime executes: buffers, stages and launches of kernels";
  let description = [{
    One to one with the manifest of an artifact. A module holds `nn.weight`s, `rt.buffer`s, kernels (`func.func` with
    the attribute `rt.kernel`) and one `rt.program`.

    ```mlir
    rt.buffer @x per_token 8192
    rt.program inputs {tokens = @tokens} outputs {logits = @logits} model {context = 2048} {
      rt.stage "block.0" carries @h per_token 8192 {
        rt.launch @linear_0 [@x, #rt.scalar<tokens>, @blk.0.ffn_up, @h, #rt.scalar<tokens>]
      }
    }
    ```
  }];
  let useDefaultAttributePrinterParser = 1;
}

def RT_Scalar : I32EnumAttr<"Scalar", "a number that the runtime passes to kernels", [
    I32EnumAttrCase<"Tokens", 0, "tokens">,    // in this step
    I32EnumAttrCase<"Past", 1, "past">,        // in the KV cache before it
    I32EnumAttrCase<"Context", 2, "context">,  // capacity of the KV cache
    I32EnumAttrCase<"Rows", 3, "rows">         // rows of logits wanted
  ]> {
  let cppNamespace = "::quantc::rt";
  let genSpecializedAttr = 0;
}
def RT_ScalarAttr : EnumAttr<RT_Dialect, RT_Scalar, "scalar"> {
  let assemblyFormat = "`<` $value `>`";
}

class RT_Op<string mnemonic, list<Trait> traits = []> : Op<RT_Dialect, mnemonic, traits>;

def RT_BufferOp : RT_Op<"buffer", [Symbol]> {
  let summary = "memory of bytes + per_token · tokens + per_context · context bytes";
  let description = "Persistent buffers (the KV cache) live as long as a session and start as zeros.";
  let arguments = (ins SymbolNameAttr:$sym_name, DefaultValuedAttr<I64Attr, "0">:$bytes,
                       DefaultValuedAttr<I64Attr, "0">:$per_token, DefaultValuedAttr<I64Attr, "0">:$per_context,
                       UnitAttr:$persistent);
  let assemblyFormat = [{
    (`persistent` $persistent^)? $sym_name (`bytes` $bytes^)? (`per_token` $per_token^)? (`per_context`
    $per_context^)? attr-dict
  }];
  let hasVerifier = 1;
}

def RT_ProgramOp : RT_Op<"program", [SingleBlock, NoTerminator, NoRegionArguments,
                                     DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the stages of a model, in order";
  let description = "`model` is what the manifest says of the model: architecture, context, vocab, …";
  let arguments = (ins DictionaryAttr:$inputs, DictionaryAttr:$outputs, DictionaryAttr:$model);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`inputs` $inputs `outputs` $outputs `model` $model $body attr-dict";
}

def RT_StageOp : RT_Op<"stage", [SingleBlock, NoTerminator, NoRegionArguments, HasParent<"ProgramOp">,
                                 DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "launches that stay together: embed, block.0, head";
  let description = [{
    `carries` names the buffer that is all that later stages read of this one and of those before, beside what persists:
    `per_token` bytes for each token, one after the other from its beginning. Behind such a stage another machine can go
    on.
  }];
  let arguments = (ins StrAttr:$stage, OptionalAttr<FlatSymbolRefAttr>:$carries, OptionalAttr<I64Attr>:$per_token);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$stage (`carries` $carries^ `per_token` $per_token)? $body attr-dict";
  let hasVerifier = 1;
}

def RT_LaunchOp : RT_Op<"launch", [HasParent<"StageOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs all tasks of a kernel";
  let description = [{
    The arguments are the kernel's `args` in order: a buffer or weight (its address), a scalar. For each parameter
    that is a tensor or memref: the buffer or weight, then its dynamic sizes.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, ArrayAttr:$args);
  let assemblyFormat = "$kernel $args attr-dict";
}

#endif // QUANTC_DIALECT_RT_RTOPS
