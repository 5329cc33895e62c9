//===- Progress.cpp - how far long work has come ----------------------------------------------------------------===//

#include "quantc/Driver/Progress.h"
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace quantc;

Progress::Progress(std::string what, bool json)
    : what(std::move(what)), json(json), terminal(!json && ::isatty(STDERR_FILENO)) {
  if (!terminal)
    shown = began;
}

Progress::~Progress() {
  if (open)
    std::fputc('\n', stderr);
}

void Progress::update(uint64_t done, uint64_t total, const std::string &note, std::optional<double> nmse) {
  if (total == 0)
    return;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto now = std::chrono::steady_clock::now();
  const double elapsed = std::chrono::duration<double>(now - began).count();
  const double left = share > 0 ? elapsed / share - elapsed : 0;
  std::string end = note.empty() ? "" : ", " + note;
  if (nmse)
    end += fmt::format(" (NMSE {:.3g})", *nmse);
  if (terminal) {
    if (done < total && now - shown < std::chrono::milliseconds(100))
      return;
    shown = now;
    constexpr int width = 30;
    const int filled = static_cast<int>(share * width);
    fmt::print(stderr, "\r{}: [{:=<{}}{: <{}}] {:3.0f} %, {:.0f} s left{}\033[K", what, "", filled, "", width - filled,
               share * 100, left, end);
    std::fflush(stderr);
    open = true;
    return;
  }
  const int tenth = static_cast<int>(share * 10);
  const bool isDue = tenth > lastTenth && (done == total || now - shown > std::chrono::seconds(2));
  if (!isDue && !(json && nmse))
    return;
  lastTenth = tenth;
  shown = now;
  if (!json) {
    fmt::print(stderr, "{}: {:.0f} %, {:.0f} s left{}\n", what, share * 100, left, end);
    return;
  }
  nlohmann::ordered_json line = {{"phase", what}, {"done", done}, {"total", total}, {"seconds_left", left}};
  if (!note.empty())
    line["note"] = note;
  if (nmse)
    line["nmse"] = *nmse;
  fmt::print(stderr, "{}\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}
