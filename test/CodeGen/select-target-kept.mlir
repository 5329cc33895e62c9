// RUN: quant-opt %s --qf-select-target | FileCheck %s

// A module that has a target keeps it.
// CHECK: module attributes {qf.target = #qf.target<"mine"
module attributes {qf.target = #qf.target<"mine", triple = "", cpu = "", features = "", dot = [], permute = "", shuffle = "", lanes = 16,
                                          rows = 16, tiles = [256, 64, 8]>} {
}
