//===- BufferPlan.h - how much memory the buffers of a session take -----------------------------------------------===//
#pragma once

#include "quantc/Artifact/Manifest.h"
#include <optional>

namespace quantc {

/// The KV cache holds a multiple of so many positions: its lanes.
constexpr int64_t positionAlignment = 16;

/// Bytes of a buffer for so many tokens and positions; nothing where they cannot be counted.
std::optional<uint64_t> bufferSize(const BufferEntry &buffer, int64_t chunk, int64_t context);

/// The buffers of a program, without a size where neither the launches of some stages name them nor what enters or
/// leaves these.
std::vector<BufferEntry> buffersOf(const ProgramEntry &program, StageRange stages);

/// Where each buffer begins in the memory of its kind.
struct BufferLayout {
  std::vector<uint64_t> offsets;
  uint64_t persistent = 0, transient = 0; ///< Bytes of both kinds of memory.
};

/// Of sequences that have persistent buffers of their own. Each buffer begins at a multiple of `alignment`. Fails, with
/// what would fit, where they need more than `available` bytes.
Result<BufferLayout> layOutBuffers(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                                   int64_t sequences, uint64_t available, uint64_t alignment);

} // namespace quantc
