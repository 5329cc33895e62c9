//===- ChildProcessTest.cpp -------------------------------------------------------------------------------------===//

#include "quantc/Support/ChildProcess.h"
#include <chrono>
#include <csignal>
#include <gmock/gmock.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace quantc;
using testing::HasSubstr;

namespace {
Result<std::string> run(const std::function<Result<std::string>()> &work, ChildLimits limits = {}) {
  return runInChild("planting", limits, work);
}

std::string errorOf(const std::function<Result<std::string>()> &work, ChildLimits limits = {}) {
  auto result = run(work, limits);
  EXPECT_FALSE(result);
  const std::string message = result ? "" : result.error().message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return message;
}

TEST(ChildProcess, ReturnsWhatTheWorkReturns) {
  int here = 1;
  std::string all(3 << 20, '\0');
  all[77] = 'x';
  EXPECT_EQ(run([&] { return here = 2, all; }), all);
  EXPECT_EQ(here, 1);
  EXPECT_EQ(run([] { return ""; }), "");
  EXPECT_EQ(errorOf([] { return fail("no such thing"); }), "no such thing");
}

TEST(ChildProcess, AnAbortIsAnError) {
  const std::string message = errorOf([]() -> Result<std::string> {
    std::fputs("\nLLVM ERROR: planted\nStack dump:\n", stderr);
    std::abort();
  });
  EXPECT_THAT(message, HasSubstr("planting failed: its process was ended by signal 6 ("));
  EXPECT_THAT(message, HasSubstr("it said: LLVM ERROR: planted"));
  EXPECT_THAT(errorOf([]() -> Result<std::string> {
                ::raise(SIGKILL);
                return "";
              }),
              HasSubstr("signal 9"));
  EXPECT_THAT(errorOf([]() -> Result<std::string> { ::_exit(3); }), HasSubstr("ended with status 3"));
  EXPECT_THAT(errorOf([]() -> Result<std::string> { ::_exit(0); }), HasSubstr("ended with status 0"));
}

TEST(ChildProcess, AHangIsAnError) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(errorOf(
                  []() -> Result<std::string> {
                    for (;;)
                      std::this_thread::yield();
                  },
                  {.seconds = 1}),
              HasSubstr("longer than 1 seconds"));
  EXPECT_THAT(errorOf(
                  []() -> Result<std::string> {
                    for (;;)
                      ::pause();
                  },
                  {.seconds = 1}),
              HasSubstr("longer than 1 seconds"));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

#ifndef __SANITIZE_ADDRESS__
#if !defined(__has_feature) || !__has_feature(address_sanitizer)
TEST(ChildProcess, MemoryIsLimited) {
  auto take = [](size_t bytes) { return [=]() -> Result<std::string> { return std::string(bytes, 'x'); }; };
  EXPECT_EQ(errorOf(take(size_t(300) << 20), {.bytes = 100 << 20}), "planting: not enough memory");
  EXPECT_TRUE(run(take(size_t(30) << 20), {.bytes = 100 << 20}));
}
#endif
#endif
std::string programError(const std::vector<std::string> &command, ChildLimits limits = {}) {
  auto result = runProgram(command, "", limits);
  EXPECT_FALSE(result);
  return result ? "" : result.error().message;
}

TEST(Program, GivesWhatItWrites) {
  std::string all(3 << 20, 'x');
  all[77] = '\0';
  EXPECT_EQ(runProgram({"cat"}, all, {}), all);
  EXPECT_EQ(runProgram({"sh", "-c", "echo warning >&2; echo \"$1\"", "sh", "two words"}, "", {}), "two words\n");
}

TEST(Program, SaysHowItFailed) {
  EXPECT_EQ(programError({"no-such-program"}), "no-such-program: it cannot be started: No such file or directory");
  EXPECT_EQ(programError({"sh", "-c", "echo; echo broken >&2; echo more >&2; exit 3"}), "sh: broken");
  EXPECT_EQ(programError({"sh", "-c", "exit 3"}), "sh: its process ended with status 3");
  EXPECT_THAT(programError({"sh", "-c", "echo broken >&2; kill -9 $$"}), HasSubstr("ended by signal 9"));
  EXPECT_EQ(programError({"sleep", "20"}, {.seconds = 1}), "sleep: it took longer than 1 seconds");
}

} // namespace
