#include "quantc/Runtime/Cpu.h"
#include <algorithm>
#include <array>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <thread>

using namespace quantc;

namespace {

/// The kernel's own list of features, which it filters by what it supports.
std::vector<std::string> kernelFeatures() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("flags") || line.starts_with("Features")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      return {std::istream_iterator<std::string>(words), {}};
    }
  return {};
}

} // namespace

TEST(Cpu, AgreesWithTheKernel) {
  const std::vector<std::string> flags = kernelFeatures();
  if (flags.empty())
    GTEST_SKIP() << "/proc/cpuinfo lists no features";
  constexpr std::pair<const char *, const char *> names[] = {
  // LLVM's, Linux's
#if defined(__x86_64__)
      {"sse4.2", "sse4_2"},
      {"popcnt", "popcnt"},
      {"avx", "avx"},
      {"avx2", "avx2"},
      {"fma", "fma"},
      {"f16c", "f16c"},
      {"bmi", "bmi1"},
      {"bmi2", "bmi2"},
      {"lzcnt", "abm"},
      {"movbe", "movbe"},
      {"avx512f", "avx512f"},
      {"avx512bw", "avx512bw"},
      {"avx512vl", "avx512vl"},
      {"avx512dq", "avx512dq"},
      {"avx512vnni", "avx512_vnni"},
      {"avx512bf16", "avx512_bf16"},
      {"avx512vbmi", "avx512vbmi"},
      {"avx512vbmi2", "avx512_vbmi2"},
      {"avx512fp16", "avx512_fp16"},
      {"avxvnni", "avx_vnni"},
      {"amx-tile", "amx_tile"},
      {"amx-int8", "amx_int8"},
      {"amx-bf16", "amx_bf16"},
      {"gfni", "gfni"},
#elif defined(__aarch64__)
      {"neon", "asimd"}, {"dotprod", "asimddp"}, {"i8mm", "i8mm"}, {"bf16", "bf16"}, {"sve", "sve"},
#endif
  };
  for (const auto &[ours, theirs] : names)
    EXPECT_EQ(cpuHas(ours), std::ranges::find(flags, theirs) != flags.end()) << ours;
}

TEST(Cpu, UnknownFeaturesAreAbsent) {
  EXPECT_FALSE(cpuHas("telepathy"));
  EXPECT_FALSE(cpuHas(""));
  EXPECT_EQ(firstMissingFeature(std::array<std::string, 2>{"telepathy", "levitation"}), "telepathy");
  EXPECT_EQ(firstMissingFeature({}), "");
}

TEST(Cpu, NamesTheProcessorAndCountsThem) {
  EXPECT_FALSE(cpuName().empty());
  EXPECT_GE(availableProcessors(), 1u);
  EXPECT_LE(availableProcessors(), std::max(1u, std::thread::hardware_concurrency()));
}
