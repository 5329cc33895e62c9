//===- Splits.cpp - cutting text into words ---------------------------------------------------------------------===//

#include "Splits.h"

using namespace quantc;

Result<Splits> Splits::create(const std::vector<Split> &splits) {
  Splits result;
  result.splits = splits;
  for (const Split &split : splits) {
    QUANTC_ASSIGN(auto pattern, Regex::compile(split.pattern));
    result.patterns.push_back(std::move(pattern));
  }
  return result;
}

/// Whether a piece is joined with the one before it.
static bool joins(Split::Behavior behavior, const Regex::Piece &before, const Regex::Piece &piece) {
  switch (behavior) {
  case Split::MergedWithPrevious:
    return piece.isMatch && !before.isMatch;
  case Split::MergedWithNext:
    return before.isMatch && !piece.isMatch;
  case Split::Contiguous:
    return piece.isMatch == before.isMatch;
  default:
    return false;
  }
}

Result<std::vector<std::string_view>> Splits::words(std::string_view text) const {
  std::vector<std::string_view> words = {text};
  for (size_t i = 0; i < splits.size(); i++) {
    std::vector<std::string_view> finer;
    for (std::string_view word : words) {
      QUANTC_ASSIGN(const auto pieces, patterns[i]->pieces(word));
      for (size_t p = 0; p < pieces.size(); p++) {
        const std::string_view piece = pieces[p].text;
        // Pieces adjoin, so that joining two makes the first one longer.
        if (p > 0 && joins(splits[i].behavior, pieces[p - 1], pieces[p]))
          finer.back() = {finer.back().data(), finer.back().size() + piece.size()};
        else if (splits[i].behavior != (pieces[p].isMatch ? Split::RemoveMatches : Split::RemoveGaps))
          finer.push_back(piece);
      }
    }
    std::erase_if(finer, [](std::string_view word) { return word.empty(); });
    words = std::move(finer);
  }
  return words;
}
