//===- ChildProcess.h - work that may not end well --------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <functional>

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

} // namespace quantc
