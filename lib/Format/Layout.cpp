//===- Layout.cpp - where the bits of inline fields lie in a block ----------------------------------------------===//

#include "quantc/Format/Layout.h"
#include "LayoutWalk.h"
#include <cstring>

using namespace quantc;

static uint64_t maskOf(unsigned width) { return width < 64 ? (uint64_t(1) << width) - 1 : ~uint64_t(0); }

uint64_t quantc::transformed(const BitMove &move, uint64_t value) {
  if (!move.transform)
    return value;
  const auto delta = static_cast<uint64_t>(move.delta);
  const uint64_t v = *move.transform == Operator::Add ? value + delta : *move.transform == Operator::Sub ? value - delta : value ^ delta;
  return v & maskOf(move.field->width);
}

uint64_t quantc::untransformed(const BitMove &move, uint64_t value) {
  BitMove inverse = move;
  if (move.transform && *move.transform != Operator::Xor)
    inverse.transform = *move.transform == Operator::Add ? Operator::Sub : Operator::Add;
  return transformed(inverse, value);
}

uint64_t quantc::readBits(const std::byte *storage, int64_t address, unsigned width) {
  const std::byte *at = storage + (address >> 3);
  const auto shift = static_cast<unsigned>(address & 7);
  uint64_t word = 0;
  const unsigned bytes = (shift + width + 7) / 8; // up to 9
  std::memcpy(&word, at, bytes < 8 ? bytes : 8);
  word >>= shift;
  if (bytes == 9)
    word |= static_cast<uint64_t>(at[8]) << (64 - shift);
  return word & maskOf(width);
}

void quantc::writeBits(std::byte *storage, int64_t address, unsigned width, uint64_t value) {
  for (unsigned done = 0; done < width;) {
    const auto shift = static_cast<unsigned>((address + done) & 7);
    const unsigned part = std::min(8 - shift, width - done);
    const auto mask = static_cast<std::byte>(((1u << part) - 1) << shift);
    std::byte &byte = storage[(address + done) >> 3];
    byte = (byte & ~mask) | (static_cast<std::byte>((value >> done) << shift) & mask);
    done += part;
  }
}

Result<BlockLayout> BlockLayout::create(const Format &format) {
  BlockLayout layout(format);
  const std::string &file = format.source().file;
  LayoutContext context{format, file};
  context.environment = format.integers();
  QUANTC_ASSIGN(LayoutWalk walk, LayoutWalk::compile(format.source().block->layout, context));
  if (walk.bits() > (int64_t(1) << 23))
    return format.error(format.source().block->bytes->position, fmt::format("the layout has {} bits, more than 2^23", walk.bits()));
  Ownership ownership(format, file, 0, 0);
  QUANTC_TRY(walk.visit({}, [&](const BitMove &move, bool) -> Status {
    QUANTC_TRY(ownership.add(move));
    layout.list.push_back(move);
    return {};
  }));
  for (const Field &f : format.fields())
    if (f.inside)
      QUANTC_TRY(ownership.finish(f, std::nullopt));
  const int64_t bytes = format.block()->bytes;
  if (walk.bits() != bytes * 8)
    return format.error(format.source().block->bytes->position, fmt::format("the layout has {} bits, {} bytes are {}", walk.bits(), bytes, bytes * 8));
  return layout;
}

/// Moves run over this many blocks at a time, so that what they touch stays in the nearest cache.
static constexpr int64_t blocksAtOnce = 8;

void BlockLayout::read(const std::byte *storage, int64_t first, int64_t count, FieldValues &fields) const {
  const int64_t bytes = format->block()->bytes;
  for (; count > blocksAtOnce; count -= blocksAtOnce, first += blocksAtOnce, storage += blocksAtOnce * bytes)
    read(storage, first, blocksAtOnce, fields);
  for (const BitMove &m : list) {
    if (!m.field)
      continue;
    const int64_t cells = format->cellCount(*m.field, 0, 0);
    uint64_t *out = fields[m.field->index].data() + first * cells + m.cell;
    const bool whole = m.width == m.field->width;
    for (int64_t b = 0; b < count; b++) {
      const uint64_t bits = readBits(storage + b * bytes, m.address, m.width);
      out[b * cells] = whole ? untransformed(m, bits) : out[b * cells] | bits << m.low;
    }
  }
}

void BlockLayout::store(const FieldValues &fields, int64_t first, int64_t count, std::byte *storage) const {
  const int64_t bytes = format->block()->bytes;
  for (; count > blocksAtOnce; count -= blocksAtOnce, first += blocksAtOnce, storage += blocksAtOnce * bytes)
    store(fields, first, blocksAtOnce, storage);
  std::memset(storage, 0, static_cast<size_t>(count * bytes));
  for (const BitMove &m : list) {
    if (!m.field)
      continue;
    const int64_t cells = format->cellCount(*m.field, 0, 0);
    const uint64_t *in = fields[m.field->index].data() + first * cells + m.cell;
    for (int64_t b = 0; b < count; b++)
      writeBits(storage + b * bytes, m.address, m.width, transformed(m, in[b * cells]) >> m.low);
  }
}
