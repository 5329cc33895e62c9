//===- SafetensorsTest.cpp --------------------------------------------------------------------------------------===//

#include "quantc/Artifact/Safetensors.h"
#include "Consistent.h"
#include "TestFiles.h"
#include <gmock/gmock.h>

using namespace quantc;
using samples::safetensorsFile;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

/// Why a file is refused; empty where it is accepted.
std::string refusal(const std::string &bytes) {
  const MemoryFile file(bytes);
  const auto result = Safetensors::open(file.path());
  if (result) {
    EXPECT_EQ(whatIsWrong(**result, bytes), "");
  }
  return messageOf(result, file.path());
}
std::string refusal(const std::string &header, const std::string &data) {
  return refusal(safetensorsFile(header, data));
}

/// The sample with a part of its header replaced.
std::string changed(const std::string &from, const std::string &to) {
  std::string header = samples::safetensorsHeader();
  EXPECT_NE(header.find(from), std::string::npos);
  return safetensorsFile(header.replace(header.find(from), from.size(), to), samples::safetensorsData());
}

//===- Reading --------------------------------------------------------------------------------------------------===//

TEST(Safetensors, ReadsTheVector) {
  const std::string bytes = samples::safetensors();
  ASSERT_EQ(bytes.size(), 172u);
  const auto file = Safetensors::read(MemoryFile(bytes).map());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 2u);
  const SafetensorsEntry &b = (*file)->tensors()[0];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.dtype, "I32");
  EXPECT_THAT(b.shape, testing::ElementsAre(3));
  EXPECT_EQ(text(b.bytes), samples::safetensorsData().substr(0, 12));
  EXPECT_EQ((*file)->offset(b), 152u);
  const SafetensorsEntry *a = (*file)->find("a");
  ASSERT_TRUE(a);
  EXPECT_THAT(a->shape, testing::ElementsAre(2, 2));
  EXPECT_EQ(text(a->bytes), samples::safetensorsData().substr(12));
  EXPECT_EQ((*file)->find("c"), nullptr);
  EXPECT_THAT((*file)->metadata(), testing::ElementsAre(testing::Pair("format", "pt")));
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(refusal("{}", ""), "");
  EXPECT_EQ(refusal("{}   ", ""), "");
  EXPECT_EQ(refusal(R"({"scalar":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", "12345678"), "");
  EXPECT_EQ(refusal(R"({"empty":{"shape":[3,0],"data_offsets":[0,0],"dtype":"F64"}})", ""), "");
  EXPECT_EQ(refusal(R"({"half bytes":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", "12"), "");
  EXPECT_EQ(
      refusal(
          R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},)"
          R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
          "12"),
      "");
}

TEST(Safetensors, KnowsTheTypes) {
  const std::map<std::string, unsigned> bits = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"I16", 16},        {"U16", 16},
      {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},        {"F8_E5M2FNUZ", 8}, {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  for (const auto &[name, size] : bits)
    EXPECT_EQ(safetensorsBits(name), size) << name;
  EXPECT_EQ(safetensorsBits("I4"), std::nullopt);
  EXPECT_EQ(safetensorsBits(""), std::nullopt);
}

TEST(Safetensors, RefusesWithAReason) {
  const std::string whole = samples::safetensors();
  const auto withLength = [&](uint64_t length) {
    std::string bytes = whole;
    std::memcpy(bytes.data(), &length, 8);
    return refusal(bytes);
  };
  EXPECT_THAT(refusal(std::string()), HasSubstr("too few"));
  EXPECT_THAT(refusal("1234567"), HasSubstr("too few"));
  EXPECT_THAT(withLength(100'000'001), HasSubstr("100000001 bytes, more than the 100000000"));
  EXPECT_THAT(withLength(UINT64_MAX), HasSubstr("more than the 100000000"));
  EXPECT_THAT(withLength(165), HasSubstr("does not fit the file of 172 bytes"));
  EXPECT_THAT(withLength(0), HasSubstr("does not begin with {"));
  EXPECT_THAT(refusal(" {}", ""), HasSubstr("does not begin with {"));
  EXPECT_THAT(refusal(whole + "x"), HasSubstr("1 bytes follow the last tensor"));
  EXPECT_THAT(refusal(whole.substr(0, 171)), HasSubstr("is it complete?"));
  EXPECT_THAT(refusal("{\"a\xff\":1}", ""), HasSubstr("no valid JSON in UTF-8 at byte 4"));
  EXPECT_THAT(refusal("{", ""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal("{} x", ""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal(std::string("{}\0", 3), ""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal("{" + std::string(1000000, '['), ""), HasSubstr("no valid JSON"));
}

TEST(Safetensors, RefusesHeadersOfAnotherForm) {
  EXPECT_THAT(refusal(changed("[0,12]", "[0,13]")), HasSubstr("takes 12 bytes, its offsets [0, 13] say 13"));
  EXPECT_THAT(refusal(changed("[12,20]", "[11,20]")), HasSubstr("a hole or an overlap"));
  EXPECT_THAT(refusal(changed("[12,20]", "[13,21]")), HasSubstr("a hole or an overlap"));
  EXPECT_THAT(refusal(changed("[12,20]", "[20,12]")), HasSubstr("a hole or an overlap"));
  EXPECT_THAT(refusal(changed("[12,20]", "[12,11]")), HasSubstr("a hole or an overlap"));
  EXPECT_THAT(refusal(changed("[12,20]", "[12]")), HasSubstr("has 1 numbers instead of 2"));
  EXPECT_THAT(refusal(changed("[12,20]", "[12,20,20]")), HasSubstr("has 3 numbers instead of 2"));
  EXPECT_THAT(refusal(changed("[12,20]", "[-12,20]")), HasSubstr("the number -12 is not allowed in data_offsets"));
  EXPECT_THAT(refusal(changed("[12,20]", "[12,20.0]")), HasSubstr("the number 20.0 is not allowed"));
  EXPECT_THAT(refusal(changed("[12,20]", "[12,18446744073709551615]")), HasSubstr("is not allowed"));
  EXPECT_THAT(refusal(changed("[12,20]", "12")), HasSubstr("the number 12 is not allowed"));
  EXPECT_THAT(refusal(changed("[2,2]", "[[2,2]]")), HasSubstr("an array is not allowed in shape"));
  EXPECT_THAT(refusal(changed("[2,2]", "[\"2\",2]")), HasSubstr("a string is not allowed in shape"));
  EXPECT_THAT(refusal(changed("[2,2]", "[4611686018427387904,4611686018427387904]")), HasSubstr("can be addressed"));
  EXPECT_THAT(refusal(changed("[2,2]", "[2,4611686018427387904]")), HasSubstr("can be addressed"));
  EXPECT_THAT(refusal(changed("\"F16\"", "\"f16\"")), HasSubstr("unknown type \"f16\""));
  EXPECT_THAT(refusal(changed("\"F16\"", "16")), HasSubstr("the number 16 is not allowed in dtype"));
  EXPECT_THAT(refusal(changed("\"dtype\":\"F16\",", "")), HasSubstr("tensor \"a\" lacks dtype"));
  EXPECT_THAT(refusal(changed("\"shape\":[2,2],", "")), HasSubstr("tensor \"a\" lacks shape"));
  EXPECT_THAT(refusal(changed("\"dtype\":\"F16\"", "\"dtype\":\"F16\",\"dtype\":\"F16\"")),
              HasSubstr("has dtype twice"));
  EXPECT_THAT(refusal(changed("\"dtype\":\"F16\"", "\"dtype\":\"F16\",\"strides\":1")),
              HasSubstr("unknown key \"strides\""));
  EXPECT_THAT(refusal(changed("\"a\":", "\"b\":")), HasSubstr("the name \"b\" stands twice"));
  EXPECT_THAT(refusal(changed("{\"format\":\"pt\"}", "{\"format\":1}")), HasSubstr("only strings are allowed"));
  EXPECT_THAT(refusal(changed("{\"format\":\"pt\"}", "{\"format\":\"pt\",\"format\":\"pt\"}")),
              HasSubstr("stands twice"));
  EXPECT_THAT(refusal(changed("{\"format\":\"pt\"}", "[]")), HasSubstr("is an array instead of an object"));
  EXPECT_THAT(refusal(changed("\"a\":{", "\"c\":null,\"a\":{")), HasSubstr("\"c\" is null instead of an object"));
  EXPECT_THAT(refusal(R"({"x":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", "12"),
              HasSubstr("no whole number of bytes"));
  EXPECT_THAT(refusal(R"({"x\n":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", "12"),
              HasSubstr("tensor \"x\\n\""));
}

TEST(Safetensors, TruncatedFilesAreRefused) {
  const std::string whole = samples::safetensors();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
}

// Some flips make another valid file (a name, a byte of data); all of those agree with themselves.
TEST(Safetensors, FlippedBitsAreRefusedOrConsistent) {
  const std::string whole = samples::safetensors();
  size_t refused = 0;
  for (size_t bit = 0; bit < 8 * (whole.size() - 20); ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    refused += refusal(bytes) != "";
  }
  EXPECT_GT(refused, 900u);
}

//===- Models ---------------------------------------------------------------------------------------------------===//

struct SafetensorsModelTest : testing::Test {
  TempDirectory directory;
  static std::string shard(const std::string &name) {
    return safetensorsFile("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  }
  void SetUp() override {
    writeBytes(directory / "model-00001-of-00002.safetensors", shard("first"));
    writeBytes(directory / "model-00002-of-00002.safetensors", shard("second"));
  }
  std::string open(const std::string &weightMap) {
    writeBytes(directory / "model.safetensors.index.json",
               R"({"metadata":{"total_size":2},"weight_map":)" + weightMap + "}");
    const auto model = SafetensorsModel::open(directory.path);
    if (!model) {
      EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
      EXPECT_THAT(model.error().message, StartsWith(directory.path.string()));
      return model.error().message;
    }
    EXPECT_TRUE(model->find("first") && model->find("second") && !model->find("third"));
    return "";
  }
};

TEST_F(SafetensorsModelTest, ReadsShards) {
  EXPECT_EQ(open(R"({"first":"model-00001-of-00002.safetensors","second":"model-00002-of-00002.safetensors"})"), "");
}

TEST_F(SafetensorsModelTest, RefusesShardsThatAreNotAsTheIndexSays) {
  EXPECT_THAT(open(R"({"first":"model-00001-of-00002.safetensors","second":"model-00003-of-00002.safetensors"})"),
              HasSubstr("model-00003-of-00002.safetensors\", which is not there"));
  EXPECT_THAT(open(R"({"first":"model-00002-of-00002.safetensors","second":"model-00001-of-00002.safetensors"})"),
              HasSubstr("lacks tensor \"second\", which the index says"));
  writeBytes(directory / "model-00002-of-00002.safetensors",
             safetensorsFile(R"({"second":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                             R"("first":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                             ""));
  EXPECT_THAT(open(R"({"first":"model-00001-of-00002.safetensors","second":"model-00002-of-00002.safetensors"})"),
              HasSubstr("holds tensor \"first\", which the index does not say"));
}

TEST_F(SafetensorsModelTest, RefusesNamesOutsideTheDirectory) {
  for (const char *name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "", ".", "..", "x\\u0000"})
    EXPECT_THAT(open(R"({"first":")" + std::string(name) + "\"}"), HasSubstr("is no name of a file")) << name;
}

TEST_F(SafetensorsModelTest, RefusesIndexesOfAnotherForm) {
  EXPECT_THAT(open("7"), HasSubstr("lacks the object weight_map"));
  EXPECT_THAT(open(R"({"first":1})"), HasSubstr("is no string"));
  EXPECT_THAT(open(R"({"first":"a","first":"b"})"), HasSubstr("stands twice"));
  EXPECT_THAT(open("{"), HasSubstr("no valid JSON"));
  EXPECT_THAT(open(std::string(100000, '[')), HasSubstr("nested deeper than 64"));
}

TEST_F(SafetensorsModelTest, WithoutAnIndexADirectoryHoldsOneFile) {
  EXPECT_THAT(SafetensorsModel::open(directory.path).error().message, HasSubstr("holds 2 safetensors files"));
  std::filesystem::remove(directory / "model-00001-of-00002.safetensors");
  EXPECT_TRUE(SafetensorsModel::open(directory.path)->find("second"));
  std::filesystem::remove(directory / "model-00002-of-00002.safetensors");
  EXPECT_THAT(SafetensorsModel::open(directory.path).error().message, HasSubstr("holds no safetensors file"));
  EXPECT_THAT(SafetensorsModel::open(directory / "none").error().message, HasSubstr("cannot open"));
}

//===- Writing --------------------------------------------------------------------------------------------------===//

TEST(SafetensorsWriter, WritesTheVector) {
  const TempDirectory directory;
  const auto path = directory / "x.safetensors";
  {
    auto writer = createSafetensors(path, {{"a", "F16", {2, 2}}, {"b", "I32", {3}}}, {.metadata = {{"format", "pt"}}});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_EQ(writer->tensors().size(), 2u);
    EXPECT_EQ(writer->tensors()[0].name, "b");
    const std::string data = samples::safetensorsData();
    // In pieces that do not end with tensors, except where they must.
    ASSERT_TRUE(writer->append(bytesOf(data.substr(0, 5))));
    EXPECT_FALSE(writer->append(bytesOf(data.substr(5))));
    ASSERT_TRUE(writer->append(bytesOf(data.substr(5, 7))));
    EXPECT_THAT(writer->commit().error().message, HasSubstr("tensor \"a\" of 8 bytes is not complete"));
    ASSERT_TRUE(writer->append(bytesOf(data.substr(12))));
    EXPECT_FALSE(writer->append(bytesOf("x")));
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE(writer->commit());
  }
  EXPECT_EQ(readBytes(path), samples::safetensors());
}

TEST(SafetensorsWriter, OrdersByTypeThenName) {
  const TempDirectory directory;
  const auto writer = createSafetensors(
      directory / "x", {{"d", "U8", {1}}, {"b", "F16", {1}}, {"a", "BF16", {1}}, {"c", "F16", {1}}, {"e", "I64", {0}}});
  ASSERT_TRUE(writer);
  std::string order;
  for (const TensorExtent &tensor : writer->tensors())
    order += tensor.name;
  EXPECT_EQ(order, "eabcd");
}

TEST(SafetensorsWriter, RefusesWhatAReaderWould) {
  const TempDirectory directory;
  const auto refused = [&](std::vector<SafetensorsSpec> tensors) {
    return createSafetensors(directory / "x", std::move(tensors)).error().message;
  };
  EXPECT_THAT(refused({{"a", "U8", {1}}, {"a", "U8", {1}}}), HasSubstr("the name is taken"));
  EXPECT_THAT(refused({{"__metadata__", "U8", {1}}}), HasSubstr("the name is taken"));
  EXPECT_THAT(refused({{"a", "I4", {2}}}), HasSubstr("unknown type"));
  EXPECT_THAT(refused({{"a", "U8", {-1}}}), HasSubstr("negative"));
  std::vector<SafetensorsSpec> large;
  for (const char *name : {"a", "b", "c", "d", "e"})
    large.push_back({name, "U8", {INT64_MAX / 4}});
  EXPECT_THAT(refused(large), HasSubstr("more bytes than a file can hold"));
  EXPECT_THAT(refused({{"a\xff", "U8", {1}}}), HasSubstr("UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path));
}

TEST(SafetensorsWriter, WritesShards) {
  const TempDirectory directory;
  auto writer = ShardedSafetensorsWriter::create(
      directory.path, {{"a", "U8", {6}}, {"b", "U8", {4}}, {"c", "U8", {100}}, {"d", "U8", {0}}, {"e", "U8", {1}}}, 10);
  ASSERT_TRUE(writer) << writer.error().message;
  EXPECT_THAT(writer->order(), testing::ElementsAre("a", "b", "c", "d", "e"));
  for (size_t size : {6, 4, 100, 1})
    ASSERT_TRUE(writer->append(bytesOf(std::string(size, static_cast<char>('a' + size)))));
  ASSERT_TRUE(writer->commit());
  const auto model = SafetensorsModel::open(directory.path);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->files().size(), 3u);
  EXPECT_EQ(model->files()[0]->tensors().size(), 2u);
  EXPECT_EQ(text(model->find("e")->bytes), "b");
  EXPECT_EQ(readBytes(directory / "model.safetensors.index.json"), R"({
  "metadata": {
    "total_size": 111
  },
  "weight_map": {
    "a": "model-00001-of-00003.safetensors",
    "b": "model-00001-of-00003.safetensors",
    "c": "model-00002-of-00003.safetensors",
    "d": "model-00003-of-00003.safetensors",
    "e": "model-00003-of-00003.safetensors"
  }
}
)");
}

TEST(SafetensorsWriter, OneShardNeedsNoIndex) {
  const TempDirectory directory;
  auto writer = ShardedSafetensorsWriter::create(directory.path, {{"a", "U8", {1}}});
  ASSERT_TRUE(writer && writer->append(bytesOf("x")) && writer->commit());
  EXPECT_FALSE(std::filesystem::exists(directory / "model.safetensors.index.json"));
  EXPECT_TRUE(Safetensors::open(directory / "model.safetensors"));
}

} // namespace
