//===- PeakDot.h - the most that the byte dot product of this processor can do ----------------------------------===//
#pragma once

#include <cstdint>

/// Runs `rounds` times 16 independent chains of 512-bit vpdpbusd; returns how many operations (multiply and add count
/// as two) these were, or 0 where the processor has none.
int64_t runPeakDot(int64_t rounds);
