//===- Json.h - JSON from outside -------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <nlohmann/json.hpp>

namespace quantc {

/// Reads a JSON text; objects keep their order. Fails, beside on what is no JSON in UTF-8, on a key that stands twice
/// in an object, nesting deeper than 64, and more than four million values: time and memory are linear in the text, and
/// bounded.
Result<nlohmann::ordered_json> parseJson(std::string_view text);

/// The JSON object in a file of at most `limit` bytes, by the rules of `parseJson`.
Result<nlohmann::json> readJsonObject(const std::filesystem::path &path, uint64_t limit = 64u << 20);

/// A zero byte is nowhere valid in JSON, but the parser takes it for the end of the text.
Status refuseNul(std::string_view text);

} // namespace quantc
