//===- BindingTensor.h - the bit streams of a container's tensors -----------------------------------------------===//
#pragma once

#include "LayoutWalk.h"
#include "quantc/Format/Container.h"
#include <cstring>

namespace quantc {

/// Streams of bits: one for each point of `grid`. Word w of the stream at point p lies at word p * strides + w * step.
struct Binding::Tensor {
  LayoutWalk walk;
  std::vector<int64_t> grid, strides;
  int64_t step = 1;

  /// action(run, first word of the stream); the run's addresses are those within the stream.
  template <typename Action> Status visit(Action action) const;
};

template <typename Action> Status Binding::Tensor::visit(Action action) const {
  std::vector<int64_t> at(grid.size());
  for (bool more = true; more;) {
    int64_t base = 0;
    for (size_t d = 0; d < grid.size(); d++)
      base += at[d] * strides[d];
    QUANTC_TRY(walk.visit(at, [&](const BitRun &run) { return action(run, base); }));
    more = false;
    for (size_t d = grid.size(); d-- > 0 && !more;) {
      more = ++at[d] < grid[d];
      if (!more)
        at[d] = 0;
    }
  }
  return {};
}

/// A stream of bits in words of a tensor, each word `step` after the one before.
template <typename Word, typename Byte> struct Stream {
  static constexpr unsigned wordBits = 8 * sizeof(Word);
  Byte *words;
  int64_t step;

  Byte *place(int64_t word) const { return words + word * step * static_cast<int64_t>(sizeof(Word)); }
  uint64_t word(int64_t at) const {
    Word value;
    std::memcpy(&value, place(at), sizeof(Word));
    return value;
  }
  uint64_t read(int64_t bit, unsigned width) const {
    int64_t at = bit / wordBits;
    const auto shift = static_cast<unsigned>(bit % wordBits);
    uint64_t value = word(at) >> shift;
    for (unsigned have = wordBits - shift; have < width; have += wordBits)
      value |= word(++at) << have;
    return value & lowBits(width);
  }
  /// To bits that are zero.
  void write(int64_t bit, unsigned width, uint64_t value) const {
    int64_t at = bit / wordBits;
    const auto shift = static_cast<unsigned>(bit % wordBits);
    value &= lowBits(width);
    for (unsigned done = 0, from = shift; done < width; done += wordBits - from, from = 0, at++) {
      const auto part = static_cast<Word>(word(at) | (value >> done) << from);
      std::memcpy(place(at), &part, sizeof(Word));
    }
  }
};

template <typename Byte, typename Action> auto withStream(unsigned wordBits, Byte *words, int64_t step, Action action) {
  switch (wordBits) {
  case 8:
    return action(Stream<uint8_t, Byte>{words, step});
  case 16:
    return action(Stream<uint16_t, Byte>{words, step});
  case 32:
    return action(Stream<uint32_t, Byte>{words, step});
  default:
    return action(Stream<uint64_t, Byte>{words, step});
  }
}

} // namespace quantc
