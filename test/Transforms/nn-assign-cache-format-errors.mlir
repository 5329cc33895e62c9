// RUN: quant-opt %s --split-input-file --verify-diagnostics --nn-assign-cache-format=format=aqlm
// RUN: quant-opt %s --split-input-file --verify-diagnostics --nn-assign-cache-format=format=nosuch

// expected-error @+1 {{has no function @forward}}
module {
  func.func private @other()
}

// -----

// A declaration has no caches.
// expected-error @+1 {{has no function @forward}}
module {
  func.func private @forward(tensor<2x?x32xf16>)
}

// -----

// Formats that are not known, and those without kernel storage. Nothing has been changed then.
// expected-error-re @+1 {{the KV cache cannot be {{aqlm: .*has no kernel storage|nosuch: there is no format 'nosuch'}}}}
func.func @forward(%keys: tensor<2x?x32xf16>) -> tensor<2x?x32xf16> {
  return %keys : tensor<2x?x32xf16>
}
