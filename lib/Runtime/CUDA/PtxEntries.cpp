//===- PtxEntries.cpp - the kernels of a PTX text -----------------------------------------------------------------===//

#include "PtxEntries.h"
#include "quantc/Support/Text.h"

using namespace quantc;

static constexpr std::string_view entryWord = ".entry", parameterWord = ".param", space = " \t\r\n";

/// The text up to one of `ends`, which is taken off `rest` with it; everything where there is none.
static std::string_view take(std::string_view &rest, std::string_view ends) {
  const size_t end = std::min(rest.find_first_of(ends), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(end);
  return taken;
}

static std::string_view takeWord(std::string_view &rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(space), rest.size()));
  return take(rest, " \t\r\n(),");
}

Result<std::map<std::string, size_t, std::less<>>> cuda::ptxEntries(std::string_view ptx) {
  if (ptx.find('\0') != std::string_view::npos || ptx.find(".version") == std::string_view::npos)
    return fail("is no text in PTX");
  std::map<std::string, size_t, std::less<>> entries;
  for (size_t at = ptx.find(entryWord); at != std::string_view::npos; at = ptx.find(entryWord, at + 1)) {
    std::string_view rest = ptx.substr(at + entryWord.size());
    const std::string_view name = takeWord(rest);
    rest.remove_prefix(std::min(rest.find_first_not_of(space), rest.size()));
    if (name.empty() || !rest.starts_with('('))
      return fail("has a kernel without name or parameters");
    rest.remove_prefix(1);
    std::string_view list = take(rest, ")");
    if (rest.empty())
      return fail("kernel {} has no end of its parameters", inQuotes(name));
    size_t count = 0;
    while (!list.empty()) {
      std::string_view parameter = take(list, ",");
      list.remove_prefix(std::min<size_t>(1, list.size()));
      std::string_view kind = takeWord(parameter), type = takeWord(parameter);
      if (kind.empty() && list.empty() && count == 0)
        break; // ()
      if (kind != parameterWord || (type != ".u64" && type != ".b64" && type != ".s64"))
        return fail("kernel {} has the parameter {} {}, not one of 8 bytes", inQuotes(name), inQuotes(kind),
                    inQuotes(type));
      count++;
    }
    if (!entries.emplace(name, count).second)
      return fail("has two kernels {}", inQuotes(name));
  }
  return entries;
}
