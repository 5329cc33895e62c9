// RUN: quant-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{constant of 4097 elements; weights of more than 4096 are named by #nn.source}}
nn.weight @w : tensor<4097xf32> from sparse<0, 1.0> : tensor<4097xf32>

// -----

// expected-error @+3 {{constant has another type than the weight}}
// expected-note @+2 {{expected: 'tensor<2xf32>'}}
// expected-note @+1 {{  actual: 'tensor<3xf32>'}}
nn.weight @w : tensor<2xf32> from dense<0.0> : tensor<3xf32>

// -----

// expected-error @+1 {{must have a static shape}}
nn.weight @w : tensor<?xf32> from #nn.source<"f", "t">

// -----

// expected-error @+1 {{must come from #nn.source, what was made of one, #nn.columns, #nn.angles, #nn.statistic or a dense constant, found "f"}}
nn.weight @w : tensor<2xf32> from "f"

// -----

// expected-error @+1 {{angles of 2 frequencies are a tensor<Rx2x2xf32>, found 'tensor<4x2x3xf32>'}}
nn.weight @w : tensor<4x2x3xf32> from #nn.angles<step = 1, frequencies = [1.0, 0.5]>

// -----

// expected-note @+1 {{weight @w has type 'tensor<2xf32>'}}
nn.weight @w : tensor<2xf32> from #nn.source<"f", "t">
func.func @get() -> tensor<3xf32> {
  // expected-error @+1 {{has type 'tensor<3xf32>', but the weight another}}
  %w = nn.get @w : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

func.func @get() -> tensor<3xf32> {
  // expected-error @+1 {{no nn.weight is named @w}}
  %w = nn.get @w : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

func.func @stage(%x: tensor<?x4xf32>) {
  // expected-error @+3 {{types of the yielded values differ from the results'}}
  // expected-note @+2 {{expected: 'tensor<?x8xf32>'}}
  // expected-note @+1 {{actual: 'tensor<?x4xf32>'}}
  %y = nn.stage "head" -> tensor<?x8xf32> {
    nn.yield %x : tensor<?x4xf32>
  }
  return
}

// -----

func.func @embedding(%tokens: tensor<?xi32>, %table: tensor<8x4xf32>) {
  // expected-error @+3 {{features of the result differ from the table's}}
  // expected-note @+2 {{expected: 4}}
  // expected-note @+1 {{actual: 5}}
  %y = nn.embedding %tokens, %table : (tensor<?xi32>, tensor<8x4xf32>) -> tensor<?x5xf32>
  return
}

// -----

func.func @linear(%x: tensor<?x4xf32>, %w: tensor<6x5xf32>) {
  // expected-error @+3 {{input features of the weight differ from those of x}}
  // expected-note @+2 {{expected: 4}}
  // expected-note @+1 {{actual: 5}}
  %y = nn.linear %x weights(%w : tensor<6x5xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @linear(%x: tensor<?x4xf32>, %w: tensor<6x4xi8>) {
  // expected-error @+1 {{weight must hold floats or !qf.elem, found 'tensor<6x4xi8>'}}
  %y = nn.linear %x weights(%w : tensor<6x4xi8>) : tensor<?x4xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @linear(%x: tensor<?x4xf32>, %w: tensor<6x4xf32>, %v: tensor<5x4xf32>) {
  // expected-error @+1 {{gate needs two weights of one shape}}
  %y = nn.linear %x weights(%w, %v : tensor<6x4xf32>, tensor<5x4xf32>) gate(silu) : tensor<?x4xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @linear(%x: tensor<?x4xf32>, %w: tensor<6x4xf32>, %b: tensor<5xf32>) {
  // expected-error @+3 {{size of the bias differs from the output features}}
  // expected-note @+2 {{expected: 6}}
  // expected-note @+1 {{actual: 5}}
  %y = nn.linear %x weights(%w : tensor<6x4xf32>) bias(%b : tensor<5xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @linear(%x: tensor<?x4xf32>, %w: tensor<6x4xf32>) {
  // expected-error @+3 {{wrong number of results}}
  // expected-note @+2 {{expected: 1}}
  // expected-note @+1 {{actual: 2}}
  %y:2 = nn.linear %x weights(%w : tensor<6x4xf32>) : tensor<?x4xf32> -> tensor<?x6xf32>, tensor<?x6xf32>
  return
}

// -----

func.func @norm(%x: tensor<?x4xf32>, %w: tensor<3xf32>) {
  // expected-error @+1 {{weight of 3 elements does not divide the 4 features of x}}
  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x4xf32>, tensor<3xf32>
  return
}

// -----

func.func @rope(%x: tensor<?x4xf32>, %past: index, %t: tensor<16x2x2xf32>) {
  // expected-error @+1 {{tables have 2 pairs, more than half of head_dim 2}}
  %y = nn.rope %x at %past angles(%t, %t) head_dim 2 style half : tensor<?x4xf32>, tensor<16x2x2xf32>, tensor<16x2x2xf32>
  return
}

// -----

func.func @rope(%x: tensor<?x4xf32>, %past: index, %t: tensor<12x2x2xf32>) {
  // expected-error @+1 {{low table must have a power of two of rows, found 12}}
  %y = nn.rope %x at %past angles(%t, %t) head_dim 4 style half : tensor<?x4xf32>, tensor<12x2x2xf32>, tensor<12x2x2xf32>
  return
}

// -----

func.func @append(%k: tensor<?x6xf32>, %past: index, %cache: tensor<2x?x2xf16>) {
  // expected-error @+3 {{features of a token differ from those of the cache}}
  // expected-note @+2 {{expected: 4}}
  // expected-note @+1 {{actual: 6}}
  %c:2 = nn.kv_append %k, %k at %past into %cache, %cache : tensor<?x6xf32>, tensor<?x6xf32> into tensor<2x?x2xf16>, tensor<2x?x2xf16>
  return
}

// -----

func.func @append(%k: tensor<?x64xf32>, %past: index, %keys: tensor<1x?x64x!qf.elem<q8_0>>, %values: tensor<1x?x64xf16>) {
  // expected-error @+3 {{has keys and values of different types}}
  // expected-note @+2 {{expected: '!qf.elem<q8_0>'}}
  // expected-note @+1 {{actual: 'f16'}}
  %c:2 = nn.kv_append %k, %k at %past into %keys, %values : tensor<?x64xf32>, tensor<?x64xf32> into tensor<1x?x64x!qf.elem<q8_0>>, tensor<1x?x64xf16>
  return
}

// -----

func.func @attention(%q: tensor<?x64xf32>, %past: index, %cache: tensor<2x?x32xf64>) {
  // expected-error @+1 {{cache must hold f16 or !qf.elem}}
  %y = nn.attention %q, %cache, %cache at %past scale 0.5 : tensor<?x64xf32>, tensor<2x?x32xf64>, tensor<2x?x32xf64> -> tensor<?x64xf32>
  return
}

// -----

func.func @attention(%q: tensor<?x64xf32>, %past: index, %cache: tensor<2x?x32x!qf.elem<aqlm>>) {
  // expected-error @+1 {{has no kernel storage}}
  %y = nn.attention %q, %cache, %cache at %past scale 0.5
    : tensor<?x64xf32>, tensor<2x?x32x!qf.elem<aqlm>>, tensor<2x?x32x!qf.elem<aqlm>> -> tensor<?x64xf32>
  return
}

// -----

func.func @attention(%q: tensor<?x6xf32>, %past: index, %cache: tensor<2x?x2xf16>) {
  // expected-error @+1 {{features of q (6) are no multiple of 2 key heads of 2}}
  %y = nn.attention %q, %cache, %cache at %past scale 0.5 : tensor<?x6xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x6xf32>
  return
}

// -----

func.func @attention(%q: tensor<?x4xf32>, %past: index, %cache: tensor<2x?x2xf16>) {
  // expected-error @+1 {{window must be at least 1, found -3}}
  %y = nn.attention %q, %cache, %cache at %past scale 0.5 window -3 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x4xf32>
  return
}

// -----

func.func @parts(%q: tensor<?x4xf32>, %past: index, %cache: tensor<2x?x2xf16>) {
  // expected-error @+1 {{parts must be 1 to 256, found 0}}
  %y = nn.attention_parts %q, %cache, %cache at %past scale 0.5 parts 0 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x8xf32>
  return
}

// -----

func.func @parts(%q: tensor<?x4xf32>, %past: index, %cache: tensor<2x?x2xf16>) {
  // expected-error @+3 {{features of the result differ from parts times heads times value size and 2}}
  // expected-note @+2 {{expected: 16}}
  // expected-note @+1 {{  actual: 8}}
  %y = nn.attention_parts %q, %cache, %cache at %past scale 0.5 parts 2 : tensor<?x4xf32>, tensor<2x?x2xf16>, tensor<2x?x2xf16> -> tensor<?x8xf32>
  return
}

// -----

func.func @combine(%p: tensor<?x16xf32>, %past: index) {
  // expected-error @+1 {{features of the result (4) are no multiple of 3 heads}}
  %y = nn.combine_parts %p at %past heads 3 parts 2 : tensor<?x16xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @combine(%p: tensor<?x16xf32>, %past: index) {
  // expected-error @+3 {{features of the parts differ from parts times heads times value size and 2}}
  // expected-note @+2 {{expected: 24}}
  // expected-note @+1 {{  actual: 16}}
  %y = nn.combine_parts %p at %past heads 2 parts 3 : tensor<?x16xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @gather(%x: tensor<?x4xf32>, %c: tensor<3xi32>) {
  // expected-error @+3 {{has another number of columns than y has features}}
  // expected-note @+2 {{expected: 4}}
  // expected-note @+1 {{actual: 3}}
  %y = nn.gather %x by %c : tensor<?x4xf32>, tensor<3xi32> -> tensor<?x4xf32>
  return
}

// -----

func.func @scale(%x: tensor<?x4xf32>, %f: tensor<3xf32>) {
  // expected-error @+3 {{has another number of factors than x has features}}
  // expected-note @+2 {{expected: 4}}
  // expected-note @+1 {{actual: 3}}
  %y = nn.scale %x by %f : tensor<?x4xf32>, tensor<3xf32>
  return
}

// -----

// expected-error @+1 {{rotates runs of 3 features, which do not divide the 4 that it has}}
nn.weight @w : tensor<6x4xf32> from #nn.rotated<#nn.source<"f", "w">, columns, run = 3, seed = 0>

// -----

// expected-error @+1 {{is a vector: it has no rows that could be rotated}}
nn.weight @w : tensor<4xf32> from #nn.rotated<#nn.source<"f", "w">, rows, run = 4, seed = 0>

// -----

// expected-error @+3 {{chooses another number of columns than it has}}
// expected-note @+2 {{expected: 3}}
// expected-note @+1 {{actual: 2}}
nn.weight @w : tensor<6x3xf32> from #nn.chosen<#nn.source<"f", "w">, [0, 1]>

// -----

// expected-error @+1 {{names columns that do not ascend from 0 on: 1 at place 1}}
nn.weight @w : tensor<6x3xf32> from #nn.cleared<#nn.source<"f", "w">, [1, 1]>

// -----

// expected-error @+1 {{can be made of #nn.source or a dense constant, found #nn.statistic<"columns.w">}}
nn.weight @w : tensor<6x3xf32> from #nn.cleared<#nn.statistic<"columns.w">, [1]>

// -----

// expected-error @+1 {{columns are a tensor<Kxi32>, found 'tensor<4xf32>'}}
nn.weight @columns : tensor<4xf32> from #nn.columns<"model.safetensors", "down_proj.weight">

// -----

func.func @argmax_of_how_many(%x: tensor<?x?xf32>) {
  // expected-error @+1 {{needs at least one feature, a static number of them, found 'tensor<?x?xf32>'}}
  %t, %l = nn.argmax %x : tensor<?x?xf32> -> tensor<?xi32>, tensor<?xf32>
  return
}

// -----

func.func @argmax_of_other_tokens(%x: tensor<3x8xf32>) {
  // expected-error @+3 {{x and the results have other numbers of tokens}}
  // expected-note @+2 {{expected: 'tensor<3x8xf32>'}}
  // expected-note @+1 {{actual: 'tensor<4xf32>'}}
  %t, %l = nn.argmax %x : tensor<3x8xf32> -> tensor<3xi32>, tensor<4xf32>
  return
}

// -----

func.func @top_of_how_many(%x: tensor<?x?xf32>) {
  // expected-error @+1 {{needs at least one feature, a static number of them, found 'tensor<?x?xf32>'}}
  %t, %l = nn.top %x : tensor<?x?xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  return
}

// -----

func.func @more_than_there_are(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{gives 1 to 8 features of x, found 'tensor<?x9xf32>'}}
  %t, %l = nn.top %x : tensor<?x8xf32> -> tensor<?x9xi32>, tensor<?x9xf32>
  return
}

// -----

func.func @top_of_how_many_there(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{gives 1 to 8 features of x, found 'tensor<?x?xf32>'}}
  %t, %l = nn.top %x : tensor<?x8xf32> -> tensor<?x?xi32>, tensor<?x?xf32>
  return
}

// -----

func.func @more_tokens_than_logits(%x: tensor<?x8xf32>) {
  // expected-error @+3 {{the results have other numbers of features}}
  // expected-note @+2 {{expected: 'tensor<?x3xi32>'}}
  // expected-note @+1 {{actual: 'tensor<?x2xf32>'}}
  %t, %l = nn.top %x : tensor<?x8xf32> -> tensor<?x3xi32>, tensor<?x2xf32>
  return
}

// -----

func.func @top_of_other_tokens(%x: tensor<3x8xf32>) {
  // expected-error @+3 {{x and the results have other numbers of tokens}}
  // expected-note @+2 {{expected: 'tensor<3x8xf32>'}}
  // expected-note @+1 {{actual: 'tensor<4x2xf32>'}}
  %t, %l = nn.top %x : tensor<3x8xf32> -> tensor<3x2xi32>, tensor<4x2xf32>
  return
}
