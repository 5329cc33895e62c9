//===- SafetensorsFuzzer.cpp - reads damaged safetensors files --------------------------------------------------===//
//
// What is accepted must agree with itself. Half of the inputs have a header that is JSON, of the length that the file
// says, with a value changed; some of those get offsets that fit, so that the search goes on behind the first check.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Artifact/Consistent.h"
#include "FuzzFiles.h"

using namespace fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto file = quantc::Safetensors::read(map(view(data, size)));
  expectOneLine(file);
  if (file)
    if (const std::string problem = whatIsWrong(**file, view(data, size)); !problem.empty())
      report(problem);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed + 1);
  if (size < 8)
    return give(samples::safetensors(), data, size, maxSize);
  if (below(random, 2))
    return LLVMFuzzerMutate(data, size, maxSize);
  uint64_t length;
  ordered_json header = headerOf(view(data, size), length);
  if (header.is_discarded())
    return LLVMFuzzerMutate(data, size, maxSize);
  std::string content(view(data, size).substr(8 + length));
  for (size_t times = below(random, 3) + 1; times; --times)
    mutate(header, random);
  if (below(random, 2))
    content = repair(header);
  return give(samples::safetensorsFile(dump(header), content), data, size, maxSize);
}
