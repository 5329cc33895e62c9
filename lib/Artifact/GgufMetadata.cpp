//===- GgufMetadata.cpp - the key-value pairs of a GGUF file ----------------------------------------------------===//

#include "quantc/Artifact/GgufMetadata.h"
#include "GgufLayout.h"
#include "quantc/Support/Text.h"
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

using namespace quantc;

static_assert(std::endian::native == std::endian::little, "values are kept as the file has them");

//===- Types ----------------------------------------------------------------------------------------------------===//

namespace {

struct TypeInfo {
  std::string_view name, described;
  size_t bytes; ///< 0: not of a fixed size
};

/// In the file's numbering.
constexpr std::array<TypeInfo, 13> typeInfos = {{{"u8", "a u8", 1},
                                                 {"i8", "an i8", 1},
                                                 {"u16", "a u16", 2},
                                                 {"i16", "an i16", 2},
                                                 {"u32", "a u32", 4},
                                                 {"i32", "an i32", 4},
                                                 {"f32", "an f32", 4},
                                                 {"bool", "a bool", 1},
                                                 {"string", "a string", 0},
                                                 {"array", "an array", 0},
                                                 {"u64", "a u64", 8},
                                                 {"i64", "an i64", 8},
                                                 {"f64", "an f64", 8}}};

const TypeInfo &infoOf(GgufType type) {
  return typeInfos[static_cast<size_t>(type)];
}

/// Calls `function` with the number as the C++ type that it has.
template <typename Function> auto withNumber(GgufType type, const char *bytes, Function function) {
  const auto as = [&]<typename T>(T value) {
    std::memcpy(&value, bytes, sizeof value);
    return function(value);
  };
  switch (type) {
  case GgufType::I8:
    return as(int8_t());
  case GgufType::U16:
    return as(uint16_t());
  case GgufType::I16:
    return as(int16_t());
  case GgufType::U32:
    return as(uint32_t());
  case GgufType::I32:
    return as(int32_t());
  case GgufType::F32:
    return as(float());
  case GgufType::U64:
    return as(uint64_t());
  case GgufType::I64:
    return as(int64_t());
  case GgufType::F64:
    return as(double());
  default: // u8 and bool, whose byte need not be 0 or 1
    return as(uint8_t());
  }
}

} // namespace

std::string_view quantc::ggufTypeName(GgufType type) {
  return infoOf(type).name;
}

size_t quantc::ggufNumberBytes(GgufType type) {
  return infoOf(type).bytes;
}

//===- Values ---------------------------------------------------------------------------------------------------===//

GgufValue GgufValue::numbers(GgufType type, bool isArray, std::span<const std::byte> bytes, uint64_t count) {
  GgufValue value;
  value.element = type;
  value.arrayed = isArray;
  value.count = count;
  value.bytes.assign(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  return value;
}

GgufValue GgufValue::of(std::string_view text) {
  GgufValue value = array(std::vector{std::string(text)});
  value.arrayed = false;
  return value;
}

GgufValue GgufValue::array(std::vector<std::string> values) {
  GgufValue value;
  value.element = GgufType::String;
  value.arrayed = true;
  value.count = values.size();
  value.strings = std::move(values);
  return value;
}

std::string GgufValue::typeName() const {
  return arrayed ? fmt::format("an array of {}s", infoOf(element).name) : std::string(infoOf(element).described);
}

tl::unexpected<Error> GgufValue::mismatch(std::string_view wanted) const {
  return fail("is {}, expected {}", typeName(), wanted);
}

Status GgufValue::expectScalar(std::string_view wanted) const {
  if (arrayed)
    return mismatch(wanted);
  return {};
}

Result<int64_t> GgufValue::integerAt(uint64_t index) const {
  if (element == GgufType::String || element == GgufType::Bool)
    return mismatch(arrayed ? "integers" : "an integer");
  return withNumber(element, bytes.data() + index * infoOf(element).bytes, [&](auto number) -> Result<int64_t> {
    if constexpr (std::floating_point<decltype(number)>)
      return mismatch(arrayed ? "integers" : "an integer");
    else if (!std::in_range<int64_t>(number))
      return fail("is {}, larger than any integer used here", number);
    else
      return static_cast<int64_t>(number);
  });
}

Result<double> GgufValue::numberAt(uint64_t index) const {
  if (element == GgufType::String || element == GgufType::Bool)
    return mismatch(arrayed ? "numbers" : "a number");
  return withNumber(element, bytes.data() + index * infoOf(element).bytes,
                    [](auto number) { return static_cast<double>(number); });
}

Result<int64_t> GgufValue::integer() const {
  QUANTC_TRY(expectScalar("an integer"));
  return integerAt(0);
}

Result<double> GgufValue::number() const {
  QUANTC_TRY(expectScalar("a number"));
  return numberAt(0);
}

Result<bool> GgufValue::boolean() const {
  if (arrayed || element != GgufType::Bool)
    return mismatch("a bool");
  return bytes[0] != 0;
}

Result<std::string> GgufValue::text() const {
  if (arrayed || element != GgufType::String)
    return mismatch("a string");
  return strings[0];
}

Result<std::vector<int64_t>> GgufValue::integers() const {
  std::vector<int64_t> result;
  for (uint64_t i = 0; i < count; ++i) {
    QUANTC_ASSIGN(const int64_t value, integerAt(i));
    result.push_back(value);
  }
  return result;
}

Result<std::vector<double>> GgufValue::allNumbers() const {
  std::vector<double> result;
  for (uint64_t i = 0; i < count; ++i) {
    QUANTC_ASSIGN(const double value, numberAt(i));
    result.push_back(value);
  }
  return result;
}

Result<std::vector<std::string>> GgufValue::texts() const {
  if (element != GgufType::String)
    return mismatch("strings");
  return strings;
}

nlohmann::json GgufValue::toJson() const {
  const auto at = [&](uint64_t i) -> nlohmann::json {
    if (element == GgufType::String)
      return strings[i];
    if (element == GgufType::Bool)
      return bytes[i] != 0;
    return withNumber(element, bytes.data() + i * infoOf(element).bytes,
                      [](auto number) { return nlohmann::json(number); });
  };
  if (!arrayed)
    return at(0);
  nlohmann::json result = nlohmann::json::array();
  for (uint64_t i = 0; i < count; ++i)
    result.push_back(at(i));
  return result;
}

std::string GgufValue::encode() const {
  std::string result;
  if (arrayed) {
    appendLittleEndian(result, static_cast<uint32_t>(element));
    appendLittleEndian(result, count);
  }
  result += bytes;
  for (const std::string &text : strings)
    appendGgufString(result, text);
  return result;
}

//===- Keys -----------------------------------------------------------------------------------------------------===//

Status GgufMetadata::add(std::string key, GgufValue value) {
  constexpr size_t maxKey = 65535;
  if (key.empty() || key.size() > maxKey)
    return fail("a key has {} bytes; 1 to {} are allowed", key.size(), maxKey);
  if (!byKey.emplace(key, values.size()).second)
    return fail("key {} stands twice", inQuotes(key));
  values.emplace_back(std::move(key), std::move(value));
  return {};
}

const GgufValue *GgufMetadata::find(std::string_view key) const {
  const auto found = byKey.find(key);
  return found == byKey.end() ? nullptr : &values[found->second].second;
}

/// What `read` makes of the value of a key; errors name the key.
template <typename Read>
static auto readKey(const GgufMetadata &metadata, std::string_view key, Read read)
    -> std::invoke_result_t<Read, const GgufValue &> {
  const GgufValue *value = metadata.find(key);
  if (!value)
    return fail("key '{}' is missing", key);
  auto result = std::invoke(read, *value);
  if (!result)
    return fail("key '{}' {}", key, result.error().message);
  return result;
}

Result<int64_t> GgufMetadata::integer(std::string_view key) const {
  return readKey(*this, key, &GgufValue::integer);
}
Result<double> GgufMetadata::number(std::string_view key) const {
  return readKey(*this, key, &GgufValue::number);
}
Result<bool> GgufMetadata::boolean(std::string_view key) const {
  return readKey(*this, key, &GgufValue::boolean);
}
Result<std::string> GgufMetadata::text(std::string_view key) const {
  return readKey(*this, key, &GgufValue::text);
}
Result<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  return readKey(*this, key, &GgufValue::integers);
}
Result<std::vector<double>> GgufMetadata::numbers(std::string_view key) const {
  return readKey(*this, key, &GgufValue::allNumbers);
}
Result<std::vector<std::string>> GgufMetadata::texts(std::string_view key) const {
  return readKey(*this, key, &GgufValue::texts);
}

nlohmann::json GgufMetadata::toJson() const {
  nlohmann::json result = nlohmann::json::object();
  for (const auto &[key, value] : values)
    result[key] = value.toJson();
  return result;
}
