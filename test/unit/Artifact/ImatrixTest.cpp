//===- ImatrixTest.cpp ------------------------------------------------------------------------------------------===//

#include "quantc/Artifact/Imatrix.h"
#include "TestFiles.h"
#include "quantc/Artifact/Gguf.h"
#include <gmock/gmock.h>
#include <limits>

using namespace quantc;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::optional<GgufBlock> floats(uint32_t type) {
  return type == 0 ? std::optional(GgufBlock{1, 4}) : std::nullopt;
}

std::string fromHex(std::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// formats.md, section 2.7: blk.0.ffn_up.weight, 2 calls, {2, 5}; 2 calls in all, dataset c.txt.
const std::string oldFile = fromHex("0100000013000000626c6b2e302e66666e5f75702e776569676874020000000200000000000040"
                                    "0000a0400200000005000000632e747874");

std::string refusal(const std::string &bytes) {
  const MemoryFile file(bytes);
  return messageOf(Imatrix::open(file.path()), file.path());
}

Imatrix sample() {
  return {{{"blk.0.attn_q.weight", {1.5f, 2, 0, 4}, {8}}, {"blk.0.ffn_up_exps.weight", {3, 6, 0, 0}, {3, 0}}},
          {"a.txt", "b.txt"},
          7,
          512};
}

TEST(Imatrix, OldFile) {
  const MemoryFile file(oldFile);
  const auto matrix = Imatrix::open(file.path());
  ASSERT_TRUE(matrix) << matrix.error().message;
  const ImatrixEntry *entry = matrix->find("blk.0.ffn_up.weight");
  ASSERT_TRUE(entry);
  EXPECT_THAT(entry->importance(), ElementsAre(1.0f, 2.5f));
  EXPECT_THAT(matrix->datasets, ElementsAre("c.txt"));
  EXPECT_EQ(matrix->chunks, 2u);
  EXPECT_EQ(matrix->find("blk.0.ffn_up"), nullptr);
  const TempDirectory folder;
  ASSERT_TRUE(matrix->writeOld(folder / "again.dat"));
  EXPECT_EQ(readBytes(folder / "again.dat"), oldFile);
}

TEST(Imatrix, GgufComesBack) {
  const TempDirectory folder;
  ASSERT_TRUE(sample().write(folder / "imatrix.gguf"));
  const auto again = Imatrix::open(folder / "imatrix.gguf");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, sample());
  EXPECT_THAT(again->entries[1].importance(0), ElementsAre(1.0f, 2.0f));
  EXPECT_THAT(again->entries[1].importance(1), ElementsAre(1.0f, 1.0f)); // no token came to this expert
}

TEST(Imatrix, OldFileOfTokens) {
  const TempDirectory folder;
  Imatrix matrix = sample();
  matrix.chunkTokens = 4;
  ASSERT_TRUE(matrix.writeOld(folder / "imatrix.dat"));
  const auto again = Imatrix::open(folder / "imatrix.dat");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_THAT(again->entries[0].counts, ElementsAre(2.0f)); // 8 tokens in chunks of 4
  EXPECT_EQ(again->entries[0].importance(), sample().entries[0].importance());
  EXPECT_THAT(again->entries[1].importance(), ElementsAre(1.0f, 2.0f, 1.0f, 1.0f));
  EXPECT_THAT(again->datasets, ElementsAre("a.txt"));
}

TEST(Imatrix, OldFilesThatAreNone) {
  EXPECT_EQ(refusal(""), "the file ends within the number of entries");
  EXPECT_EQ(refusal(std::string(4, '\0')), "it has no entries: this is no importance matrix");
  EXPECT_EQ(refusal("\xff\xff\xff\xff"), "the number of entries is -1");
  for (size_t length = 4; length < oldFile.size(); length++)
    if (length != 43) // the end of the entries: files without a dataset exist
      EXPECT_THAT(refusal(oldFile.substr(0, length)), HasSubstr("the file ends within")) << length;
  EXPECT_EQ(refusal(oldFile.substr(0, 43)), "");
  EXPECT_EQ(refusal(oldFile + "x"), "there are bytes after the name of the dataset");
  auto with = [](size_t at, const std::string &bytes) {
    std::string changed = oldFile;
    return changed.replace(at, bytes.size(), bytes);
  };
  EXPECT_EQ(refusal(with(0, fromHex("02000000"))), "the file ends within the size of an entry");
  EXPECT_EQ(refusal(with(4, fromHex("ffffff7f"))), "the file ends within the name of an entry");
  EXPECT_EQ(refusal(with(27, fromHex("ffffffff"))), "the calls of an entry is -1");
  EXPECT_EQ(refusal(with(31, fromHex("00000000"))), "entry 'blk.0.ffn_up.weight' has no numbers");
  EXPECT_EQ(refusal(with(31, fromHex("ffffff7f"))), "the file ends within the numbers of an entry");
  EXPECT_THAT(refusal(with(35, fromHex("0000c07f"))), HasSubstr("has the number nan"));
  EXPECT_THAT(refusal(with(35, fromHex("000080bf"))), HasSubstr("has the number -1"));
}

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> numbers;
};

/// What is said of a GGUF file of these keys and tensors.
std::string refusedGguf(const std::vector<std::pair<std::string, GgufValue>> &keys,
                        const std::vector<Tensor> &tensors) {
  const TempDirectory folder;
  const auto path = folder / "imatrix.gguf";
  GgufMetadata metadata;
  for (const auto &[key, value] : keys)
    EXPECT_TRUE(metadata.add(key, value));
  std::vector<GgufSpec> specs;
  for (const Tensor &tensor : tensors)
    specs.push_back({tensor.name, tensor.shape, 0});
  auto writer = createGguf(path, metadata, specs, floats);
  EXPECT_TRUE(writer) << writer.error().message;
  for (const Tensor &tensor : tensors)
    EXPECT_TRUE(writer->append(std::as_bytes(std::span(tensor.numbers))));
  EXPECT_TRUE(writer->commit());
  return messageOf(Imatrix::open(path), path.string());
}

TEST(Imatrix, GgufFilesThatAreNone) {
  const std::vector<std::pair<std::string, GgufValue>> keys = {
      {"general.type", GgufValue::of("imatrix")},
      {"imatrix.datasets", GgufValue::array(std::vector<std::string>{"a.txt"})},
      {"imatrix.chunk_count", GgufValue::of(3u)},
      {"imatrix.chunk_size", GgufValue::of(512u)}};
  const Tensor sums{"a.weight.in_sum2", {1, 2}, {1, 2}}, counts{"a.weight.counts", {1, 1}, {4}};
  EXPECT_EQ(refusedGguf(keys, {sums, counts}), "");
  for (size_t without = 0; without < keys.size(); without++) {
    auto some = keys;
    some.erase(some.begin() + static_cast<long>(without));
    EXPECT_THAT(refusedGguf(some, {sums, counts}), HasSubstr(keys[without].first));
  }
  auto changed = keys;
  changed[0].second = GgufValue::of("model");
  EXPECT_EQ(refusedGguf(changed, {sums, counts}), "no importance matrix: 'general.type' is not \"imatrix\"");
  changed = keys;
  changed[2].second = GgufValue::of(-1);
  EXPECT_EQ(refusedGguf(changed, {sums, counts}), "'imatrix.chunk_count' is -1");

  EXPECT_EQ(refusedGguf(keys, {sums}), "'a.weight.in_sum2' has no 'a.weight.counts' beside it");
  EXPECT_THAT(refusedGguf(keys, {sums, counts, {"b", {1}, {1}}}), HasSubstr("a tensor is neither"));
  EXPECT_THAT(refusedGguf(keys, {counts}), HasSubstr("a tensor is neither"));
  EXPECT_EQ(refusedGguf(keys, {sums, {"a.weight.counts", {3, 1}, {1, 1, 1}}}),
            "the counts of 'a.weight' do not fit its sums");
  EXPECT_EQ(refusedGguf(keys, {{"a.weight.in_sum2", {2, 2}, {1, 2, 3, 4}}, counts}),
            "the counts of 'a.weight' do not fit its sums");
  for (const float number : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_THAT(refusedGguf(keys, {{"a.weight.in_sum2", {1, 2}, {1, number}}, counts}), HasSubstr("has the number"));
    EXPECT_THAT(refusedGguf(keys, {sums, {"a.weight.counts", {1, 1}, {number}}}), HasSubstr("has the number"));
  }
}

} // namespace
