//===- FormatPages.cpp - writes docs/formats from formats/ and containers/ --------------------------------------===//
//
//   format-pages SOURCE_DIR            writes the pages
//   format-pages SOURCE_DIR --check    exits 1 where a page is not what would be written
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Format/Factoring.h"
#include "quantc/Format/KernelStorage.h"
#include "quantc/Support/Files.h"
#include <fmt/core.h>

using namespace quantc;
namespace fs = std::filesystem;

/// A shape whose rows are whole numbers of every usual group.
static constexpr int64_t usualExtent = 4096;

/// The spec with default parameters, and one for each flag.
static std::vector<std::string> specsOf(const Format &format) {
  std::vector<std::string> specs{format.name()};
  for (const ParamDecl &p : format.source().params)
    if (p.flag)
      specs.push_back(format.name() + ":" + p.prefix);
  return specs;
}

static Result<std::string> containersOf(Catalog &catalog, const Format &format) {
  std::string text;
  for (const std::string &name : catalog.containerNames()) {
    QUANTC_ASSIGN(auto container, catalog.container(name));
    for (auto &[carried, id] : container->types)
      if (carried == format.name())
        text += fmt::format("{}`{}` (type {})", text.empty() ? "" : ", ", name, id);
    for (const std::string &carried : container->carries)
      if (carried.substr(0, carried.find(':')) == format.name())
        text += fmt::format("{}`{}`", text.empty() ? "" : ", ", name);
  }
  return text.empty() ? "none" : text;
}

static std::string kernelBits(const Result<KernelStorage> &storage) {
  return storage ? fmt::format("{:.4g}", storage->bitsPerWeight()) : "—";
}

static Result<std::string> page(const fs::path &root, Catalog &catalog, const std::string &name) {
  QUANTC_ASSIGN(auto format, catalog.format(name));
  QUANTC_ASSIGN(std::string file, readText(root / "formats" / (name + ".qf")));
  QUANTC_ASSIGN(std::string containers, containersOf(catalog, *format));
  std::string text =
      fmt::format("# {}\n\n{}.\n\nContainers: {}.\n\n```\n{}```\n", name, format->doc(), containers, file);
  for (const std::string &spec : specsOf(*format)) {
    QUANTC_ASSIGN(auto bound, catalog.format(spec));
    auto storage = KernelStorage::derive(bound);
    text += fmt::format("\n## `{}`\n\n{:.4g} bits per weight in files, {} in kernel storage ({} × {}).\n\n", spec,
                        bound->bitsPerWeight(usualExtent, usualExtent), kernelBits(storage), usualExtent, usualExtent);
    text += fmt::format("Normal form of the dot product:\n\n```\n{}\n```\n\nKernel storage:\n\n```\n{}\n```\n",
                        Factoring(bound).text(), storage ? storage->text() : storage.error().message);
  }
  return text;
}

static Result<std::string> index(Catalog &catalog) {
  std::string text = "# Formats\n\nOne page for each file in `formats/`, written by `format-pages`. The language: "
                     "[FormatLanguage.md](../FormatLanguage.md).\n\n"
                     "| format | | bits in files | in kernel storage | int8 dot |\n|---|---|---|---|---|\n";
  for (const std::string &name : catalog.formatNames()) {
    QUANTC_ASSIGN(auto format, catalog.format(name));
    text += fmt::format("| [{0}]({0}.md) | {1} | {2:.4g} | {3} | {4} |\n", name, format->doc(),
                        format->bitsPerWeight(usualExtent, usualExtent), kernelBits(KernelStorage::derive(format)),
                        Factoring(format).isIntegerDot() ? "yes" : "");
  }
  return text;
}

static Status write(const fs::path &path, const std::string &text) {
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUANTC_TRY(file.write(text));
  return file.commit();
}

static Status run(const fs::path &root, bool check) {
  QUANTC_ASSIGN(auto catalog, Catalog::open(root));
  std::vector<std::pair<std::string, std::string>> pages;
  QUANTC_ASSIGN(std::string contents, index(*catalog));
  pages.emplace_back("README", std::move(contents));
  for (const std::string &name : catalog->formatNames()) {
    QUANTC_ASSIGN(std::string text, page(root, *catalog, name));
    pages.emplace_back(name, std::move(text));
  }
  const fs::path folder = root / "docs" / "formats";
  for (auto &[name, text] : pages) {
    const fs::path path = folder / (name + ".md");
    if (!check)
      QUANTC_TRY(write(path, text));
    else if (auto found = readText(path); !found || *found != text)
      return fail("{} is out of date: run format-pages {}", path.string(), root.string());
  }
  return {};
}

int main(int argc, char **argv) {
  const bool check = argc == 3 && std::string_view(argv[2]) == "--check";
  if (argc != 2 && !check) {
    fmt::print(stderr, "usage: format-pages SOURCE_DIR [--check]\n");
    return 2;
  }
  if (auto status = run(argv[1], check); !status) {
    fmt::print(stderr, "format-pages: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
