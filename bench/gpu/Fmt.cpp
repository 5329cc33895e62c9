//===- Fmt.cpp - the compiled part of {fmt}, which Debian has as a shared library only ----------------------------===//
//
// So that the program needs no library of C++ on a machine whose own may be older.
//
//===------------------------------------------------------------------------------------------------------------===//

#include <fmt/format-inl.h>

// What the headers declare as instantiated elsewhere.
template fmt::detail::thousands_sep_result<char> fmt::detail::thousands_sep_impl<char>(fmt::detail::locale_ref);
template char fmt::detail::decimal_point_impl<char>(fmt::detail::locale_ref);
template void fmt::detail::vformat_to<char>(fmt::detail::buffer<char> &, fmt::string_view,
                                            basic_format_args<FMT_BUFFER_CONTEXT(char)>, fmt::detail::locale_ref);
