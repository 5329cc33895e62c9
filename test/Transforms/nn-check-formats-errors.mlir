// RUN: quant-opt %s --nn-check-formats --verify-diagnostics

nn.weight @fits : tensor<8x256xf32> from #nn.source<"f", "w"> {nn.format = !qf.elem<q4_k>}
// Every weight that does not fit is named.
// expected-error @+2 {{weight first (8 x 128) cannot be q4_k}}
// expected-note-re @+1 {{{{256}}}}
nn.weight @first : tensor<8x128xf32> from #nn.source<"f", "w"> {nn.format = !qf.elem<q4_k>}
// expected-error @+2 {{weight second (8 x 16) cannot be q8_0}}
// expected-note-re @+1 {{{{32}}}}
nn.weight @second : tensor<8x16xf32> from #nn.source<"f", "w"> {nn.format = !qf.elem<q8_0>}
