// RUN: not quant-opt %s --qf-select-gpu=target=sm_10 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not quant-opt %s --qf-select-gpu 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not quant-opt %s --qf-select-gpu=target=x86-64-v3 2>&1 | FileCheck %s --check-prefix=CPU

// UNKNOWN: error: there is no GPU 'sm_10'; there are sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120
// NONE: error: no GPU is named, neither by an option nor by the attribute 'qf.gpu'
// CPU: error: {{.*}}x86-64-v3.json: 'chip' is missing
module {
  func.func @f() { return }
}
