//===- PtxEntries.h - the kernels of a PTX text -------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <map>
#include <string>
#include <string_view>

namespace quantc::cuda {

/// How many parameters each kernel has, by name. The driver reads as many from where a launch says, without a check.
/// Fails on what is no PTX, on two kernels of a name, and on parameters that have not 8 bytes.
Result<std::map<std::string, size_t, std::less<>>> ptxEntries(std::string_view ptx);

} // namespace quantc::cuda
