//===- AddedTokens.cpp - tokens that are found in a text before it is cut ---------------------------------------===//

#include "AddedTokens.h"
#include "Normalizers.h"
#include "Unicode.h"
#include <algorithm>

using namespace quantc;

Result<AddedTokens> AddedTokens::create(const TokenizerModel &model, const Normalizers *normalized) {
  AddedTokens result;
  result.model = &model;
  for (int32_t id = 0; model.isToken(id); id++) {
    const Token &token = model.tokens[id];
    if (!model.isAdded(token) || token.match.normalized != (normalized != nullptr))
      continue;
    std::string text = token.text;
    if (normalized) {
      QUANTC_ASSIGN(text, normalized->apply(text));
    }
    if (!text.empty())
      result.byFirstByte[static_cast<uint8_t>(text[0])].push_back({text, id});
  }
  for (auto &entries : result.byFirstByte)
    std::ranges::sort(entries, std::greater<>(), [](const Entry &e) { return std::pair(e.text.size(), -e.id); });
  return result;
}

const AddedTokens::Entry *AddedTokens::at(std::string_view text, bool control) const {
  for (const Entry &entry : byFirstByte[static_cast<uint8_t>(text[0])])
    if ((control || model->tokens[entry.id].type == TokenType::UserDefined) && text.starts_with(entry.text))
      return &entry;
  return nullptr;
}

static bool isOneWord(std::string_view before, std::string_view after) {
  std::string_view last = lastCharacter(before);
  return (last.empty() || !isWordCharacter(takeCharacter(last))) &&
         (after.empty() || !isWordCharacter(takeCharacter(after)));
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool control) const {
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Entry *found = this->at(text.substr(at), control);
    if (!found) {
      at++;
      continue;
    }
    size_t begin = at, end = at + found->text.size();
    at = end;
    const TokenMatch &match = model->tokens[found->id].match;
    if (match.singleWord && !isOneWord(text.substr(0, begin), text.substr(end)))
      continue;
    if (match.stripLeft) // not into the token before
      begin = std::max(begin - trailingSpace(text.substr(0, begin)), std::min(done, begin));
    if (match.stripRight)
      end += leadingSpace(text.substr(end));
    if (begin > done)
      parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), found->id});
    done = end;
  }
  if (done < text.size())
    parts.push_back({text.substr(done)});
  return parts;
}
