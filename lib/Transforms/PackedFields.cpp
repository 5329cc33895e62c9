//===- PackedFields.cpp - the fields of a weight, as few bits as they need ---------------------------------------===//

#include "quantc/Transforms/PackedFields.h"

using namespace quantc;

static uint64_t bytesOf(const Field &field, size_t values) {
  return (uint64_t(values) * field.width + 7) / 8;
}

uint64_t quantc::packedFieldBytes(const Format &format, const FieldValues &fields) {
  uint64_t total = 0;
  for (const Field &field : format.fields())
    total += bytesOf(field, fields[field.index].size());
  return total;
}

void quantc::packFields(const Format &format, const FieldValues &fields, std::span<std::byte> out) {
  size_t at = 0;
  for (const Field &field : format.fields()) {
    // Bits wait here until they are a byte: fewer than 8 before a value is added, so none of 56 bits is lost.
    uint64_t waiting = 0;
    unsigned count = 0;
    auto put = [&](uint64_t value, unsigned width) {
      waiting |= value << count;
      for (count += width; count >= 8; count -= 8, waiting >>= 8)
        out[at++] = static_cast<std::byte>(waiting);
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

FieldValues quantc::unpackFields(const Format &format, int64_t N, int64_t K, std::span<const std::byte> packed) {
  FieldValues fields = zeroFields(format, N, K);
  size_t at = 0;
  for (const Field &field : format.fields()) {
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
    for (uint64_t &value : fields[field.index]) {
      value = get(std::min(field.width, 32u));
      if (field.width > 32)
        value |= get(field.width - 32) << 32;
    }
  }
  return fields;
}
