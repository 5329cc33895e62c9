//===- GgufTest.cpp ---------------------------------------------------------------------------------------------===//

#include "quantc/Artifact/Gguf.h"
#include "Consistent.h"
#include "TestFiles.h"
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>

using namespace quantc;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::string refusal(const std::string &bytes) {
  const MemoryFile file(bytes);
  const auto result = Gguf::open(file.path(), samples::blockOf);
  if (result) {
    EXPECT_EQ(whatIsWrong(**result, bytes), "");
  }
  return messageOf(result, file.path());
}

/// Writes fields as the format has them, right or wrong.
struct Bytes {
  std::string text;
  template <typename T> Bytes &put(T value) {
    text.append(reinterpret_cast<const char *>(&value), sizeof value);
    return *this;
  }
  Bytes &u32(uint32_t value) { return put(value); }
  Bytes &u64(uint64_t value) { return put(value); }
  Bytes &string(std::string_view value) {
    u64(value.size()).text += value;
    return *this;
  }
  Bytes &header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    text = "GGUF";
    return u32(version).u64(tensors).u64(keys);
  }
  Bytes &tensor(std::string_view name, std::vector<uint64_t> ne, uint32_t type, uint64_t offset) {
    string(name).u32(static_cast<uint32_t>(ne.size()));
    for (uint64_t size : ne)
      u64(size);
    return u32(type).u64(offset);
  }
  /// Pads and appends the data of the tensors.
  std::string file(size_t dataBytes) {
    text.resize((text.size() + 31) / 32 * 32 + dataBytes);
    return text;
  }
};

std::string refusedKey(const std::function<void(Bytes &)> &value, const std::string &key = "k") {
  Bytes bytes;
  bytes.header(0, 1).string(key);
  value(bytes);
  return refusal(bytes.file(64));
}

std::string refusedTensors(std::vector<std::tuple<std::string, std::vector<uint64_t>, uint32_t, uint64_t>> tensors,
                           size_t dataBytes = 4096) {
  Bytes bytes;
  bytes.header(tensors.size(), 0);
  for (const auto &[name, ne, type, offset] : tensors)
    bytes.tensor(name, ne, type, offset);
  return refusal(bytes.file(dataBytes));
}

//===- Reading --------------------------------------------------------------------------------------------------===//

TEST(Gguf, ReadsTheVector) {
  const std::string bytes = samples::gguf();
  ASSERT_EQ(bytes.size(), 320u);
  const auto opened = Gguf::read(MemoryFile(bytes).map(), samples::blockOf);
  ASSERT_TRUE(opened) << opened.error().message;
  const Gguf &file = **opened;
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(file.metadata(), samples::ggufMetadata());
  EXPECT_EQ(file.metadata().text("general.architecture").value(), "llama");
  EXPECT_EQ(file.metadata().integer("llama.block_count").value(), 1);
  EXPECT_THAT(file.metadata().integers("x.arr").value(), ElementsAre(-1, 7));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(3, 2)); // ne = {2, 3}
  EXPECT_EQ(file.tensors()[0].type, 0u);
  EXPECT_EQ(text(file.tensors()[0].bytes), bytes.substr(224, 24));
  EXPECT_EQ(file.find("b"), &file.tensors()[1]);
  EXPECT_EQ(text(file.tensors()[1].bytes), bytes.substr(256, 34));
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(Gguf, WithoutTypesMetadataIsRead) {
  std::string bytes = samples::gguf();
  const auto file = Gguf::read(MemoryFile(bytes.substr(0, 213)).map());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->metadata(), samples::ggufMetadata());
  EXPECT_EQ((*file)->tensors().size(), 2u);
}

// Version 1 has counts and lengths of 32 bits.
TEST(Gguf, ReadsVersion1And2) {
  std::string second = samples::gguf();
  second[4] = 2;
  EXPECT_EQ(refusal(second), "");

  Bytes first;
  first.text = "GGUF";
  first.u32(1).u32(1).u32(2);
  first.u32(1).text += "k";
  first.u32(8).u32(2).text += "hi";
  first.u32(1).text += "l";
  first.u32(9).u32(5).u32(2).put(int32_t(-3)).put(int32_t(4));
  first.u32(1).text += "t";
  first.u32(2).u32(3).u32(2).u32(0).u64(0);
  const auto file = Gguf::read(MemoryFile(first.file(24)).map(), samples::blockOf);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->version(), 1u);
  EXPECT_EQ((*file)->metadata().text("k").value(), "hi");
  EXPECT_THAT((*file)->metadata().integers("l").value(), ElementsAre(-3, 4));
  EXPECT_THAT((*file)->find("t")->shape, ElementsAre(2, 3));
  EXPECT_EQ((*file)->find("t")->bytes.size(), 24u);
}

TEST(Gguf, RefusesOtherFiles) {
  EXPECT_THAT(refusal(""), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(refusal("GGU"), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(refusal("GGML" + samples::gguf().substr(4)), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(refusal(Bytes().header(0, 0, 0).text), HasSubstr("big-endian"));
  EXPECT_THAT(refusal(Bytes().header(0, 0, 0x03000000).text), HasSubstr("big-endian"));
  EXPECT_THAT(refusal(Bytes().header(0, 0, 4).text), HasSubstr("version 4 is not supported"));
  EXPECT_THAT(refusal(Bytes().header(UINT64_MAX, 0).text), HasSubstr("tensors do not fit"));
  EXPECT_THAT(refusal(Bytes().header(0, UINT64_MAX).text), HasSubstr("keys do not fit"));
  EXPECT_THAT(refusal(Bytes().header(uint64_t(1) << 40, 0).text), HasSubstr("tensors do not fit"));
  EXPECT_EQ(refusal(Bytes().header(0, 0).text), "");
}

TEST(Gguf, RefusesBrokenMetadata) {
  const auto one = [](Bytes &bytes) { bytes.u32(0).put(uint8_t(1)); };
  EXPECT_EQ(refusedKey(one), "");
  EXPECT_THAT(refusedKey(one, ""), HasSubstr("a key has 0 bytes"));
  EXPECT_THAT(refusedKey(one, std::string(65536, 'k')), HasSubstr("a key has 65536 bytes"));
  EXPECT_THAT(refusedKey([](Bytes &bytes) { bytes.u32(13).u64(0); }), HasSubstr("has the type 13"));
  EXPECT_THAT(refusedKey([](Bytes &bytes) { bytes.u32(9).u32(9).u64(1).u32(0).u64(1).put('x'); }),
              HasSubstr("an array of arrays"));
  EXPECT_THAT(refusedKey([](Bytes &bytes) { bytes.u32(9).u32(77).u64(1); }), HasSubstr("has the type 77"));
  for (uint64_t count : {uint64_t(1000), (uint64_t(1) << 30) + 1, uint64_t(1) << 62, UINT64_MAX}) {
    EXPECT_THAT(refusedKey([=](Bytes &bytes) { bytes.u32(9).u32(10).u64(count); }), HasSubstr("do not fit")) << count;
    EXPECT_THAT(refusedKey([=](Bytes &bytes) { bytes.u32(9).u32(8).u64(count); }), HasSubstr("do not fit")) << count;
    EXPECT_THAT(refusedKey([=](Bytes &bytes) { bytes.u32(8).u64(count); }), HasSubstr("do not fit")) << count;
  }
  Bytes twice;
  twice.header(0, 2).string("k").u32(0).put(uint8_t(1)).string("k").u32(0).put(uint8_t(1));
  EXPECT_THAT(refusal(twice.file(0)), HasSubstr("key \"k\" stands twice"));
}

TEST(Gguf, RefusesBrokenAlignments) {
  const auto alignment = [](std::function<void(Bytes &)> value) { return refusedKey(value, "general.alignment"); };
  EXPECT_EQ(alignment([](Bytes &bytes) { bytes.u32(4).u32(64); }), "");
  EXPECT_EQ(alignment([](Bytes &bytes) { bytes.u32(4).u32(uint32_t(1) << 31); }), "");
  EXPECT_THAT(alignment([](Bytes &bytes) { bytes.u32(4).u32(0); }), HasSubstr("is 0, expected a power of two"));
  EXPECT_THAT(alignment([](Bytes &bytes) { bytes.u32(4).u32(48); }), HasSubstr("is 48, expected a power of two"));
  EXPECT_THAT(alignment([](Bytes &bytes) { bytes.u32(5).u32(64); }), HasSubstr("is an i32, expected a u32"));
  EXPECT_THAT(alignment([](Bytes &bytes) { bytes.u32(10).u64(64); }), HasSubstr("is a u64, expected a u32"));
  EXPECT_THAT(alignment([](Bytes &bytes) { bytes.u32(9).u32(4).u64(1).u32(64); }), HasSubstr("expected a u32"));
}

TEST(Gguf, RefusesBrokenTensors) {
  EXPECT_EQ(refusedTensors({{"a", {32}, 8, 0}, {"b", {}, 0, 64}, {"c", {0, 5}, 0, 96}, {"d", {1, 1, 1, 7}, 0, 96}}),
            "");
  EXPECT_EQ(refusedTensors({{std::string(63, 'n'), {1}, 0, 0}}), "");
  EXPECT_THAT(refusedTensors({{std::string(64, 'n'), {1}, 0, 0}}), HasSubstr("its name has 64 bytes"));
  EXPECT_THAT(refusedTensors({{"a", {1}, 0, 0}, {"a", {1}, 0, 32}}), HasSubstr("tensor \"a\" is there twice"));
  EXPECT_THAT(refusedTensors({{"a", {1, 1, 1, 1, 1}, 0, 0}}), HasSubstr("has 5 dimensions"));
  EXPECT_THAT(refusedTensors({{"a", {UINT64_MAX}, 0, 0}}), HasSubstr("negative dimension"));
  EXPECT_THAT(refusedTensors({{"a", {uint64_t(1) << 32, uint64_t(1) << 31}, 0, 0}}), HasSubstr("can be addressed"));
  EXPECT_THAT(refusedTensors({{"a", {uint64_t(1) << 62}, 0, 0}}), HasSubstr("can be addressed"));
  EXPECT_THAT(refusedTensors({{"a", {32}, 4, 0}}), HasSubstr("type has the id 4"));
  EXPECT_THAT(refusedTensors({{"a", {32}, 43, 0}}), HasSubstr("type has the id 43"));
  EXPECT_THAT(refusedTensors({{"a", {33}, 8, 0}}),
              HasSubstr("rows of 33 elements are no whole number of blocks of 32"));
  EXPECT_THAT(refusedTensors({{"a", {16, 2}, 8, 0}}), HasSubstr("rows of 16 elements"));
  EXPECT_THAT(refusedTensors({{"a", {1}, 0, 32}}), HasSubstr("has the offset 32, expected 0"));
  EXPECT_THAT(refusedTensors({{"a", {1}, 0, 0}, {"b", {1}, 0, 4}}), HasSubstr("has the offset 4, expected 32"));
  EXPECT_THAT(refusedTensors({{"a", {1}, 0, 0}, {"b", {1}, 0, 64}}), HasSubstr("has the offset 64, expected 32"));
  EXPECT_THAT(refusedTensors({{"a", {1}, 0, 0}, {"b", {1}, 0, 0}}), HasSubstr("has the offset 0, expected 32"));
  EXPECT_THAT(refusedTensors({{"a", {9}, 0, 0}}, 32), HasSubstr("of 36 bytes at 0 does not fit the 32 bytes of data"));
}

TEST(Gguf, TruncatedFilesAreRefused) {
  const std::string whole = samples::gguf();
  // The last 30 bytes are padding that readers do not ask for.
  for (size_t size = 0; size < whole.size() - 30; ++size)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
  EXPECT_EQ(refusal(whole.substr(0, whole.size() - 30)), "");
}

TEST(Gguf, FlippedBitsAreRefusedOrConsistent) {
  const std::string whole = samples::gguf();
  size_t refused = 0;
  for (size_t bit = 0; bit < 8 * 213; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    refused += refusal(bytes) != "";
  }
  EXPECT_GT(refused, 1000u);
}

//===- Metadata -------------------------------------------------------------------------------------------------===//

TEST(GgufMetadata, ErrorsSayWhatIsThere) {
  GgufMetadata metadata;
  ASSERT_TRUE(metadata.add("s", GgufValue::of("text")));
  ASSERT_TRUE(metadata.add("f", GgufValue::of(0.5f)));
  ASSERT_TRUE(metadata.add("b", GgufValue::of(true)));
  ASSERT_TRUE(metadata.add("big", GgufValue::of(UINT64_MAX)));
  ASSERT_TRUE(metadata.add("list", GgufValue::array(std::vector<std::string>{"x", "y"})));
  const auto message = [](const auto &result) { return result ? "" : result.error().message; };
  EXPECT_EQ(message(metadata.integer("llama.block_count")), "key 'llama.block_count' is missing");
  EXPECT_EQ(message(metadata.integer("s")), "key 's' is a string, expected an integer");
  EXPECT_EQ(message(metadata.integer("f")), "key 'f' is an f32, expected an integer");
  EXPECT_EQ(message(metadata.integer("b")), "key 'b' is a bool, expected an integer");
  EXPECT_EQ(message(metadata.integer("big")), "key 'big' is 18446744073709551615, larger than any integer used here");
  EXPECT_EQ(message(metadata.number("list")), "key 'list' is an array of strings, expected a number");
  EXPECT_EQ(message(metadata.boolean("f")), "key 'f' is an f32, expected a bool");
  EXPECT_EQ(message(metadata.text("b")), "key 'b' is a bool, expected a string");
  EXPECT_EQ(message(metadata.integers("list")), "key 'list' is an array of strings, expected integers");
  EXPECT_EQ(message(metadata.texts("f")), "key 'f' is an f32, expected strings");
  EXPECT_EQ(message(metadata.add("s", GgufValue::of(1))), "key \"s\" stands twice");
  EXPECT_EQ(metadata.number("f").value(), 0.5);
  EXPECT_EQ(metadata.number("big").value(), 0x1p64);
  EXPECT_EQ(metadata.boolean("b").value(), true);
  EXPECT_THAT(metadata.texts("list").value(), ElementsAre("x", "y"));
  EXPECT_THAT(metadata.texts("s").value(), ElementsAre("text"));
}

TEST(GgufMetadata, KeepsTypesAndNumbers) {
  const std::vector<std::tuple<GgufValue, std::string, std::string, std::string>> values = {
      {GgufValue::of(uint8_t(200)), "a u8", "c8", "200"},
      {GgufValue::of(int8_t(-2)), "an i8", "fe", "-2"},
      {GgufValue::of(uint16_t(0x1234)), "a u16", "3412", "4660"},
      {GgufValue::of(int16_t(-2)), "an i16", "feff", "-2"},
      {GgufValue::of(uint32_t(5)), "a u32", "05000000", "5"},
      {GgufValue::of(int32_t(-5)), "an i32", "fbffffff", "-5"},
      {GgufValue::of(1.5f), "an f32", "0000c03f", "1.5"},
      {GgufValue::of(true), "a bool", "01", "true"},
      {GgufValue::of("hi"), "a string", "0200000000000000 6869", "\"hi\""},
      {GgufValue::of(uint64_t(5)), "a u64", "0500000000000000", "5"},
      {GgufValue::of(int64_t(-5)), "an i64", "fbffffffffffffff", "-5"},
      {GgufValue::of(-2.0), "an f64", "00000000000000c0", "-2.0"},
      {GgufValue::array(std::vector<std::string>{"a"}), "an array of strings",
       "08000000 0100000000000000 0100000000000000 61", "[\"a\"]"},
      {GgufValue::array<float>({}), "an array of f32s", "06000000 0000000000000000", "[]"}};
  for (const auto &[value, type, bytes, json] : values) {
    EXPECT_EQ(value.typeName(), type);
    EXPECT_EQ(value.encode(), samples::fromHex(bytes)) << type;
    EXPECT_EQ(value.toJson().dump(), json);
  }
}

//===- Writing --------------------------------------------------------------------------------------------------===//

const std::vector<GgufSpec> sampleTensors = {{"a", {3, 2}, 0}, {"b", {32}, 8}};

Status writeSample(const std::filesystem::path &path, const GgufMetadata &metadata) {
  QUANTC_ASSIGN(TensorWriter writer, createGguf(path, metadata, sampleTensors, samples::blockOf));
  const std::string whole = samples::gguf();
  QUANTC_TRY(writer.append(bytesOf(whole.substr(224, 24))));
  QUANTC_TRY(writer.append(bytesOf(whole.substr(256, 34))));
  return writer.commit();
}

TEST(GgufWriter, WritesTheVector) {
  const TempDirectory directory;
  const Status status = writeSample(directory / "x.gguf", samples::ggufMetadata());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(readBytes(directory / "x.gguf"), samples::gguf());
}

TEST(GgufWriter, KeepsTheAlignmentOfTheMetadata) {
  const TempDirectory directory;
  GgufMetadata metadata = samples::ggufMetadata();
  ASSERT_TRUE(metadata.add("general.alignment", GgufValue::of(uint32_t(128))));
  ASSERT_TRUE(writeSample(directory / "x.gguf", metadata));
  const auto file = Gguf::open(directory / "x.gguf", samples::blockOf);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->alignment(), 128u);
  EXPECT_EQ((*file)->metadata(), metadata);
  EXPECT_EQ(readBytes(directory / "x.gguf").size() % 128, 0u);
}

TEST(GgufWriter, RefusesWhatAReaderWould) {
  const TempDirectory directory;
  const auto refused = [&](std::vector<GgufSpec> tensors, const GgufMetadata &metadata = {}) {
    return createGguf(directory / "x", metadata, tensors, samples::blockOf).error().message;
  };
  EXPECT_THAT(refused({{std::string(64, 'x'), {1}, 0}}), HasSubstr("its name has 64 bytes"));
  EXPECT_THAT(refused({{"a", {1}, 0}, {"a", {1}, 0}}), HasSubstr("is there twice"));
  EXPECT_THAT(refused({{"a", {2, 16}, 8}}), HasSubstr("blocks of 32"));
  EXPECT_THAT(refused({{"a", {1}, 31}}), HasSubstr("id 31"));
  EXPECT_THAT(refused({{"a", {INT64_MAX / 4}, 0}, {"b", {INT64_MAX / 4}, 0}}),
              HasSubstr("more bytes than a file can hold"));
  GgufMetadata metadata;
  ASSERT_TRUE(metadata.add("general.alignment", GgufValue::of(uint32_t(3))));
  EXPECT_THAT(refused({}, metadata), HasSubstr("power of two"));
}

// A copy of every real file's metadata is the same, whatever the version was.
TEST(GgufWriter, CopiesMetadataByteForByte) {
  const std::filesystem::path folder = testData();
  if (!std::filesystem::exists(folder / "weights" / "gguf"))
    GTEST_SKIP() << folder << " is not there; set QUANTC_TEST_DATA";
  const TempDirectory directory;
  size_t files = 0;
  for (const auto &part : {folder / "weights" / "gguf", folder / "tokenizers" / "ggml-vocab"})
    for (const auto &entry : std::filesystem::directory_iterator(part)) {
      if (entry.path().extension() != ".gguf")
        continue;
      ++files;
      const auto file = Gguf::open(entry.path(), samples::blockOf);
      ASSERT_TRUE(file) << file.error().message;
      auto writer = createGguf(directory / "copy", (*file)->metadata(), {}, samples::blockOf);
      ASSERT_TRUE(writer && writer->commit());
      const auto copy = Gguf::open(directory / "copy", samples::blockOf);
      ASSERT_TRUE(copy) << copy.error().message;
      EXPECT_EQ((*copy)->metadata(), (*file)->metadata());
      if ((*file)->version() != 3)
        continue;
      // The pairs follow the counts in both files; their bytes are those of the source.
      const std::string source = readBytes(entry.path()), written = readBytes(directory / "copy");
      size_t length = 24;
      for (const auto &[key, value] : (*file)->metadata().entries())
        length += 8 + key.size() + 4 + value.encode().size();
      EXPECT_EQ(written.substr(24, length - 24), source.substr(24, length - 24)) << entry.path();
    }
  EXPECT_GE(files, 3u);
}

//===- Splits ---------------------------------------------------------------------------------------------------===//

struct GgufModelTest : testing::Test {
  TempDirectory directory;
  std::string name(int number, int count = 2) { return fmt::format("m-{:05}-of-{:05}.gguf", number, count); }
  void write(const std::string &file, uint16_t number, uint16_t count, int32_t total, const std::string &tensor) {
    GgufMetadata metadata;
    ASSERT_TRUE(metadata.add("split.no", GgufValue::of(number)));
    ASSERT_TRUE(metadata.add("split.count", GgufValue::of(count)));
    ASSERT_TRUE(metadata.add("split.tensors.count", GgufValue::of(total)));
    auto writer = createGguf(directory / file, metadata, {{tensor, {1}, 24}}, samples::blockOf);
    ASSERT_TRUE(writer && writer->append(bytesOf(tensor.substr(0, 1))) && writer->commit());
  }
  std::string open(const std::string &file) {
    const auto model = GgufModel::open(directory / file, samples::blockOf);
    return model ? "" : model.error().message;
  }
};

TEST_F(GgufModelTest, ReadsSplitsFromAnyOfThem) {
  write(name(1), 0, 2, 2, "a");
  write(name(2), 1, 2, 2, "b");
  for (int number : {1, 2}) {
    const auto model = GgufModel::open(directory / name(number), samples::blockOf);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->files().size(), 2u);
    EXPECT_EQ(model->metadata().integer("split.no").value(), 0);
    EXPECT_EQ(text(model->find("b")->bytes), "b");
    EXPECT_EQ(model->find("c"), nullptr);
  }
}

TEST_F(GgufModelTest, RefusesSplitsThatDoNotFit) {
  write(name(1), 0, 2, 2, "a");
  EXPECT_THAT(open(name(1)), HasSubstr("m-00002-of-00002.gguf: cannot open"));
  write(name(2), 1, 2, 2, "a");
  EXPECT_THAT(open(name(1)), HasSubstr("holds tensor \"a\", which another split holds too"));
  write(name(2), 0, 2, 2, "b");
  EXPECT_THAT(open(name(1)), HasSubstr("says that it is split 1 of 2, its name says 2 of 2"));
  write(name(2), 1, 2, 2, "b");
  write(name(1), 0, 2, 3, "a");
  EXPECT_THAT(open(name(1)), HasSubstr("hold 2 tensors together, they should hold 3"));
  write("other.gguf", 0, 2, 2, "a");
  EXPECT_THAT(open("other.gguf"), HasSubstr("is one of 2 splits, whose names end with -00001-of-00002.gguf"));
  write("merged.gguf", 0, 0, 1, "a");
  EXPECT_EQ(open("merged.gguf"), "");
}

} // namespace
