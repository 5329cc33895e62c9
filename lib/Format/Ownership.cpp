//===- Ownership.cpp - every bit of every field is stored exactly once ------------------------------------------===//

#include "IndexProgram.h"
#include "LayoutWalk.h"
#include <algorithm>
#include <bit>

using namespace quantc;

template <typename Mask> Status Ownership::add(const BitRun &run, std::vector<Mask> &masks) {
  const BitMove &move = run.first;
  const auto bits = static_cast<Mask>(lowBits(move.width) << move.low);
  int64_t cell = move.cell;
  for (int64_t j = 0; j < run.count; j++, cell += run.cellStep) {
    Mask &mask = masks[static_cast<size_t>(cell)];
    if (mask & bits)
      return errorAt(file, move.position,
                     fmt::format("bit {} of '{}[{}]' is stored a second time", std::countr_zero<uint64_t>(mask & bits),
                                 move.field->name, cell));
    mask |= bits;
  }
  return {};
}

Status Ownership::add(const BitRun &run) {
  if (run.wholeBlock)
    return addBlock(run);
  const Field *field = run.first.field;
  if (!field)
    return {};
  Owned &of = owned[field->index];
  const auto cells = static_cast<size_t>(layoutCells({format, file, N, K}, *field));
  if (field->width <= 8) {
    of.narrow.resize(cells);
    return add(run, of.narrow);
  }
  of.wide.resize(cells);
  return add(run, of.wide);
}

Status Ownership::addBlock(const BitRun &run) {
  blocks.resize(static_cast<size_t>(N / format.block()->rows * (K / format.block()->columns)));
  const auto block = static_cast<size_t>(run.first.cell);
  if (blocks[block])
    return errorAt(file, run.first.position, fmt::format("block {} is stored a second time", block));
  blocks[block] = true;
  return {};
}

Status Ownership::finishBlocks(Position place) const {
  const auto hole = std::ranges::find(blocks, false);
  if (hole == blocks.end() && !blocks.empty())
    return {};
  return errorAt(file, place, fmt::format("block {} is stored nowhere", hole - blocks.begin()));
}

template <typename Mask>
Status Ownership::finish(const Field &field, Position place, const std::vector<Mask> &masks) const {
  const auto all = static_cast<Mask>(lowBits(field.width));
  const auto hole = std::ranges::find_if(masks, [=](Mask mask) { return mask != all; });
  if (hole == masks.end() && !masks.empty())
    return {};
  const unsigned bit = masks.empty() ? 0 : static_cast<unsigned>(std::countr_one<uint64_t>(*hole));
  return errorAt(file, place,
                 fmt::format("bit {} of '{}[{}]' is stored nowhere", bit, field.name, hole - masks.begin()));
}

Status Ownership::finish(const Field &field, std::optional<Position> place) const {
  const auto it = owned.find(field.index);
  const Owned &of = it == owned.end() ? Owned() : it->second;
  const Position at = place.value_or(field.position);
  return field.width <= 8 ? finish(field, at, of.narrow) : finish(field, at, of.wide);
}
