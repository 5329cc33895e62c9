//===- Texts.h - what the fuzzers of tokenizers share -----------------------------------------------------------===//
#pragma once

#include "FuzzFiles.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <algorithm>

namespace fuzz {

/// Encodes a text and decodes it again: it must come back where the tokenizer changes nothing.
inline void roundTrip(const quantc::Tokenizer &tokenizer, std::string_view text) {
  for (bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.addSpecial = special, .parseSpecial = special});
    expectMessage(ids);
    if (!ids)
      continue;
    const auto again = tokenizer.decode(*ids);
    expectMessage(again);
    if (!again)
      report("ids that were made are not decoded: " + again.error().message);
    const quantc::TokenizerModel &m = tokenizer.model();
    const bool removes = std::ranges::any_of(m.splits, [](const quantc::Split &split) {
      return split.behavior == quantc::Split::RemoveMatches || split.behavior == quantc::Split::RemoveGaps;
    });
    const bool strips = std::ranges::any_of(
        m.tokens, [](const quantc::Token &token) { return token.match.stripLeft || token.match.stripRight; });
    const bool keepsText = m.kind == quantc::TokenizerKind::ByteBPE && m.normalizers.empty() && !removes && !strips &&
                           m.spacePrefix == quantc::SpacePrefix::Never && m.firstSpace == quantc::FirstSpace::Kept &&
                           !m.unknown && !special;
    if (keepsText && *again != text)
      report("a text does not come back: '" + *again + "'");
  }
}

/// Everything that one does with a tokenizer: nothing may crash, and its tables are read as they were written.
inline void useTokenizer(quantc::TokenizerModel model, std::string_view text) {
  const std::string tables = model.serialize();
  const auto again = quantc::TokenizerModel::parse(std::as_bytes(std::span(tables)));
  if (!again || again->serialize() != tables)
    report("tables are not read as they were written");
  const auto tokenizer = quantc::Tokenizer::create(std::move(model));
  expectMessage(tokenizer);
  if (!tokenizer)
    return;
  roundTrip(**tokenizer, text);
  for (int32_t id = -1; id < 8; id++)
    expectMessage((*tokenizer)->decode({&id, 1}, /*special=*/true));
}

/// A tokenizer.json of few tokens.
inline ordered_json smallTokenizer() {
  return ordered_json::parse(
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120": 3, "\u0120ab": 4, "c": 5},
    "merges": ["a b", ["\u0120", "ab"]], "ignore_merges": false, "byte_fallback": false, "unk_token": null, "fuse_unk": false},
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\s+|b+?c"}, "behavior": "Isolated", "invert": false},
      {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
    "decoder": {"type": "ByteLevel"},
    "added_tokens": [{"id": 6, "content": "<s>", "special": true, "lstrip": false, "rstrip": false, "single_word": false},
      {"id": 7, "content": "<x>", "special": false, "normalized": true}],
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}}})");
}

} // namespace fuzz
