//===- Result.h - a value or one clear error --------------------------------------------------------------------===//
//
// The libraries without LLVM report failure by value: `Result<T>` holds a T or an Error. An error is one line that says
// what is wrong, where, and what to do; the driver prints it and exits 1.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <fmt/format.h>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace quantc {

/// Why something failed: one line for a person, without a trailing full stop.
struct Error {
  std::string message;
  bool operator==(const Error &) const = default;
};

template <typename T> using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

/// `return fail("{}: expected {} bytes, found {}", path, want, got);` from a function that returns a Result.
template <typename... Args> tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args &&...args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

/// The same error with a place put before it: `return failAt(path, r.error());`
inline tl::unexpected<Error> failAt(std::string_view where, const Error &error) {
  return tl::unexpected<Error>(Error{fmt::format("{}: {}", where, error.message)});
}

/// Passes an error on to the caller of the enclosing function.
#define QUANTC_TRY(expression)                                                                                         \
  do {                                                                                                                 \
    if (auto quantcStatus = (expression); !quantcStatus)                                                               \
      return tl::unexpected<::quantc::Error>(std::move(quantcStatus.error()));                                         \
  } while (false)

/// `QUANTC_ASSIGN(auto file, MappedFile::open(path));` declares and assigns, or passes the error on.
#define QUANTC_ASSIGN(declaration, expression) QUANTC_ASSIGN_AT(declaration, expression, __COUNTER__)
#define QUANTC_ASSIGN_AT(declaration, expression, id) QUANTC_ASSIGN_AS(declaration, expression, id)
#define QUANTC_ASSIGN_AS(declaration, expression, id)                                                                  \
  auto quantcResult##id = (expression);                                                                                \
  if (!quantcResult##id)                                                                                               \
    return tl::unexpected<::quantc::Error>(std::move(quantcResult##id.error()));                                       \
  declaration = std::move(*quantcResult##id)

} // namespace quantc
