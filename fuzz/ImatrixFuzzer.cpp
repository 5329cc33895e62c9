//===- ImatrixFuzzer.cpp - hostile importance matrices ----------------------------------------------------------===//

#include "FuzzFiles.h"
#include "quantc/Artifact/Imatrix.h"
#include <cmath>

using namespace fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const auto file = map(view(data, size));
  const auto matrix = quantc::Imatrix::open(file->path());
  expectMessage(matrix);
  if (!matrix)
    return 0;
  for (const quantc::ImatrixEntry &entry : matrix->entries) {
    if (matrix->find(entry.name) != &entry)
      report("an entry that is not found");
    for (size_t i = 0; i < entry.matrices(); i++)
      for (float v : entry.importance(i))
        if (!(v >= 0))
          report("an importance that is negative");
  }
  return 0;
}

/// A file of the old kind to begin with.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned) {
  static constexpr char sample[] = "\1\0\0\0\2\0\0\0ab\2\0\0\0\1\0\0\0\0\0\0@\2\0\0\0\1\0\0\0c";
  if (size >= 4 || maxSize < sizeof sample - 1)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, sample, sizeof sample - 1);
  return sizeof sample - 1;
}
