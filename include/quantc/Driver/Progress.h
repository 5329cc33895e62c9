//===- Progress.h - how far long work has come ------------------------------------------------------------------===//
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace quantc {

/// Says on stderr how far long work has come: a bar with the time left on a terminal; otherwise a line for a
/// tenth, at most every two seconds, and one at the end.
class Progress {
public:
  /// `quiet`: says nothing.
  Progress(std::string what, bool quiet);
  ~Progress();
  /// `done` of `total`, in any unit; `note` is put at the end of the line.
  void update(uint64_t done, uint64_t total, const std::string &note = {});

private:
  std::string what;
  bool quiet, terminal;
  int lastTenth = -1;
  bool open = false; ///< a line without its end stands on the terminal
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now(), shown{};
};

} // namespace quantc
