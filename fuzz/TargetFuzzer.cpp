//===- TargetFuzzer.cpp - hostile files of targets/ -------------------------------------------------------------===//
//
// The input is a JSON object, read as a processor and as a GPU. What is accepted must be safe to divide and to index
// by.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "FuzzFiles.h"
#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"
#include <algorithm>

using namespace fuzz;
using namespace quantc;

/// The files of the project: of a processor and of a GPU.
static const ordered_json &seed(bool gpu) {
  static const auto read = [](const char *name) {
    return ordered_json::parse(readText(std::string(QUANTC_SOURCE_DIR "/targets/") + name).value());
  };
  static const ordered_json seeds[] = {read("x86-64-v4-vnni.json"), read("sm_90a.json")};
  return seeds[gpu];
}

static bool positive(const std::vector<int64_t> &sizes, size_t count) {
  return sizes.size() == count && std::ranges::all_of(sizes, [](int64_t size) { return size > 0; });
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  folder.hold(std::map<std::string, std::string>{{"target.json", std::string(view(data, size))}});
  const auto file = folder.path / "target.json";
  const auto processor = Target::load(file);
  expectOneLine(processor);
  if (processor && !(positive(processor->tiles, 3) && processor->lanes > 0 && processor->rows > 0 &&
                     processor->rows % processor->lanes == 0 && processor->dot.size() <= 2))
    report("a processor that does not agree with itself was accepted");
  const auto gpu = GPUTarget::load(file);
  expectOneLine(gpu);
  if (gpu && !(positive(gpu->stream, 2) && positive(gpu->tiled, 4) && gpu->tiled[0] % gpu->tiled[2] == 0 &&
               gpu->tiled[1] % gpu->tiled[3] == 0 && gpu->stages >= 2 && describesGPU(file)))
    report("a GPU that does not agree with itself was accepted");
  if (processor && gpu)
    report("one file describes both a processor and a GPU");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  if (random % 16 == 0) // what is no JSON
    return LLVMFuzzerMutate(data, size, maxSize);
  return mutateTree(data, size, maxSize, random, seed(random % 2));
}
