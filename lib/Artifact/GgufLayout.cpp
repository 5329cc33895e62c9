//===- GgufLayout.cpp - the rules that readers and writers of GGUF share ----------------------------------------===//

#include "GgufLayout.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <bit>

using namespace quantc;

std::optional<uint64_t> quantc::alignUp(uint64_t offset, uint64_t alignment) {
  uint64_t end;
  if (__builtin_add_overflow(offset, alignment - 1, &end))
    return std::nullopt;
  return end & ~(alignment - 1);
}

Result<uint64_t> quantc::ggufAlignment(const GgufMetadata &metadata) {
  const GgufValue *value = metadata.find(ggufAlignmentKey);
  if (!value)
    return uint64_t(32);
  if (value->isArray() || value->elementType() != GgufType::U32)
    return fail("key '{}' is {}, expected a u32", ggufAlignmentKey, value->typeName());
  QUANTC_ASSIGN(const int64_t alignment, value->integer());
  if (!std::has_single_bit(static_cast<uint64_t>(alignment)))
    return fail("key '{}' is {}, expected a power of two", ggufAlignmentKey, alignment);
  return static_cast<uint64_t>(alignment);
}

Result<uint64_t> quantc::ggufTensorBytes(const std::string &name, const std::vector<int64_t> &shape, uint32_t type,
                                         const GgufTypes &types) {
  if (name.size() > maxGgufName)
    return fail("its name has {} bytes; {} are allowed", name.size(), maxGgufName);
  if (shape.size() > maxGgufDimensions)
    return fail("it has {} dimensions; {} are allowed", shape.size(), maxGgufDimensions);
  uint64_t elements = 1;
  for (int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(elements, static_cast<uint64_t>(size), &elements) || elements > INT64_MAX)
      return fail("the shape [{}] has more elements than can be addressed, or a negative dimension",
                  fmt::join(shape, ", "));
  const auto block = types ? types(type) : std::nullopt;
  if (!block || block->elements == 0)
    return fail("its type has the id {}, which is not known", type);
  const uint64_t row = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (row % block->elements)
    return fail("its rows of {} elements are no whole number of blocks of {}", row, block->elements);
  uint64_t bytes;
  if (__builtin_mul_overflow(elements / block->elements, block->bytes, &bytes) || bytes > INT64_MAX)
    return fail("the shape [{}] has more bytes than can be addressed", fmt::join(shape, ", "));
  return bytes;
}
