//===- KernelReport.h - kernels of an artifact: what they compute, what they take, why ----------------------------===//
#pragma once

#include "Command.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Runtime/KernelTimes.h"

namespace quantc {

/// The kernels of a file, as text and as JSON.
struct KernelReport {
  std::string text;
  Json kernels = Json::array();
  Json measured = nullptr; ///< what holds for all of them; null: nothing was run
};

/// What the file says of its kernels, without details in JSON; nothing of it is run.
Json listKernels(const Manifest &manifest);

/// Everything that is known of them. `times`: of `target`, on this machine; may be null.
KernelReport reportKernels(const Manifest &manifest, const std::string &target, const KernelTimes *times);

} // namespace quantc
