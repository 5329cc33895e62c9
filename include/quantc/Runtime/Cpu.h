//===- Cpu.h - what the machine's processor can execute ---------------------------------------------------------===//
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace quantc {

/// Whether this processor has the feature, named as LLVM names it ("avx2", "avx512vnni", "dotprod"), and the operating
/// system saves the registers that it uses. An unknown name counts as absent.
bool cpuHas(std::string_view feature);

/// The first feature of the list that this processor lacks; empty where it has all of them.
std::string_view firstMissingFeature(std::span<const std::string> features);

/// The name that the processor gives itself, for reports.
std::string cpuName();

/// How many processors this process may run on (the affinity mask counts).
unsigned availableProcessors();

} // namespace quantc
