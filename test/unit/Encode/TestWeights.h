//===- TestWeights.h - weights that every test of encoding shares -----------------------------------------------===//
#pragma once

#include "../Format/TestFormats.h"
#include "quantc/Encode/Encode.h"

namespace quantc::test {

/// 8 x 2048 numbers of bell shape from a linear congruential generator, exact in f32.
const std::vector<float> &sharedWeights();
/// An importance for each of 2048 columns.
const std::vector<float> &sharedImportance();

/// Fields, or a failed test.
FieldValues encoded(const Format &format, std::span<const float> x, int64_t N, int64_t K,
                    std::span<const float> importance = {});
/// Blocks of a format that has them, as hexadecimal digits.
std::string encodedHex(const std::string &spec, std::span<const float> x, int64_t N, int64_t K,
                       std::span<const float> importance = {});

} // namespace quantc::test
