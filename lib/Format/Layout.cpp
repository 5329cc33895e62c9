//===- Layout.cpp - where the bits of inline fields lie in a block ----------------------------------------------===//

#include "quantc/Format/Layout.h"
#include "IndexProgram.h"
#include "LayoutWalk.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

uint64_t quantc::applyTransform(const BitMove &move, uint64_t value, unsigned width) {
  const auto delta = static_cast<uint64_t>(move.delta);
  if (move.transform)
    value = *move.transform == Operator::Add   ? value + delta
            : *move.transform == Operator::Sub ? value - delta
                                               : value ^ delta;
  return value & lowBits(width);
}

uint64_t quantc::transformed(const BitMove &move, uint64_t value) {
  return applyTransform(move, value, move.field->width);
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
  return word & lowBits(width);
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

/// Bits of a block's layout, far beyond those that a block may have.
static constexpr int64_t largestLayout = 1 << 20;

Result<BlockLayout> BlockLayout::create(const Format &format) {
  BlockLayout layout(format);
  const std::string &file = format.source().file;
  LayoutContext context{format, file};
  context.environment = format.integers();
  QUANTC_ASSIGN(LayoutWalk walk, LayoutWalk::compile(format.source().block->layout, context));
  const int64_t bytes = format.block()->bytes;
  // Checked again below, when other errors of the layout are known: here for the work that they take.
  if (walk.bits() > largestLayout)
    return format.error(format.source().block->bytes->position,
                        fmt::format("the layout has {} bits, {} bytes are {}", walk.bits(), bytes, bytes * 8));
  for (const Field &f : format.fields())
    if (f.inside && format.cellCount(f, 0, 0) > walk.bits())
      return format.error(f.position, fmt::format("'{}' has {} cells, the layout has {} bits", f.name,
                                                  format.cellCount(f, 0, 0), walk.bits()));
  Ownership ownership(format, file, 0, 0);
  QUANTC_TRY(walk.visit({}, [&](const BitRun &run) -> Status {
    QUANTC_TRY(ownership.add(run));
    BitMove move = run.first;
    for (int64_t j = 0; j < run.count; j++, move.cell += run.cellStep, move.address += run.addressStep)
      layout.list.push_back(move);
    return {};
  }));
  for (const Field &f : format.fields())
    if (f.inside)
      QUANTC_TRY(ownership.finish(f, std::nullopt));
  if (walk.bits() != bytes * 8)
    return format.error(format.source().block->bytes->position,
                        fmt::format("the layout has {} bits, {} bytes are {}", walk.bits(), bytes, bytes * 8));
  std::ranges::sort(layout.list, {}, &BitMove::address);
  layout.makeRuns();
  return layout;
}

/// Runs in the order of cells: neighbours in storage are often far apart as cells (low and high halves), and runs
/// short.
void BlockLayout::makeRuns() {
  std::vector<BitMove> moves = list;
  std::ranges::sort(moves, {}, [](const BitMove &m) {
    return std::tuple(m.field ? m.field->index : 0, m.low, m.width, m.transform.value_or(Operator::Neg), m.delta,
                      m.cell, m.address);
  });
  for (const BitMove &m : moves) {
    BitRun *last = runs.empty() ? nullptr : &runs.back();
    const bool alike = last && m.field && m.field == last->first.field && m.low == last->first.low &&
                       m.width == last->first.width && m.transform == last->first.transform &&
                       m.delta == last->first.delta;
    const int64_t cellStep = alike ? m.cell - last->first.cell : 0,
                  addressStep = alike ? m.address - last->first.address : 0;
    if (alike && last->count == 1) {
      last->count = 2;
      last->cellStep = cellStep;
      last->addressStep = addressStep;
    } else if (alike && cellStep == last->cellStep * last->count && addressStep == last->addressStep * last->count) {
      last->count++;
    } else {
      runs.push_back({m});
    }
  }
}

/// get(j) for the cells of a run, as they are in fields. Parts of cells are added to what is there.
template <typename Get> static void readRun(const BitRun &run, Get get, uint64_t *cells) {
  const BitMove &m = run.first;
  cells += m.cell;
  if (m.width < m.field->width)
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep)
      *cells |= get(j) << m.low;
  else if (m.transform)
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep)
      *cells = untransformed(m, get(j));
  else
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep)
      *cells = get(j);
}

template <typename Word> static void readWords(const BitRun &run, const std::byte *storage, uint64_t *cells) {
  readRun(
      run,
      [at = storage + run.first.address / 8, step = run.addressStep / 8](int64_t j) {
        Word word;
        std::memcpy(&word, at + j * step, sizeof(word));
        return static_cast<uint64_t>(word);
      },
      cells);
}

static void readRun(const BitRun &run, const std::byte *storage, uint64_t *cells) {
  const BitMove &m = run.first;
  const bool inBytes = run.addressStep % 8 == 0;
  if (inBytes && m.address % 8 == 0 && m.width == 16)
    readWords<uint16_t>(run, storage, cells);
  else if (inBytes && m.address % 8 == 0 && m.width == 32)
    readWords<uint32_t>(run, storage, cells);
  else if (inBytes && m.address % 8 + m.width <= 8) // in a byte, at the same place of each
    readRun(
        run,
        [at = storage + m.address / 8, step = run.addressStep / 8, shift = m.address % 8,
         mask = lowBits(m.width)](int64_t j) { return static_cast<uint64_t>(at[j * step]) >> shift & mask; },
        cells);
  else
    readRun(run, [&](int64_t j) { return readBits(storage, m.address + j * run.addressStep, m.width); }, cells);
}

/// body(run, storage, cell 0 of its field) for the runs of all blocks. What a block has once goes through all blocks as
/// one run: a block may be a single weight.
template <typename Body> void BlockLayout::forRuns(int64_t first, int64_t count, Body body) const {
  const int64_t bytes = format->block()->bytes;
  for (const BitRun &run : runs) {
    const int64_t cells = run.first.field ? format->cellCount(*run.first.field, 0, 0) : 0;
    if (run.count == 1) {
      BitRun through = run;
      through.count = count;
      through.cellStep = cells;
      through.addressStep = 8 * bytes;
      body(through, 0, first * cells);
    } else {
      for (int64_t b = 0; b < count; b++)
        body(run, b * bytes, (first + b) * cells);
    }
  }
}

void BlockLayout::read(const std::byte *storage, int64_t first, int64_t count, FieldValues &fields) const {
  forRuns(first, count, [&](const BitRun &run, int64_t offset, int64_t cell) {
    if (run.first.field)
      readRun(run, storage + offset, fields[run.first.field->index].data() + cell);
  });
}

void BlockLayout::store(const FieldValues &fields, int64_t first, int64_t count, std::byte *storage) const {
  std::memset(storage, 0, static_cast<size_t>(count * format->block()->bytes));
  forRuns(first, count, [&](const BitRun &run, int64_t offset, int64_t cell) {
    const BitMove &m = run.first;
    std::byte *at = storage + offset;
    if (!m.field) {
      for (int64_t j = 0; j < run.count; j++)
        writeBits(at, m.address + j * run.addressStep, m.width, m.constant);
      return;
    }
    const uint64_t *cells = fields[m.field->index].data() + cell + m.cell;
    const bool inByte = m.address % 8 + m.width <= 8 && run.addressStep % 8 == 0 && !m.transform;
    for (int64_t j = 0; j < run.count; j++, cells += run.cellStep)
      if (inByte)
        at[m.address / 8 + j * (run.addressStep / 8)] |=
            static_cast<std::byte>((*cells >> m.low & lowBits(m.width)) << (m.address % 8));
      else
        writeBits(at, m.address + j * run.addressStep, m.width, transformed(m, *cells) >> m.low);
  });
}
