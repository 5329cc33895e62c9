// RUN: quant-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{there is no format 'nonsense'}}
func.func @unknown(%w: tensor<16x32x!qf.elem<nonsense>>) { return }

// -----

// expected-error @+1 {{format 'int' has no parameter 'color'}}
func.func @parameter(%w: tensor<16x32x!qf.elem<int<color = 4>>>) { return }

// -----

// expected-error @+1 {{format 'int' has no parameter '9'}}
func.func @parameter_value(%w: tensor<16x32x!qf.elem<int<9>>>) { return }

// -----

// expected-error @+1 {{expected kernel storage such as 'r16', blocks of 16 rows, or 'lines'}}
func.func @storage(%w: memref<1x1x!qf.block<q8_0, wide>>) { return }

// -----

// expected-error @+1 {{no kernel storage has 7 rows}}
func.func @rows(%w: memref<1x1x!qf.block<q8_0, r7>>) { return }

// -----

func.func @quantize_shape(%w: tensor<16x32xf32>) {
  // expected-error @+3 {{'qf.quantize' op changes the shape}}
  // expected-note @+2 {{weight: 'tensor<16x32xf32>'}}
  // expected-note @+1 {{result: 'tensor<16x64x!qf.elem<q8_0>>'}}
  %q = qf.quantize %w using "rtn" : tensor<16x32xf32> -> tensor<16x64x!qf.elem<q8_0>>
  return
}

// -----

func.func @contract_columns(%x: tensor<4x64xf32>, %w: tensor<16x32x!qf.elem<q8_0>>, %out: tensor<4x16xf32>) {
  // expected-error @+3 {{'qf.contract' op operands differ in their columns (K)}}
  // expected-note @+2 {{'tensor<4x64xf32>' has 64}}
  // expected-note @+1 {{'tensor<16x32x!qf.elem<q8_0>>' has 32}}
  %y = qf.contract %x, %w into %out : tensor<4x64xf32>, tensor<16x32x!qf.elem<q8_0>>, tensor<4x16xf32> -> tensor<4x16xf32>
  return
}

// -----

func.func @contract_exact(%x: tensor<4x32x!qf.elem<a8>>, %w: tensor<16x32x!qf.elem<q8_0>>, %out: tensor<4x16xf32>) {
  // expected-error @+2 {{'qf.contract' op is exact, but its activations are quantized}}
  // expected-note @+1 {{give f32 activations, or drop 'exact'}}
  %y = qf.contract %x, %w into %out exact : tensor<4x32x!qf.elem<a8>>, tensor<16x32x!qf.elem<q8_0>>, tensor<4x16xf32> -> tensor<4x16xf32>
  return
}

// -----

func.func @encode_result(%x: tensor<4x32xf32>, %out: tensor<4x32x!qf.elem<a8>>) {
  // expected-error @+1 {{'qf.encode' op has one result for a tensor destination and none for a buffer}}
  qf.encode %x into %out : tensor<4x32xf32>, tensor<4x32x!qf.elem<a8>>
  return
}

// -----

func.func @tile_rows(%a: vector<8x17xf32>, %x: memref<8x32xf32>, %w: memref<1x1x!qf.block<q8_0, r16>>) {
  // expected-error @+3 {{'qf.tile_dot' op tiles do not fit together}}
  // expected-note @+2 {{accumulators are 8 tokens x 17 rows, the sum has 32 columns}}
  // expected-note @+1 {{this tile is 'memref<1x1x!qf.block<q8_0, r16>>'}}
  %0 = qf.tile_dot %a, %x, %w columns 32 : vector<8x17xf32>, memref<8x32xf32>, memref<1x1x!qf.block<q8_0, r16>>
  return
}

// -----

// expected-error @+1 {{'lanes' must divide 'rows'}}
module attributes {qf.target = #qf.target<"t", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 5, rows = 16, tiles = [1, 1, 1]>} {}

// -----

func.func @rows_of_files(%x: vector<32xf32>, %row: index, %cache: tensor<4x34xi8>) {
  // expected-error @+1 {{takes blocks of kernel storage, such as !qf.block<q8_0, r16>}}
  %0 = qf.encode_row %x row %row of !qf.block<q8_0> into %cache[%row] : vector<32xf32>, tensor<4x34xi8> -> tensor<4x34xi8>
  return
}

// -----

func.func @too_long(%x: vector<40xf32>, %row: index, %cache: tensor<4x544xi8>) {
  // expected-error @+1 {{has 40 columns for a block of 32}}
  %0 = qf.encode_row %x row %row of !qf.block<q8_0, r16> into %cache[%row] : vector<40xf32>, tensor<4x544xi8> -> tensor<4x544xi8>
  return
}

// -----

func.func @other_bytes(%row: index, %cache: tensor<4x500xi8>) {
  // expected-error @+3 {{takes one index for each dimension but the last, which is a block}}
  // expected-note @+2 {{a block of q8_0 has 544 bytes}}
  // expected-note @+1 {{at 1 indices}}
  %0 = qf.decode_block %cache[%row] of !qf.block<q8_0, r16> : tensor<4x500xi8> -> vector<32x16xf32>
  return
}

// -----

func.func @other_shape(%row: index, %cache: tensor<4x544xi8>) {
  // expected-error @+1 {{gives columns x rows of a block, 32 x 16}}
  %0 = qf.decode_block %cache[%row] of !qf.block<q8_0, r16> : tensor<4x544xi8> -> vector<16x32xf32>
  return
}
