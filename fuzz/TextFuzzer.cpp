//===- TextFuzzer.cpp - arbitrary text for real tokenizers ------------------------------------------------------===//
//
// The tokenizer of the demo model, and one of SentencePiece's kind that is built from tokens. A text comes back as it
// was.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Texts.h"

using namespace fuzz;
using namespace quantc;

static std::unique_ptr<Tokenizer> demo() {
  return std::move(
      Tokenizer::create(TokenizerModel::fromHuggingFace(QUANTC_SOURCE_DIR "/examples/demo-model").value()).value());
}

/// Every byte, and a few pieces.
static std::unique_ptr<Tokenizer> sentencePiece() {
  TokenizerModel m;
  m.kind = TokenizerKind::SentencePiece;
  m.spacePrefix = SpacePrefix::AfterControl;
  m.firstSpace = FirstSpace::Dropped;
  m.tokens = {{"<unk>", 0, TokenType::Unknown}, {"<s>", 0, TokenType::Control}};
  for (int byte = 0; byte < 256; byte++)
    m.tokens.push_back({fmt::format("<0x{:02X}>", byte), 0, TokenType::Byte});
  for (const char *piece : {"\u2581", "a", "b", "\u2581a", "ab", "\u2581ab", "\u00e9"})
    m.tokens.push_back({piece, -static_cast<float>(m.tokens.size()), TokenType::Normal});
  return std::move(Tokenizer::create(std::move(m)).value());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::unique_ptr<Tokenizer> bytePairs = demo(), pieces = sentencePiece();
  const std::string_view text = view(data, size);
  roundTrip(*bytePairs, text);
  roundTrip(*pieces, text);
  const auto ids = pieces->encode(text, {.addSpecial = false, .parseSpecial = false});
  // U+2581 is how SentencePiece writes a space: such a text changes.
  if (ids && text.find("\u2581") == text.npos && pieces->decode(*ids).value() != text)
    report("a text does not come back from SentencePiece: '" + pieces->decode(*ids).value() + "'");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  static const char *const words[] = {"Once upon a time",
                                      "<s>",
                                      "</s>",
                                      "<|endoftext|>",
                                      " ",
                                      "  ",
                                      "\n\n",
                                      "\t",
                                      "'ll",
                                      "123",
                                      "\u00e9",
                                      "e\u0301",
                                      "\u2581",
                                      "\U0001f600",
                                      "\u00a0",
                                      "\u200d",
                                      "\ufeff",
                                      "aaaa",
                                      "ab",
                                      "\u4e2d\u6587"};
  Random random(seed + 1);
  const std::string word = words[below(random, std::size(words))];
  if (below(random, 3) == 0 || size + word.size() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  const size_t at = below(random, size + 1);
  std::memmove(data + at + word.size(), data + at, size - at);
  std::memcpy(data + at, word.data(), word.size());
  return size + word.size();
}
