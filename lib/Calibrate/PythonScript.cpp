//===- PythonScript.cpp - what Python's libraries read for us ---------------------------------------------------===//

#include "PythonScript.h"
#include "quantc/Support/ChildProcess.h"
#include "quantc/Support/Files.h"

using namespace quantc;

Result<std::string> quantc::runPythonScript(const std::string &name, std::vector<std::string> arguments,
                                            std::string_view input) {
  QUANTC_ASSIGN(const std::filesystem::path data, dataDirectory());
  // Isolated: neither the current folder nor the user's modules come before the libraries.
  std::vector<std::string> command = {"python3", "-I", (data / "calibration" / name).string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return runProgram(command, input, {.seconds = 600, .bytes = uint64_t(4) << 30});
}
