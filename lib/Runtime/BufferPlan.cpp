//===- BufferPlan.cpp - how much memory the buffers of a session take ---------------------------------------------===//

#include "BufferPlan.h"
#include "Placement.h"
#include <algorithm>
#include <ranges>

using namespace quantc;

using MaybeBytes = std::optional<uint64_t>;

/// a · b + c, or nothing where it does not fit.
static MaybeBytes multiplyAdd(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t product, sum;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(product, c, &sum))
    return std::nullopt;
  return sum;
}

std::optional<uint64_t> quantc::bufferSize(const BufferEntry &buffer, int64_t chunk, int64_t context) {
  const MaybeBytes withTokens = multiplyAdd(buffer.perToken, chunk, buffer.bytes);
  return withTokens ? multiplyAdd(buffer.perContext, context, *withTokens) : std::nullopt;
}

std::vector<BufferEntry> quantc::buffersOf(const ProgramEntry &program, StageRange stages) {
  std::vector<bool> isUsed(program.buffers.size());
  for (size_t stage = stages.first; stage < stages.last; ++stage)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      for (const ArgEntry &arg : launch.args)
        if (arg.kind == ArgKind::Buffer)
          isUsed[arg.index] = true;
  isUsed[enteringBuffer(program, stages)] = isUsed[leavingBuffer(program, stages)] = true;
  std::vector<BufferEntry> buffers = program.buffers;
  for (size_t i = 0; i < buffers.size(); ++i)
    if (!isUsed[i])
      buffers[i].bytes = buffers[i].perToken = buffers[i].perContext = 0;
  return buffers;
}

namespace {

/// Nothing where the sizes overflow.
std::optional<BufferLayout> layOut(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                                   uint64_t alignment) {
  // More than any machine has, and small enough that two of them can be added.
  constexpr uint64_t most = UINT64_MAX / 4;
  BufferLayout layout;
  for (const BufferEntry &buffer : buffers) {
    const MaybeBytes size = bufferSize(buffer, chunk, context);
    if (!size || *size > most)
      return std::nullopt;
    uint64_t &end = buffer.persistent ? layout.persistent : layout.transient;
    layout.offsets.push_back(end);
    end += (*size + alignment - 1) / alignment * alignment;
    if (end > most)
      return std::nullopt;
  }
  return layout;
}

MaybeBytes totalBytes(const BufferLayout &layout, int64_t sequences) {
  return multiplyAdd(layout.persistent, static_cast<uint64_t>(sequences), layout.transient);
}

MaybeBytes totalBytes(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context, int64_t sequences,
                      uint64_t alignment) {
  const auto layout = layOut(buffers, chunk, context, alignment);
  return layout ? totalBytes(*layout, sequences) : std::nullopt;
}

/// The error that says what would fit.
tl::unexpected<Error> tooLarge(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                               int64_t sequences, uint64_t available, uint64_t alignment) {
  const auto fits = [&](int64_t units) {
    const MaybeBytes bytes = totalBytes(buffers, chunk, units * positionAlignment, sequences, alignment);
    return bytes && *bytes <= available;
  };
  const auto units = std::views::iota(int64_t(1), context / positionAlignment + 1);
  // The whole context does not fit, so that there is a first one that does not.
  const int64_t most = (*std::ranges::partition_point(units, fits) - 1) * positionAlignment;
  const MaybeBytes bytes = totalBytes(buffers, chunk, context, sequences, alignment);
  const std::string needed = bytes ? fmt::format("{} bytes", *bytes) : "more bytes than can be addressed";
  const std::string advice =
      most ? fmt::format("{} positions would fit", most) : fmt::format("ask for a smaller chunk than {}", chunk);
  const std::string each = sequences > 1 ? fmt::format(" for each of {} sequences", sequences) : "";
  return fail("a context of {} positions{} needs {} of buffers, {} are available; {}", context, each, needed, available,
              advice);
}

} // namespace

Result<BufferLayout> quantc::layOutBuffers(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                                           int64_t sequences, uint64_t available, uint64_t alignment) {
  auto layout = layOut(buffers, chunk, context, alignment);
  const MaybeBytes bytes = layout ? totalBytes(*layout, sequences) : std::nullopt;
  if (!bytes || *bytes > available)
    return tooLarge(buffers, chunk, context, sequences, available, alignment);
  return *layout;
}
