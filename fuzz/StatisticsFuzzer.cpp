//===- StatisticsFuzzer.cpp - hostile files of calibration statistics -------------------------------------------===//
//
// Most inputs are safetensors files whose header has a value changed, with offsets that fit: the search is for what
// lies behind the checks of that format.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Artifact/Samples.h"
#include "FuzzFiles.h"
#include "quantc/Methods/StatisticsFile.h"
#include <algorithm>
#include <cmath>

using namespace fuzz;

static constexpr const char *first =
    R"({"__metadata__":{"quantc.calibration_tokens":"7"},"columns.a":{"dtype":"F32","shape":[3,2]},)"
    R"("hessian.a":{"dtype":"F32","shape":[2,2]},"columns.b":{"dtype":"F32","shape":[3,1]}})";

static bool isSound(const quantc::InputStatistics &statistics, bool hessian) {
  const auto K = static_cast<size_t>(statistics.K);
  const auto isSize = [](float v) { return std::isfinite(v) && v >= 0; };
  for (const std::vector<float> *row : {&statistics.meanAbs, &statistics.meanSquare, &statistics.maxAbs})
    if (row->size() != K || !std::ranges::all_of(*row, isSize))
      return false;
  return statistics.hessian.size() == (hessian ? K * K : 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto input = map(view(data, size));
  const auto file = quantc::StatisticsFile::open(input->path());
  expectMessage(file);
  if (!file)
    return 0;
  for (const char *observer : {"a", "b"})
    for (bool hessian : {false, true}) {
      const auto statistics = (*file)->of(observer, hessian);
      expectMessage(statistics);
      if (statistics && !isSound(**statistics, hessian))
        report("statistics that contradict themselves");
    }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed + 1);
  uint64_t length;
  ordered_json header = headerOf(view(data, size), length);
  if (header.is_discarded())
    header = ordered_json::parse(first);
  else if (below(random, 4) == 0)
    return LLVMFuzzerMutate(data, size, maxSize);
  else
    mutate(header, random);
  std::string content = repair(header);
  if (below(random, 2)) // numbers of all kinds
    content = mutated(std::move(content));
  content.resize(repair(header).size());
  return give(samples::safetensorsFile(dump(header), content), data, size, maxSize);
}
