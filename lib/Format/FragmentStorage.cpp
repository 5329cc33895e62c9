//===- FragmentStorage.cpp - from fields to the fragments of matrix units ---------------------------------------===//

#include "quantc/Format/FragmentStorage.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Format/Layout.h"
#include "quantc/Format/Repack.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace quantc;

static constexpr int64_t planeAlignment = 256;

static int64_t aligned(int64_t bytes) {
  return (bytes + planeAlignment - 1) / planeAlignment * planeAlignment;
}

static FragmentPlane planeOf(const StorageItem &item, unsigned low, unsigned width) {
  FragmentPlane plane{.item = &item, .low = low, .width = width};
  const auto array = static_cast<unsigned>(item.field->arraySize());
  plane.inLanes = item.run == 1 && item.field->array.empty();
  plane.columns = std::lcm(FragmentStorage::leastColumns, item.run);
  plane.cells = plane.columns / item.run * array;
  if (plane.inLanes) {
    plane.wordBits = 32;
    plane.words = width * FragmentStorage::lanes; // 64 columns of 16 rows
    plane.perLoad = std::min(width, 4u);
    return plane;
  }
  const unsigned bits = 2 * plane.cells * width; // of a pair of rows
  plane.wordBits = width == 32 ? 32 : std::clamp(std::bit_ceil(bits), 8u, 32u);
  plane.perLoad = (bits + plane.wordBits - 1) / plane.wordBits;
  plane.words = plane.perLoad * FragmentStorage::rows / 2;
  return plane;
}

Result<FragmentStorage> FragmentStorage::derive(std::shared_ptr<const KernelStorage> fields) {
  FragmentStorage storage;
  if (fields->rows() != rows)
    return fail("{} has no fragments of {} rows: a matrix instruction takes 16", fields->source()->spec(),
                fields->rows());
  for (const StorageItem &item : fields->items())
    for (unsigned low = 0, width = 32; low < item.field->width; low += width) {
      while (width > item.field->width - low)
        width /= 2;
      storage.list.push_back(planeOf(item, low, width));
    }
  for (const FragmentPlane &plane : storage.list) {
    storage.whole = std::lcm(storage.whole, plane.columns);
    // Either a tile has whole units, or a cell holds for the whole tile.
    if (plane.item->run % storage.tile)
      storage.tile = std::lcm(storage.tile, plane.columns);
  }
  const Format &format = *fields->format();
  if (format.block() && readsName(*format.value(), "i")) {
    storage.tile = std::lcm(storage.tile, static_cast<unsigned>(format.block()->columns));
    storage.whole = std::lcm(storage.whole, storage.tile);
  }
  for (const FragmentPlane &plane : storage.list)
    if (plane.item->run % storage.tile && storage.tile % plane.columns)
      storage.tile = storage.whole;
  storage.source = std::move(fields);
  return storage;
}

FragmentSlot FragmentStorage::slotOfPair(const FragmentPlane &plane, unsigned step, unsigned slot) {
  const unsigned pair = 4 * step + slot;
  if (plane.width == 32)
    return {2 * pair, 0};
  return {pair / plane.pairsPerWord(), pair % plane.pairsPerWord() * plane.width};
}

unsigned FragmentStorage::wordOfLane(const FragmentPlane &plane, unsigned lane, unsigned word) {
  return word / plane.perLoad * plane.perLoad * lanes + lane * plane.perLoad + word % plane.perLoad;
}

FragmentSlot FragmentStorage::slotOf(const FragmentPlane &plane, unsigned row, unsigned cell) {
  const unsigned half = row / 8, group = row % 8;
  if (plane.inLanes) {
    const unsigned column = cell % stepColumns, lane = 4 * group + column % 8 / 2, second = column % 2;
    FragmentSlot slot = slotOfPair(plane, cell / stepColumns, half + column / 8 * 2);
    slot.shift += plane.width == 32 ? 0 : 16 * second;
    return {wordOfLane(plane, lane, slot.word + (plane.width == 32 ? second : 0)), slot.shift};
  }
  const unsigned bit = (2 * cell + half) * plane.width;
  return {group * plane.perLoad + bit / plane.wordBits, bit % plane.wordBits};
}

int64_t FragmentStorage::planeBytes(const FragmentPlane &plane, int64_t N, int64_t K) const {
  return (N + rows - 1) / rows * (paddedColumns(K) / plane.columns) * plane.unitBytes();
}

int64_t FragmentStorage::planeOffset(size_t plane, int64_t N, int64_t K) const {
  int64_t offset = 0;
  for (size_t i = 0; i < plane; i++)
    offset += aligned(planeBytes(list[i], N, K));
  return offset;
}

double FragmentStorage::bitsPerWeight() const {
  double bits = 0;
  for (const FragmentPlane &plane : list)
    bits += 8.0 * plane.unitBytes() / (rows * plane.columns);
  return bits;
}

Status FragmentStorage::checkShape(int64_t N, int64_t K) const {
  QUANTC_TRY(source->checkShape(N, K));
  if (K % whole == 0)
    return {};
  const Format &format = *source->format();
  const int64_t rows = format.block() ? format.block()->rows : 1;
  std::vector<float> numbers(static_cast<size_t>(rows * whole));
  QUANTC_TRY(decode(format, zeroFields(format, rows, whole), rows, whole, numbers.data()));
  if (!std::ranges::all_of(numbers, [](float number) { return std::isfinite(number); }))
    return fail(
        "{} has no fragments for a weight of {} x {}: columns must be a multiple of {}, as zero bits, with which "
        "others are padded, are no finite number",
        source->source()->spec(), N, K, whole);
  return {};
}

Status FragmentStorage::fromFields(const FieldValues &values, int64_t N, int64_t K, std::span<std::byte> packed,
                                   unsigned threads) const {
  QUANTC_TRY(checkShape(N, K));
  // What is evaluated ahead is evaluated there.
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(source));
  std::vector<std::byte> blocks(static_cast<size_t>(source->bytes(N, K)));
  QUANTC_TRY(repacker.fromFields(values, N, K, blocks, threads));
  return fromBlocks(blocks, N, K, packed, threads);
}

Status FragmentStorage::fromBlocks(std::span<const std::byte> blocks, int64_t N, int64_t K, std::span<std::byte> packed,
                                   unsigned threads) const {
  QUANTC_TRY(checkShape(N, K));
  if (packed.size() != static_cast<size_t>(bytes(N, K)) || blocks.size() != static_cast<size_t>(source->bytes(N, K)))
    return fail("fragments of {} for a weight of {} x {} have {} bytes out of {}, not {} out of {}",
                source->source()->spec(), N, K, bytes(N, K), source->bytes(N, K), packed.size(), blocks.size());
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(source));
  std::ranges::fill(packed, std::byte(0));
  // Fields take 8 bytes a cell: some rows at a time.
  const auto &block = source->source()->block();
  const int64_t slice = std::min(N, std::lcm(int64_t(rows), block ? int64_t(block->rows) : int64_t(1)));
  std::vector<Status> results(static_cast<size_t>((N + slice - 1) / slice));
  parallelFor(results.size(), threads, [&](size_t i) {
    const int64_t first = static_cast<int64_t>(i) * slice, count = std::min(slice, N - first);
    const auto part =
        blocks.subspan(static_cast<size_t>(source->bytes(first, K)), static_cast<size_t>(source->bytes(count, K)));
    auto stored = repacker.toFields(part, count, K, /*threads=*/1);
    if (stored)
      packRows(*stored, first, count, N, K, packed);
    else
      results[i] = tl::unexpected(stored.error());
  });
  for (const Status &result : results)
    QUANTC_TRY(result);
  return {};
}

/// Calls visit(plane, byte, bit, index) for each cell of rows [first, first + count) of a weight: the byte of the
/// weight where its unit begins, its lowest bit there, and its place in its field of these rows.
template <typename Visit>
void FragmentStorage::eachCell(int64_t first, int64_t count, int64_t N, int64_t K, Visit visit) const {
  const Format &format = *source->format();
  for (size_t p = 0; p < list.size(); p++) {
    const FragmentPlane &plane = list[p];
    const auto array = static_cast<unsigned>(plane.item->field->arraySize());
    const int64_t begin = planeOffset(p, N, K), units = paddedColumns(K) / plane.columns;
    for (int64_t n = 0; n < count; n++)
      for (int64_t u = 0; u < units; u++) {
        const int64_t unit = begin + ((first + n) / rows * units + u) * plane.unitBytes();
        for (unsigned cell = 0; cell < plane.cells; cell++) {
          const int64_t k = u * plane.columns + cell / array * plane.item->run;
          if (k >= K) // padding
            break;
          const int64_t index = cellIndex(format, *plane.item->field, n, k, count, K) + cell % array;
          const FragmentSlot slot = slotOf(plane, static_cast<unsigned>((first + n) % rows), cell);
          visit(plane, unit, static_cast<int64_t>(slot.word) * plane.wordBits + slot.shift, static_cast<size_t>(index));
        }
      }
  }
}

/// Rows [first, first + count) of a weight, whose fields `stored` has.
void FragmentStorage::packRows(const FieldValues &stored, int64_t first, int64_t count, int64_t N, int64_t K,
                               std::span<std::byte> packed) const {
  eachCell(first, count, N, K, [&](const FragmentPlane &plane, int64_t unit, int64_t bit, size_t index) {
    writeBits(packed.data() + unit, bit, plane.width,
              stored[plane.item->field->index][index] >> plane.low & lowBits(plane.width));
  });
}

Result<FieldValues> FragmentStorage::toFields(std::span<const std::byte> packed, int64_t N, int64_t K) const {
  QUANTC_TRY(checkShape(N, K));
  if (packed.size() != static_cast<size_t>(bytes(N, K)))
    return fail("fragments of {} for a weight of {} x {} have {} bytes, not {}", source->source()->spec(), N, K,
                bytes(N, K), packed.size());
  FieldValues fields = zeroFields(*source->format(), N, K);
  // What several rows share is the same in each of them; parts of a cell lie in several planes.
  eachCell(0, N, N, K, [&](const FragmentPlane &plane, int64_t unit, int64_t bit, size_t index) {
    fields[plane.item->field->index][index] |= readBits(packed.data() + unit, bit, plane.width) << plane.low;
  });
  return fields;
}
