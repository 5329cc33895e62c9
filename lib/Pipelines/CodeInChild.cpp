//===- CodeInChild.cpp - code generation that cannot take the program down --------------------------------------===//

#include "quantc/Pipelines/CodeInChild.h"
#include <nlohmann/json.hpp>
#include <span>

using namespace quantc;

/// An image on its way from the child: its entries as a line of JSON, then its bytes.
static std::string packed(const CodeImage &image) {
  nlohmann::json entries = nlohmann::json::array();
  for (const CodeImage::Entry &entry : image.entries)
    entries.push_back({entry.name, entry.kernel, entry.tasks, entry.choices.tiles, entry.choices.instructions,
                       entry.choices.manyTokens, entry.choices.reasons});
  return entries.dump() + '\n' + std::string(reinterpret_cast<const char *>(image.bytes.data()), image.bytes.size());
}

static CodeImage unpacked(const std::string &text) {
  CodeImage image;
  const size_t end = text.find('\n');
  for (const auto &entry : nlohmann::json::parse(text.substr(0, end)))
    image.entries.push_back({entry[0], entry[1], entry[2], {entry[3], entry[4], entry[5], entry[6]}});
  const auto bytes = std::as_bytes(std::span(text)).subspan(end + 1);
  image.bytes.assign(bytes.begin(), bytes.end());
  return image;
}

Result<CodeImage> quantc::codeInChild(const std::string &what, const ChildLimits &limits,
                                      const std::function<Result<CodeImage>()> &make) {
  QUANTC_ASSIGN(const std::string image, runInChild(what, limits, [&]() -> Result<std::string> {
                  QUANTC_ASSIGN(const CodeImage made, make());
                  return packed(made);
                }));
  return unpacked(image);
}
