// RUN: quant-opt %s --nn-to-linalg --verify-diagnostics

func.func @plain(%x: tensor<?x64xf32>, %w: tensor<32x64xbf16>) -> tensor<?x32xf32> {
  // expected-error @+1 {{weight 'tensor<32x64xbf16>' has no format yet; run nn-assign-formats and a method}}
  %y = nn.linear %x weights(%w : tensor<32x64xbf16>) : tensor<?x64xf32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
