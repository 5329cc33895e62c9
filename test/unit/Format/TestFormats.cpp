//===- TestFormats.cpp - what the tests of the format library share ---------------------------------------------===//

#include "TestFormats.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Layout.h"
#include "quantc/Support/Files.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

namespace quantc::test {

Catalog &catalog() {
  static auto opened = Catalog::open(QUANTC_SOURCE_DIR);
  return *opened.value();
}

std::shared_ptr<const Format> formatOf(const std::string &spec) {
  auto format = catalog().format(spec);
  if (!format)
    ADD_FAILURE() << spec << ": " << format.error().message;
  return format.value_or(nullptr);
}

std::shared_ptr<const Description> containerOf(const std::string &name) {
  auto container = catalog().container(name);
  if (!container)
    ADD_FAILURE() << name << ": " << container.error().message;
  return container.value_or(nullptr);
}

std::optional<Binding> bindingOf(const std::string &container, const std::string &spec, int64_t N, int64_t K) {
  auto binding = Binding::create(containerOf(container), formatOf(spec), N, K);
  if (binding)
    return std::move(*binding);
  ADD_FAILURE() << container << " " << spec << ": " << binding.error().message;
  return std::nullopt;
}

Result<std::shared_ptr<const Description>> parseText(const std::string &text, const std::string &file) {
  return parseDescription(text, file,
                          [](const std::string &) -> Result<std::string> { return fail("no table files here"); });
}

Bytes fromHex(std::string_view digits) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return bytes;
}

Bytes fromWords(std::string_view words) {
  Bytes bytes;
  while (!words.empty()) {
    std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    const auto value = static_cast<uint32_t>(std::stoul(std::string(word), nullptr, 16));
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<std::byte>(value >> shift));
  }
  return bytes;
}

std::string toHex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte b : bytes)
    text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

uint64_t hashOf(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (std::byte b : bytes)
    hash = (hash ^ static_cast<uint64_t>(b)) * 0x100000001b3;
  return hash;
}

Bytes readBytes(const std::filesystem::path &path) {
  auto file = MappedFile::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return {};
  }
  return Bytes((*file)->bytes().begin(), (*file)->bytes().end());
}

Bytes randomBytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::byte &b : bytes)
    b = static_cast<std::byte>(random());
  return bytes;
}

FieldValues readBlocks(const Format &format, std::span<const std::byte> storage, int64_t N, int64_t K) {
  FieldValues fields = zeroFields(format, N, K);
  const BlockShape &block = *format.block();
  const int64_t count = N / block.rows * (K / block.columns);
  EXPECT_EQ(static_cast<int64_t>(storage.size()), count * block.bytes);
  BlockLayout::create(format).value().read(storage.data(), 0, count, fields);
  return fields;
}

Bytes storeBlocks(const Format &format, const FieldValues &fields, int64_t N, int64_t K) {
  const BlockShape &block = *format.block();
  const int64_t count = N / block.rows * (K / block.columns);
  Bytes storage(static_cast<size_t>(count * block.bytes));
  BlockLayout::create(format).value().store(fields, 0, count, storage.data());
  return storage;
}

std::vector<float> decoded(const Format &format, const FieldValues &fields, int64_t N, int64_t K) {
  std::vector<float> values(static_cast<size_t>(N * K));
  auto status = decode(format, fields, N, K, values.data());
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return values;
}

FieldValues randomFields(const Format &format, int64_t N, int64_t K, uint64_t seed) {
  std::mt19937_64 random(seed);
  FieldValues fields = zeroFields(format, N, K);
  for (const Field &f : format.fields())
    for (uint64_t &cell : fields[f.index])
      cell = random() >> (64 - f.width);
  return fields;
}

std::vector<std::span<const std::byte>> views(const std::vector<Bytes> &tensors) {
  return {tensors.begin(), tensors.end()};
}

::testing::AssertionResult sameValues(std::span<const float> got, std::span<const float> want, bool anyZero) {
  if (got.size() != want.size())
    return ::testing::AssertionFailure() << got.size() << " values for " << want.size();
  size_t different = 0, first = 0;
  for (size_t i = 0; i < got.size(); i++) {
    const bool bits = std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want[i]);
    if (bits || (std::isnan(got[i]) && std::isnan(want[i])) || (anyZero && got[i] == 0 && want[i] == 0))
      continue;
    if (different++ == 0)
      first = i;
  }
  if (different == 0)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << different << " of " << got.size() << " values differ; value " << first
                                       << " is " << fmt::format("{} for {}", got[first], want[first]);
}

std::optional<std::filesystem::path> testData() {
  const char *variable = std::getenv("QUANTC_TEST_DATA");
  const std::filesystem::path path = variable ? variable : QUANTC_SOURCE_DIR "/../shared/data";
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? std::optional(path) : std::nullopt;
}

} // namespace quantc::test
