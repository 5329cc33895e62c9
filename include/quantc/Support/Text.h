//===- Text.h - names from files, for messages ------------------------------------------------------------------===//
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace quantc {

/// A name in quotes that fits into one line of a message, whatever bytes it has.
inline std::string inQuotes(std::string_view name) {
  constexpr size_t most = 100;
  const std::string shown = std::string(name.substr(0, most)) + (name.size() > most ? "…" : "");
  return nlohmann::json(shown).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace quantc
