//===- ManifestCheck.h - parts of the check of a manifest ---------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/Manifest.h"
#include "quantc/Support/Text.h"
#include <string_view>
#include <unordered_set>

namespace quantc {

/// Whether the names of a list are all there, and no two are equal.
template <typename List> Status checkNames(const List &list, std::string_view what) {
  std::unordered_set<std::string_view> seen;
  for (const auto &entry : list) {
    if (entry.name.empty())
      return fail("a {} has no name", what);
    if (!seen.insert(entry.name).second)
      return fail("two {}s are named {}", what, inQuotes(entry.name));
  }
  return {};
}

/// Whether a program's buffers have sizes, and its launches name what exists; it has `kernels` kernels.
Status checkProgram(const Manifest &manifest, const ProgramEntry &program, size_t kernels);

/// Whether the program for GPUs is whole and can be launched.
Status checkGPUProgram(const Manifest &manifest, const Manifest::TensorBytes &tensorBytes);

} // namespace quantc
