//===- Progress.h - how far long work has come ------------------------------------------------------------------===//
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace quantc {

/// Says on stderr how far long work has come, and how long it still takes: a bar on a terminal; otherwise a line for a
/// tenth, at most every two seconds, and one at the end.
class Progress {
public:
  /// `json`: each line is a JSON object {phase, done, total, seconds_left, note, nmse}; those with an error all come.
  Progress(std::string what, bool json);
  ~Progress();
  /// `done` of `total`, in any unit; `note` is put at the end of the line, with the error that it has, if any: squared
  /// error over squared size.
  void update(uint64_t done, uint64_t total, const std::string &note = {}, std::optional<double> nmse = std::nullopt);

private:
  std::string what;
  bool json, terminal;
  int lastTenth = -1;
  bool open = false; ///< a line without its end stands on the terminal
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now(), shown{};
};

} // namespace quantc
