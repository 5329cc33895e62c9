//===- Catalog.cpp - formats and containers by name -------------------------------------------------------------===//

#include "quantc/Format/Format.h"
#include "quantc/Support/Files.h"
#include <algorithm>
#include <charconv>

using namespace quantc;
namespace fs = std::filesystem;

Result<std::shared_ptr<Catalog>> Catalog::open(const fs::path &data, std::span<const fs::path> files) {
  std::error_code ignored;
  if (!fs::is_directory(data / "formats", ignored))
    return fail("{}: there is no folder formats/", data.string());
  std::shared_ptr<Catalog> catalog(new Catalog(data));
  for (const fs::path &file : files)
    QUANTC_TRY(catalog->addFile(file));
  return catalog;
}

Result<std::shared_ptr<const Description>> Catalog::load(const fs::path &path) const {
  QUANTC_ASSIGN(std::string text, readText(path, 1 << 20));
  // A table file lies beside the description, in its tables/, or in the installed tables.
  TableLoader tables = [&](const std::string &name) -> Result<std::string> {
    if (name.find('/') != std::string::npos)
      return fail("the name of a table file has no '/'");
    for (const fs::path &folder : {path.parent_path(), path.parent_path() / "tables", data / "formats" / "tables"}) {
      std::error_code ignored;
      if (fs::is_regular_file(folder / name, ignored))
        return readText(folder / name, 1 << 20);
    }
    return fail("no table file '{}'", name);
  };
  return parseDescription(text, path.filename().string(), tables);
}

Status Catalog::addFile(const fs::path &path) {
  QUANTC_ASSIGN(auto parsed, load(path));
  if (!parsed->isContainer)
    QUANTC_TRY(Format::create(parsed)); // its errors now, not at the first use
  std::lock_guard lock(mutex);
  auto &known = parsed->isContainer ? containers : formats;
  known[parsed->name] = parsed;
  std::erase_if(bound, [&](auto &entry) { return entry.second->name() == parsed->name; });
  return {};
}

static std::vector<std::string> stemsOf(const fs::path &folder, const char *extension) {
  std::vector<std::string> stems;
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == extension)
      stems.push_back(entry.path().stem().string());
  return stems;
}

template <typename Map> static std::vector<std::string> sortedNames(std::vector<std::string> names, const Map &added) {
  for (auto &[name, description] : added)
    names.push_back(name);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> Catalog::formatNames() const {
  std::lock_guard lock(mutex);
  return sortedNames(stemsOf(data / "formats", ".qf"), formats);
}

std::vector<std::string> Catalog::containerNames() const {
  std::lock_guard lock(mutex);
  return sortedNames(stemsOf(data / "containers", ".qc"), containers);
}

/// Called with the mutex held.
Result<std::shared_ptr<const Description>> Catalog::description(const std::string &name, bool container) {
  auto &known = container ? containers : formats;
  if (auto it = known.find(name); it != known.end())
    return it->second;
  const bool isName = !name.empty() && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
  const fs::path path = container ? data / "containers" / (name + ".qc") : data / "formats" / (name + ".qf");
  std::error_code ignored;
  if (!isName || !fs::is_regular_file(path, ignored)) {
    auto names = sortedNames(stemsOf(path.parent_path(), path.extension().c_str()), known);
    return fail("there is no {} '{}'; known: {}", container ? "container" : "format", name, fmt::join(names, " "));
  }
  QUANTC_ASSIGN(auto parsed, load(path));
  known[name] = parsed;
  return parsed;
}

Result<std::shared_ptr<const Description>> Catalog::container(const std::string &name) {
  std::lock_guard lock(mutex);
  return description(name, true);
}

/// The parameters of "a:4:g128:asym": each word belongs to the first parameter, not yet given, whose prefix and choices
/// fit.
static Result<std::map<std::string, ParamValue>> readParams(const Description &d, std::string_view words) {
  std::map<std::string, ParamValue> params;
  while (!words.empty()) {
    std::string_view word = words.substr(0, words.find(':'));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    bool found = false;
    for (const ParamDecl &p : d.params) {
      if (params.count(p.name) || !word.starts_with(p.prefix))
        continue;
      std::string_view rest = word.substr(p.prefix.size());
      if (rest.empty() != p.flag)
        continue;
      ParamValue value = std::string(rest);
      int64_t number = 1;
      if (auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
          p.flag || (error == std::errc() && end == rest.data() + rest.size()))
        value = number;
      if (!p.allows(value))
        continue;
      params[p.name] = value;
      found = true;
      break;
    }
    if (!found) {
      std::vector<std::string> has;
      for (const ParamDecl &p : d.params)
        has.push_back(p.prefix + (p.flag ? "" : "…"));
      return errorAt(d.file, d.position,
                     fmt::format("'{}' is no parameter of '{}' (it has {})", word, d.name,
                                 has.empty() ? "none" : fmt::format("{}", fmt::join(has, ", "))));
    }
  }
  return params;
}

Result<std::shared_ptr<const Format>> Catalog::format(const std::string &spec) {
  std::lock_guard lock(mutex);
  if (auto it = bound.find(spec); it != bound.end())
    return it->second;
  const size_t colon = std::min(spec.find(':'), spec.size());
  QUANTC_ASSIGN(auto parsed, description(spec.substr(0, colon), false));
  QUANTC_ASSIGN(auto params, readParams(*parsed, std::string_view(spec).substr(std::min(colon + 1, spec.size()))));
  QUANTC_ASSIGN(auto format, Format::create(parsed, params));
  // Different spellings of one spec give one object.
  auto [canonical, fresh] = bound.emplace(format->spec(), format);
  bound[spec] = canonical->second;
  return canonical->second;
}
