//===- PythonScript.h - what Python's libraries read for us -----------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <string>
#include <vector>

namespace quantc {

/// Runs the script of the data folder `calibration/` by the python3 in PATH and returns what it writes to standard
/// output. Fails with what it says is wrong, after ten minutes, and where it wants more than 4 GB.
Result<std::string> runPythonScript(const std::string &name, std::vector<std::string> arguments,
                                    std::string_view input = {});

} // namespace quantc
