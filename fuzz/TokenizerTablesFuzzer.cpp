//===- TokenizerTablesFuzzer.cpp - hostile tokenizers of artifacts ----------------------------------------------===//
//
// Half of the inputs are tables that were read, changed in a field and written again.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Texts.h"

using namespace fuzz;
using quantc::Token;
using quantc::TokenizerModel;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto model = TokenizerModel::parse(std::as_bytes(std::span(data, size)));
  expectMessage(model);
  if (!model)
    return 0;
  const bool isFirstVersion = data[7] == 1; // which is written as today's
  if (!isFirstVersion && model->serialize() != view(data, size))
    report("tables are not written as they were read");
  useTokenizer(std::move(*model), "ab  ab\n\xe2\x96\x81 caf\xc3\xa9 123");
  return 0;
}

static TokenizerModel seed() {
  TokenizerModel m;
  for (const char *text : {"a", "b", "ab", "\u0120", "\u0120ab", "\u2581", "<s>"})
    m.tokens.push_back({text, -static_cast<float>(m.tokens.size()), quantc::TokenType::Normal});
  m.tokens.back().type = quantc::TokenType::Control;
  m.merges = {{"a", "b"}, {"\u0120", "ab"}};
  m.splits = {{"a+|\\s"}};
  m.prefix = m.stops = {6};
  m.bos = m.eos = 6;
  m.chatTemplate = "x";
  return m;
}

static void mutateModel(TokenizerModel &m, Random &random) {
  Token &token = m.tokens[below(random, m.tokens.size())];
  switch (below(random, 13)) {
  case 0:
    token.text = mutated(token.text);
    break;
  case 1:
    token.type = static_cast<quantc::TokenType>(below(random, 8));
    break;
  case 2:
    m.tokens.push_back(token);
    break;
  case 3:
    m.merges.emplace_back(token.text, m.tokens[below(random, m.tokens.size())].text);
    break;
  case 4:
    if (!m.splits.empty())
      m.splits.back() = {mutated(m.splits.back().pattern), static_cast<quantc::Split::Behavior>(below(random, 6))};
    break;
  case 5:
    m.kind = static_cast<quantc::TokenizerKind>(below(random, 3));
    break;
  case 6:
    m.normalizers.push_back(
        {static_cast<quantc::Normalizer::Kind>(below(random, 10)), m.splits.empty() ? "b" : m.splits[0].pattern, "a"});
    break;
  case 7: {
    bool *const flags[] = {&m.ignoreMerges, &m.writesSpaces, &m.byteFallback, &m.fusesUnknown};
    *flags[below(random, 4)] ^= true;
    break;
  }
  case 10:
    token.match = {below(random, 2) == 0, below(random, 2) == 0, below(random, 2) == 0, below(random, 2) == 0};
    break;
  case 11:
    m.spacePrefix = static_cast<quantc::SpacePrefix>(below(random, 4));
    m.firstSpace = static_cast<quantc::FirstSpace>(below(random, 3));
    break;
  case 12:
    m.spaceSymbol = below(random, 2) ? "\u2581" : token.text;
    m.unknown = static_cast<int32_t>(interesting(random, 1));
    break;
  case 8:
    (below(random, 2) ? m.prefix : m.suffix).push_back(static_cast<int32_t>(interesting(random, 1)));
    break;
  default:
    token.score = static_cast<float>(interesting(random, 1));
  }
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned number) {
  Random random(number + 1);
  auto model = below(random, 2) || size < 16 ? TokenizerModel::parse(std::as_bytes(std::span(data, size)))
                                             : quantc::fail("not this time");
  if (!model && size >= 16)
    return LLVMFuzzerMutate(data, size, maxSize);
  TokenizerModel m = model ? std::move(*model) : seed();
  for (size_t times = below(random, 3) + 1; times; --times)
    mutateModel(m, random);
  return give(m.serialize(), data, size, maxSize);
}
