//===- GgufMetadata.h - the key-value pairs of a GGUF file ------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// The file's numbering.
enum class GgufType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

/// "u32", "string" …, for messages.
std::string_view ggufTypeName(GgufType type);

/// A value as the file has it: its type is kept, and its numbers bit by bit.
class GgufValue {
public:
  /// A scalar of the type of the argument.
  template <typename T>
    requires std::integral<T> || std::floating_point<T>
  static GgufValue of(T value) {
    return numbers(typeOf<T>(), false, {reinterpret_cast<const std::byte *>(&value), sizeof value}, 1);
  }
  static GgufValue of(std::string_view value);
  static GgufValue of(const char *value) { return of(std::string_view(value)); }
  /// An array of the type of the argument's elements.
  template <typename T> static GgufValue array(std::span<const T> values) {
    return numbers(typeOf<T>(), true, std::as_bytes(values), values.size());
  }
  static GgufValue array(std::vector<std::string> values);
  /// `count` little-endian numbers of `type`, which is neither String nor Array; a scalar where not `isArray`.
  static GgufValue numbers(GgufType type, bool isArray, std::span<const std::byte> bytes, uint64_t count);

  bool isArray() const { return arrayed; }
  /// Of the value, or of the elements of the array.
  GgufType elementType() const { return element; }
  /// 1 for a scalar.
  uint64_t size() const { return count; }
  /// "u32", "array of strings" …
  std::string typeName() const;

  /// The value as what is asked for, or an error "is a string, expected an integer". Integers of any width are integers
  /// if they lie within int64; both integers and floats are numbers. A scalar is also read as an array of one.
  Result<int64_t> integer() const;
  Result<double> number() const;
  Result<bool> boolean() const;
  Result<std::string> text() const;
  Result<std::vector<int64_t>> integers() const;
  Result<std::vector<double>> allNumbers() const;
  Result<std::vector<std::string>> texts() const;
  nlohmann::json toJson() const;

  /// As files of version 2 and 3 have it, after its type: for an array its element type, its length and its elements.
  std::string encode() const;
  bool operator==(const GgufValue &) const = default;

private:
  template <typename T> static constexpr GgufType typeOf();
  Result<int64_t> integerAt(uint64_t index) const;
  Result<double> numberAt(uint64_t index) const;
  Status expectScalar(std::string_view wanted) const;
  tl::unexpected<Error> mismatch(std::string_view wanted) const;

  GgufType element = GgufType::U8;
  bool arrayed = false;
  uint64_t count = 0;
  std::string bytes;                ///< numbers
  std::vector<std::string> strings; ///< of type String
};

/// Keys in the file's order.
class GgufMetadata {
public:
  /// Fails on a key that is empty, too long or there already.
  Status add(std::string key, GgufValue value);
  /// Null where the key is missing.
  const GgufValue *find(std::string_view key) const;
  const std::vector<std::pair<std::string, GgufValue>> &entries() const { return values; }

  /// As the accessors of GgufValue. Fails with "key 'llama.block_count' is missing", or "… is a string, expected an
  /// integer".
  Result<int64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::vector<int64_t>> integers(std::string_view key) const;
  Result<std::vector<double>> numbers(std::string_view key) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  /// All as one flat object.
  nlohmann::json toJson() const;

  bool operator==(const GgufMetadata &other) const { return values == other.values; }

private:
  std::vector<std::pair<std::string, GgufValue>> values;
  std::map<std::string, size_t, std::less<>> byKey;
};

template <typename T> constexpr GgufType GgufValue::typeOf() {
  if constexpr (std::same_as<T, bool>)
    return GgufType::Bool;
  else if constexpr (std::floating_point<T>)
    return sizeof(T) == 4 ? GgufType::F32 : GgufType::F64;
  else if constexpr (sizeof(T) == 8)
    return std::signed_integral<T> ? GgufType::I64 : GgufType::U64;
  else
    return static_cast<GgufType>((sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 2 : 4) + std::signed_integral<T>);
}

} // namespace quantc
