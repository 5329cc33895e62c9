//===- CodeInChild.h - code generation that cannot take the program down ----------------------------------------===//
#pragma once

#include "quantc/CodeGen/MachineCode.h"
#include "quantc/Support/ChildProcess.h"

namespace quantc {

/// Runs `make` in a child process: LLVM may abort on what it does not expect, which becomes an error.
Result<CodeImage> codeInChild(const std::string &what, const ChildLimits &limits,
                              const std::function<Result<CodeImage>()> &make);

} // namespace quantc
