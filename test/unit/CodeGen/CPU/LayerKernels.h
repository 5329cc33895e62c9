//===- LayerKernels.h - kernels of nn layers, to be called on vectors ------------------------------------------===//
#pragma once

#include "CompiledKernels.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace quantc::test {

/// Memory as kernels take it: aligned to 64 bytes, with guard elements behind it that no kernel may change.
template <typename T> class Buffer {
public:
  explicit Buffer(size_t count) : count(count), memory(count + 2 * guard) {
    offset = (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64 / sizeof(T);
    for (T *p = end(); p != memory.data() + memory.size(); ++p)
      std::memset(p, 0xA5, sizeof(T));
  }
  Buffer(const Buffer &other) : Buffer(other.count) { std::copy_n(other.memory.data() + other.offset, count, begin()); }
  Buffer &operator=(const Buffer &other) {
    std::copy_n(other.memory.data() + other.offset, count, begin()); // of the same size
    return *this;
  }
  T *begin() { return memory.data() + offset; }
  T *end() { return begin() + count; }
  T &operator[](size_t i) { return begin()[i]; }
  size_t size() const { return count; }
  int64_t address() { return reinterpret_cast<int64_t>(begin()); }
  bool guardIntact() {
    for (T *p = end(); p != memory.data() + memory.size(); ++p)
      for (size_t i = 0; i < sizeof(T); ++i)
        if (reinterpret_cast<unsigned char *>(p)[i] != 0xA5)
          return false;
    return true;
  }
  bool operator==(Buffer &other) {
    return count == other.count && !std::memcmp(begin(), other.begin(), count * sizeof(T));
  }

private:
  static constexpr size_t guard = 64;
  size_t count, offset = 0;
  std::vector<T> memory;
};

/// Normally distributed numbers, rounded to T.
template <typename T> void fillRandom(Buffer<T> &buffer, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  for (T &v : buffer)
    v = static_cast<T>(normal(generator));
}

/// Squared error over squared reference.
template <typename T> double normalizedError(Buffer<T> &actual, const std::vector<double> &expected) {
  double error = 0, scale = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (static_cast<double>(actual[i]) - expected[i]) * (static_cast<double>(actual[i]) - expected[i]);
    scale += expected[i] * expected[i];
  }
  return error / scale;
}

/// Compiles one kernel of nn ops, named @kernel, by the passes nn-lower-* and the code generation. Fails the test where
/// it does not compile.
CompiledKernels compileLayer(mlir::MLIRContext &context, const std::string &text, const Target &target);

/// Runs the tasks of @kernel one by one, the last one first.
void runBackwards(const CompiledKernels &kernels, std::span<const int64_t> args);

} // namespace quantc::test
