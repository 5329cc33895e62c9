//===- Runnable.h - a MODEL argument that is to be executed -----------------------------------------------------===//
#pragma once

#include "CompileArguments.h"
#include "quantc/Driver/Models.h"

namespace quantc {

/// A model, where it runs, and how to compile it where it is no artifact.
struct RunnableOptions {
  CompileArguments compile;
  std::string device = "cpu", cudaLibrary, gpuLayers;
  bool synchronize = false;
};

void addRunnable(CLI::App *command, RunnableOptions &options);

/// The artifact ready to run, on the processor or on a GPU: the file itself, or compiled on the fly and kept in the
/// cache.
Result<std::shared_ptr<const Model>> openRunnable(const RunnableOptions &options, const Globals &globals);

} // namespace quantc
