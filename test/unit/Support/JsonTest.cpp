//===- JsonTest.cpp ---------------------------------------------------------------------------------------------===//

#include "quantc/Support/Json.h"
#include "quantc/Support/Files.h"
#include <gmock/gmock.h>
#include <unistd.h>

using namespace quantc;
using testing::HasSubstr;

namespace {
Result<nlohmann::json> read(std::string_view text) {
  const std::string path = testing::TempDir() + "json-" + std::to_string(::getpid()) + ".json";
  auto file = AtomicFile::create(path);
  EXPECT_TRUE(file && file->write(text) && file->commit());
  auto result = readJsonObject(path, 1 << 20);
  std::filesystem::remove(path);
  return result;
}

TEST(Json, ObjectsAreRead) {
  EXPECT_EQ(read(R"({"b": [1, -2, 0.5, true, null], "a": {"c": "\u00e9"}})").value(),
            nlohmann::json({{"b", {1, -2, 0.5, true, nullptr}}, {"a", {{"c", "\xc3\xa9"}}}}));
}

TEST(Json, WhatIsNoObjectIsRefusedWithTheFile) {
  for (const char *text : {"", "[1]", "7", "{", "{\"a\": 1,}", "{\"a\": 01}", "{\"a\": \"\xff\"}", "{} {}"})
    EXPECT_THAT(read(text).error().message, HasSubstr(".json: not a JSON object")) << text;
  EXPECT_THAT(read(R"({"a": 1, "a": 2})").error().message, HasSubstr("twice"));
  EXPECT_THAT(read(std::string(2 << 20, ' ')).error().message, HasSubstr("more than the 1048576"));
}

TEST(Json, NestingIsBounded) {
  auto nested = [](size_t depth) { return "{\"a\": " + std::string(depth, '[') + std::string(depth, ']') + "}"; };
  EXPECT_TRUE(read(nested(50)));
  EXPECT_THAT(read(nested(70)).error().message, HasSubstr("deeper"));
  EXPECT_THAT(read(nested(400'000)).error().message, HasSubstr("deeper"));
}
} // namespace
