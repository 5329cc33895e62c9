//===- ChildProcess.h - work that may not end well --------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace quantc {

/// What a child process may take.
struct ChildLimits {
  unsigned seconds = 600;              ///< of the clock
  uint64_t bytes = uint64_t(16) << 30; ///< of memory, beyond what the parent has when it begins
};

/// Runs `work` in a copy of this process and returns the bytes that it returned, or its error. What ends the child in
/// another way (an abort, a crash, a limit) is an error too, which begins with `what` and has the first line that the
/// child wrote to stderr. The child is made by fork: `work` sees everything, changes nothing here but files, and must
/// need no thread of this process and no lock that one may hold. It ends with this process, even where that is killed.
Result<std::string> runInChild(const std::string &what, const ChildLimits &limits,
                               const std::function<Result<std::string>()> &work);

/// Runs another program, looked for in PATH, with `input` on its standard input, and returns what it wrote to standard
/// output. Fails where it cannot be started, and where it does not end with status 0: with the first line that it wrote
/// to stderr, or with how it ended.
Result<std::string> runProgram(const std::vector<std::string> &command, std::string_view input,
                               const ChildLimits &limits);

} // namespace quantc
