// RUN: quant-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{has no size}}
rt.buffer @b

// -----

// expected-error @+1 {{sizes must not be negative}}
rt.buffer @b bytes -1

// -----

// expected-error @+1 {{persists, so its size cannot depend on the tokens of a step}}
rt.buffer persistent @b per_token 4

// -----

// expected-error @+1 {{'tokens' must name an rt.buffer, found @b}}
rt.program inputs {tokens = @b} outputs {} model {} {
}

// -----

rt.program inputs {} outputs {} model {} {
  rt.stage "head" {
    // expected-error @+1 {{no kernel is named @k}}
    rt.launch @k []
  }
}

// -----

func.func private @k()
rt.program inputs {} outputs {} model {} {
  rt.stage "head" {
    // expected-error @+1 {{argument #1 must be a buffer, a weight or #rt.scalar, found @b}}
    rt.launch @k [#rt.scalar<tokens>, @b]
  }
}

// -----

rt.program inputs {} outputs {} model {} {
  // expected-error @+1 {{'carries' must name an rt.buffer, found @b}}
  rt.stage "head" carries @b per_token 4 {
  }
}

// -----

rt.buffer @b per_token 4
rt.program inputs {} outputs {} model {} {
  // expected-error @+1 {{carries 8 bytes of a token, @b has 4}}
  rt.stage "head" carries @b per_token 8 {
  }
}

// -----

rt.buffer @b per_token 4
rt.program inputs {} outputs {} model {} {
  // expected-error @+1 {{carries nothing of a token}}
  rt.stage "head" carries @b per_token 0 {
  }
}

// -----

rt.buffer @b per_token 4
rt.program inputs {} outputs {} model {} {
  // expected-error @+1 {{needs both 'carries' and 'per_token', or none}}
  rt.stage "head" {
  } {carries = @b}
}
