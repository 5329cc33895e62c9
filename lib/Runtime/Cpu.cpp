//===- Cpu.cpp - what the machine's processor can execute -------------------------------------------------------===//

#include "quantc/Runtime/Cpu.h"
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

using namespace quantc;

#if defined(__x86_64__)

namespace {

enum Register : uint8_t { EAX, EBX, ECX, EDX };
/// Register state that the operating system must save, as bits of XCR0.
enum State : uint32_t { None = 0, Ymm = 0x6, Zmm = 0xe6, Tile = 0x60000 };

struct Feature {
  std::string_view name; ///< LLVM's
  uint32_t leaf, subleaf;
  Register reg;
  uint8_t bit;
  State state;
};

/// Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
constexpr Feature features[] = {
    {"sse3", 1, 0, ECX, 0, None},
    {"pclmul", 1, 0, ECX, 1, None},
    {"ssse3", 1, 0, ECX, 9, None},
    {"fma", 1, 0, ECX, 12, Ymm},
    {"cx16", 1, 0, ECX, 13, None},
    {"sse4.1", 1, 0, ECX, 19, None},
    {"sse4.2", 1, 0, ECX, 20, None},
    {"movbe", 1, 0, ECX, 22, None},
    {"popcnt", 1, 0, ECX, 23, None},
    {"aes", 1, 0, ECX, 25, None},
    {"avx", 1, 0, ECX, 28, Ymm},
    {"f16c", 1, 0, ECX, 29, Ymm},
    {"sse", 1, 0, EDX, 25, None},
    {"sse2", 1, 0, EDX, 26, None},
    {"bmi", 7, 0, EBX, 3, None},
    {"avx2", 7, 0, EBX, 5, Ymm},
    {"bmi2", 7, 0, EBX, 8, None},
    {"avx512f", 7, 0, EBX, 16, Zmm},
    {"avx512dq", 7, 0, EBX, 17, Zmm},
    {"avx512ifma", 7, 0, EBX, 21, Zmm},
    {"avx512cd", 7, 0, EBX, 28, Zmm},
    {"avx512bw", 7, 0, EBX, 30, Zmm},
    {"avx512vl", 7, 0, EBX, 31, Zmm},
    {"avx512vbmi", 7, 0, ECX, 1, Zmm},
    {"avx512vbmi2", 7, 0, ECX, 6, Zmm},
    {"gfni", 7, 0, ECX, 8, None},
    {"vpclmulqdq", 7, 0, ECX, 10, Ymm},
    {"avx512vnni", 7, 0, ECX, 11, Zmm},
    {"avx512bitalg", 7, 0, ECX, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Zmm},
    {"amx-bf16", 7, 0, EDX, 22, Tile},
    {"avx512fp16", 7, 0, EDX, 23, Zmm},
    {"amx-tile", 7, 0, EDX, 24, Tile},
    {"amx-int8", 7, 0, EDX, 25, Tile},
    {"avxvnni", 7, 1, EAX, 4, Ymm},
    {"avx512bf16", 7, 1, EAX, 5, Zmm},
    {"amx-fp16", 7, 1, EAX, 21, Tile},
    {"avxifma", 7, 1, EAX, 23, Ymm},
    {"avxvnniint8", 7, 1, EDX, 4, Ymm},
    {"avxneconvert", 7, 1, EDX, 5, Ymm},
    {"avxvnniint16", 7, 1, EDX, 10, Ymm},
    {"sahf", 0x80000001, 0, ECX, 0, None},
    {"lzcnt", 0x80000001, 0, ECX, 5, None},
};

/// Linux hands out the tile registers on request only, to the whole process.
bool requestTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  return ::syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

bool systemSaves(State state) {
  if (state == None)
    return true;
  uint32_t eax, ebx, ecx, edx;
  constexpr uint32_t osxsave = 1u << 27;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & osxsave))
    return false;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & state) == state && (state != Tile || requestTiles());
}

} // namespace

bool quantc::cpuHas(std::string_view name) {
  const auto feature = std::ranges::find(features, name, &Feature::name);
  uint32_t registers[4];
  return feature != std::end(features) &&
         __get_cpuid_count(feature->leaf, feature->subleaf, &registers[EAX], &registers[EBX], &registers[ECX],
                           &registers[EDX]) &&
         (registers[feature->reg] >> feature->bit & 1) && systemSaves(feature->state);
}

#elif defined(__aarch64__)

bool quantc::cpuHas(std::string_view name) {
  struct Feature {
    std::string_view name; ///< LLVM's
    unsigned long type;
    unsigned bit; ///< Linux, Documentation/arch/arm64/elf_hwcaps.rst
  };
  constexpr Feature features[] = {
      {"neon", AT_HWCAP, 1},  {"fullfp16", AT_HWCAP, 10}, {"dotprod", AT_HWCAP, 20}, {"sve", AT_HWCAP, 22},
      {"sve2", AT_HWCAP2, 1}, {"i8mm", AT_HWCAP2, 13},    {"bf16", AT_HWCAP2, 14},
  };
  const auto feature = std::ranges::find(features, name, &Feature::name);
  return feature != std::end(features) && (::getauxval(feature->type) >> feature->bit & 1);
}

#else

bool quantc::cpuHas(std::string_view) {
  return false;
}

#endif

std::string_view quantc::firstMissingFeature(std::span<const std::string> features) {
  const auto missing = std::ranges::find_if_not(features, cpuHas);
  return missing == features.end() ? std::string_view() : std::string_view(*missing);
}

std::string quantc::cpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (const size_t colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos)
      return line.substr(colon + 2);
  return "unknown processor";
}

/// What the control group allows, in whole processors; a large number where it sets no limit.
static unsigned processorQuota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0)
    return UINT32_MAX;
  return static_cast<unsigned>(std::clamp(quota / period + 0.5, 1.0, 65536.0));
}

unsigned quantc::availableProcessors() {
  cpu_set_t set;
  const unsigned allowed = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1u, std::min(allowed, processorQuota()));
}
