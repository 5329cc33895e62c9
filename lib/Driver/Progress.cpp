//===- Progress.cpp - how far long work has come ----------------------------------------------------------------===//

#include "quantc/Driver/Progress.h"
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

using namespace quantc;

Progress::Progress(std::string what, bool quiet)
    : what(std::move(what)), quiet(quiet), terminal(::isatty(STDERR_FILENO)) {
  if (!terminal)
    shown = began;
}

Progress::~Progress() {
  if (open)
    std::fputc('\n', stderr);
}

void Progress::update(uint64_t done, uint64_t total, const std::string &note) {
  if (quiet || total == 0)
    return;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto now = std::chrono::steady_clock::now();
  if (!terminal) {
    const int tenth = static_cast<int>(share * 10);
    if (tenth > lastTenth && (done == total || now - shown > std::chrono::seconds(2))) {
      lastTenth = tenth;
      shown = now;
      fmt::print(stderr, "{}: {:.0f} %{}{}\n", what, share * 100, note.empty() ? "" : ", ", note);
    }
    return;
  }
  if (done < total && now - shown < std::chrono::milliseconds(100))
    return;
  shown = now;
  const double elapsed = std::chrono::duration<double>(now - began).count();
  constexpr int width = 30;
  const int filled = static_cast<int>(share * width);
  fmt::print(stderr, "\r{}: [{:=<{}}{: <{}}] {:3.0f} %, {:.0f} s left{}{}\033[K", what, "", filled, "", width - filled,
             share * 100, share > 0 ? elapsed / share - elapsed : 0, note.empty() ? "" : ", ", note);
  std::fflush(stderr);
  open = true;
}
