//===- PackedFields.cpp - the fields of a weight, as few bits as they need ---------------------------------------===//

#include "quantc/Format/PackedFields.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

/// Values of a field in a weight N x K.
static int64_t valuesOf(const Format &format, const Field &field, int64_t N, int64_t K) {
  const int64_t blocks = field.inside ? (N / format.block()->rows) * (K / format.block()->columns) : 1;
  return blocks * format.cellCount(field, N, K);
}

static uint64_t bytesOf(const Format &format, const Field &field, int64_t N, int64_t K) {
  return (static_cast<uint64_t>(valuesOf(format, field, N, K)) * field.width + 7) / 8;
}

uint64_t quantc::packedFieldBytes(const Format &format, int64_t N, int64_t K) {
  uint64_t total = 0;
  for (const Field &field : format.fields())
    total += bytesOf(format, field, N, K);
  return total;
}

int64_t quantc::cellRowUnit(const Format &format, int64_t N, int64_t K) {
  int64_t unit = format.block() ? format.block()->rows : 1;
  for (const Field &f : format.fields()) {
    if (f.flat && K % f.columns != 0)
      return N;
    unit = std::lcm(unit, std::max<int64_t>(1, f.rows));
  }
  return std::min(unit, N);
}

int64_t quantc::packedRowUnit(const Format &format, int64_t N, int64_t K) {
  for (const Field &f : format.fields())
    if (f.rows == 0 && !f.inside)
      return N;
  return std::min(8 * cellRowUnit(format, N, K), N);
}

void quantc::packRows(const Format &format, int64_t N, int64_t K, int64_t row, int64_t rows, const FieldValues &fields,
                      std::span<std::byte> packed) {
  uint64_t begin = 0;
  for (const Field &field : format.fields()) {
    uint64_t at = begin + static_cast<uint64_t>(cellIndex(format, field, row, 0, N, K)) * field.width / 8;
    begin += bytesOf(format, field, N, K);
    // Bits wait here until they are a byte: fewer than 8 before a value is added, so none of 56 bits is lost.
    uint64_t waiting = 0;
    unsigned count = 0;
    auto put = [&](uint64_t value, unsigned width) {
      waiting |= value << count;
      for (count += width; count >= 8; count -= 8, waiting >>= 8)
        packed[at++] = static_cast<std::byte>(waiting);
    };
    for (const uint64_t value : fields[field.index]) {
      put(value & 0xffffffff, std::min(field.width, 32u));
      if (field.width > 32)
        put(value >> 32, field.width - 32);
    }
    if (count)
      put(0, 8 - count);
  }
}

FieldValues quantc::unpackRows(const Format &format, int64_t N, int64_t K, int64_t row, int64_t rows,
                               std::span<const std::byte> packed) {
  FieldValues fields = zeroFields(format, rows, K);
  uint64_t begin = 0;
  for (const Field &field : format.fields()) {
    const uint64_t bit = static_cast<uint64_t>(cellIndex(format, field, row, 0, N, K)) * field.width;
    uint64_t at = begin + bit / 8;
    begin += bytesOf(format, field, N, K);
    uint64_t waiting = 0;
    unsigned count = 0;
    auto get = [&](unsigned width) {
      for (; count < width; count += 8)
        waiting |= static_cast<uint64_t>(packed[at++]) << count;
      const uint64_t value = waiting & ((uint64_t(1) << width) - 1);
      waiting >>= width;
      count -= width;
      return value;
    };
    if (bit % 8)
      get(bit % 8);
    for (uint64_t &value : fields[field.index]) {
      value = get(std::min(field.width, 32u));
      if (field.width > 32)
        value |= get(field.width - 32) << 32;
    }
  }
  return fields;
}
