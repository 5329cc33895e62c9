// RUN: quant-opt %s --qf-select-target --verify-diagnostics

// expected-error@below {{no target is named, neither by an option nor by the attribute 'qf.target'}}
module {
}
