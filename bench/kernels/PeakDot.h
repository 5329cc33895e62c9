//===- PeakDot.h - the most that the dot products of this processor can do --------------------------------------===//
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// A kind of product, and a function that does as many as the processor can.
struct PeakDot {
  const char *name;
  /// Runs `rounds` times 16 independent chains; returns how many operations (multiply and add count as two) these
  /// were, or 0 where the processor has no such instruction.
  int64_t (*run)(int64_t rounds);
};

/// Reads the bytes, but for less than 256, as fast as one thread can.
void readBytes(const std::byte *bytes, size_t count);

/// f32 fused multiply-add, vpdpbusd and vdpbf16ps of 512 bits, and tile products of bytes and of bf16.
std::span<const PeakDot> peakDots();
