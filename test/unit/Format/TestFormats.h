//===- TestFormats.h - what the tests of the format library share -----------------------------------------------===//
#pragma once

#include "quantc/Format/Container.h"
#include <gtest/gtest.h>

namespace quantc::test {

/// The descriptions of the source tree.
Catalog &catalog();
/// The format of a spec; a failed test and null where there is none.
std::shared_ptr<const Format> formatOf(const std::string &spec);
std::shared_ptr<const Description> containerOf(const std::string &name);
/// The binding of a container to a weight; a failed test and nothing where it fails.
std::optional<Binding> bindingOf(const std::string &container, const std::string &spec, int64_t N, int64_t K);
/// A description given as text, without table files.
Result<std::shared_ptr<const Description>> parseText(const std::string &text, const std::string &file = "text.qf");

using Bytes = std::vector<std::byte>;
Bytes fromHex(std::string_view digits);
/// 32-bit words in hexadecimal, as little-endian bytes.
Bytes fromWords(std::string_view words);
std::string toHex(std::span<const std::byte> bytes);
/// FNV-1a, 64 bits.
uint64_t hashOf(std::span<const std::byte> bytes);
Bytes readBytes(const std::filesystem::path &path);
Bytes randomBytes(size_t count, uint64_t seed);

/// Fields of a weight from blocks that lie one after the other (row-major), and back.
FieldValues readBlocks(const Format &format, std::span<const std::byte> storage, int64_t N, int64_t K);
Bytes storeBlocks(const Format &format, const FieldValues &fields, int64_t N, int64_t K);
std::vector<float> decoded(const Format &format, const FieldValues &fields, int64_t N, int64_t K);
/// Random bits in every field.
FieldValues randomFields(const Format &format, int64_t N, int64_t K, uint64_t seed);
/// Views of stored tensors, as Binding::read takes them.
std::vector<std::span<const std::byte>> views(const std::vector<Bytes> &tensors);

/// Bit for bit; NaN equals NaN. With `anyZero`, 0 equals -0.
::testing::AssertionResult sameValues(std::span<const float> got, std::span<const float> want, bool anyZero = false);

/// Data of real checkpoints: $QUANTC_TEST_DATA, or ../shared/data beside the source tree; nothing where there is none.
std::optional<std::filesystem::path> testData();

} // namespace quantc::test
