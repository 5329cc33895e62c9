//===- CompileArguments.h - options of everything that compiles -------------------------------------------------===//
#pragma once

#include "Command.h"
#include "quantc/Driver/Compile.h"

namespace quantc {

struct CompileArguments {
  std::filesystem::path model, schedule;
  std::string format, policy, kv, activations, from, dumpPhases, precision = "fast";
  MethodChoices method;
  std::vector<std::string> targets;
  std::vector<std::filesystem::path> formatFiles;
  bool requireFast = false;
};

/// --format, --policy, --format-file, --kv, --method, --calib and their like, --target, --precision, --activations,
/// --require-fast, --dump-phases, --from, --schedule.
void addCompileOptions(CLI::App *command, CompileArguments &arguments);

/// With progress on stderr, unless the result is wanted as JSON.
CompileOptions toCompileOptions(const CompileArguments &arguments, const Globals &globals);

} // namespace quantc
