// RUN: quant-opt %s --split-input-file --verify-diagnostics --qf-pad-rows

!x = tensor<?x64xf16>
!whole = tensor<48x64x!qf.elem<int<group = 32>>>
!ragged = tensor<50x64x!qf.elem<int<group = 32>>>

// What is padded is found by its size: one for a kernel.
func.func @two(%x: !x, %a: !ragged, %b: tensor<34x64x!qf.elem<int<group = 32>>>, %y: tensor<?x50xf32>, %z: tensor<?x34xf32>)
    -> (tensor<?x50xf32>, tensor<?x34xf32>) {
  %r = qf.contract %x, %a into %y : !x, !ragged, tensor<?x50xf32> -> tensor<?x50xf32>
  // expected-error @+1 {{'qf.contract' op has 34 rows, another product of this kernel 50: rows are padded where all have as many}}
  %s = qf.contract %x, %b into %z : !x, tensor<34x64x!qf.elem<int<group = 32>>>, tensor<?x34xf32> -> tensor<?x34xf32>
  return %r, %s : tensor<?x50xf32>, tensor<?x34xf32>
}

// -----

!x = tensor<?x64xf16>
!whole = tensor<48x64x!qf.elem<int<group = 32>>>
!ragged = tensor<50x64x!qf.elem<int<group = 32>>>

func.func @whole_behind_ragged(%x: !x, %a: !ragged, %b: !whole, %y: tensor<?x50xf32>, %z: tensor<?x48xf32>)
    -> (tensor<?x50xf32>, tensor<?x48xf32>) {
  %r = qf.contract %x, %a into %y : !x, !ragged, tensor<?x50xf32> -> tensor<?x50xf32>
  // expected-error @+1 {{has 48 rows, another product of this kernel 50}}
  %s = qf.contract %x, %b into %z : !x, !whole, tensor<?x48xf32> -> tensor<?x48xf32>
  return %r, %s : tensor<?x50xf32>, tensor<?x48xf32>
}

// -----

!x = tensor<?x64xf16>
!whole = tensor<48x64x!qf.elem<int<group = 32>>>

// Whole tiles of any number agree.
func.func @whole(%x: !x, %a: !whole, %b: tensor<32x64x!qf.elem<int<group = 32>>>, %y: tensor<?x48xf32>, %z: tensor<?x32xf32>)
    -> (tensor<?x48xf32>, tensor<?x32xf32>) {
  %r = qf.contract %x, %a into %y : !x, !whole, tensor<?x48xf32> -> tensor<?x48xf32>
  %s = qf.contract %x, %b into %z : !x, tensor<32x64x!qf.elem<int<group = 32>>>, tensor<?x32xf32> -> tensor<?x32xf32>
  return %r, %s : tensor<?x48xf32>, tensor<?x32xf32>
}
