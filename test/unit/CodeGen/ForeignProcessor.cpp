//===- ForeignProcessor.cpp - code for another processor, emulated in this process ------------------------------===//

#include "ForeignProcessor.h"
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#ifdef QUANTC_HAVE_UNICORN
#include <unicorn/unicorn.h>
#endif

using namespace quantc;
using namespace quantc::test;

#ifdef QUANTC_HAVE_UNICORN

namespace {
/// The processor's memory is mapped in pieces of this size, each when it is first touched.
constexpr uint64_t pieceBytes = 2 << 20;

[[noreturn]] void stop(const char *what, uc_err error) {
  std::fprintf(stderr, "emulated code: %s: %s\n", what, uc_strerror(error));
  std::abort();
}

void check(const char *what, uc_err error) {
  if (error != UC_ERR_OK)
    stop(what, error);
}

bool mapPiece(uc_engine *engine, uc_mem_type, uint64_t address, int, int64_t, void *) {
  const uint64_t first = address / pieceBytes * pieceBytes;
  // The piece may reach beyond memory that this process has: only what is touched matters.
  return uc_mem_map_ptr(engine, first, pieceBytes, UC_PROT_ALL, reinterpret_cast<void *>(first)) == UC_ERR_OK;
}
} // namespace

struct ForeignProcessor::Stack {
  alignas(64) std::array<std::byte, 1 << 20> bytes;
  /// Where functions return to: nothing is executed there.
  alignas(64) std::array<std::byte, 64> end{};
};

bool ForeignProcessor::canRun(const Target &target) {
  static constexpr std::array<std::string_view, 3> known = {"neon", "fullfp16", "dotprod"};
  return target.triple.starts_with("aarch64") && std::ranges::all_of(target.required, [](const std::string &feature) {
           return std::ranges::find(known, feature) != known.end();
         });
}

ForeignProcessor::ForeignProcessor() : stack(std::make_unique<Stack>()) {
  check("open", uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &engine));
  check("processor", uc_ctl_set_cpu_model(engine, UC_CPU_ARM64_MAX));
  uc_hook hook;
  check("hook", uc_hook_add(engine, &hook, UC_HOOK_MEM_UNMAPPED, reinterpret_cast<void *>(mapPiece), nullptr, 1, 0));
}

ForeignProcessor::~ForeignProcessor() {
  uc_close(engine);
}

int64_t ForeignProcessor::call(const void *address, std::initializer_list<int64_t> arguments) {
  int reg = UC_ARM64_REG_X0;
  for (int64_t argument : arguments)
    check("argument", uc_reg_write(engine, reg++, &argument));
  const auto top = reinterpret_cast<uint64_t>(stack->bytes.data() + stack->bytes.size());
  const auto end = reinterpret_cast<uint64_t>(stack->end.data());
  check("stack", uc_reg_write(engine, UC_ARM64_REG_SP, &top));
  check("return address", uc_reg_write(engine, UC_ARM64_REG_LR, &end));
  check("run", uc_emu_start(engine, reinterpret_cast<uint64_t>(address), end, 0, 0));
  int64_t result = 0;
  check("result", uc_reg_read(engine, UC_ARM64_REG_X0, &result));
  return result;
}

#else

struct ForeignProcessor::Stack {};
bool ForeignProcessor::canRun(const Target &) {
  return false;
}
ForeignProcessor::ForeignProcessor() = default;
ForeignProcessor::~ForeignProcessor() = default;
int64_t ForeignProcessor::call(const void *, std::initializer_list<int64_t>) {
  std::abort();
}

#endif
