//===- BytePair.cpp - byte-pair encoding ------------------------------------------------------------------------===//

#include "BytePair.h"
#include "ByteAlphabet.h"
#include "Unicode.h"
#include "quantc/Support/Text.h"
#include <queue>

using namespace quantc;

static uint64_t pairKey(int32_t left, int32_t right) {
  return uint64_t(left) << 32 | static_cast<uint32_t>(right);
}

Result<std::unique_ptr<Tokenizer>> BytePairTokenizer::create(TokenizerModel model) {
  std::unique_ptr<BytePairTokenizer> result(new BytePairTokenizer(std::move(model)));
  QUANTC_TRY(result->index());
  return result;
}

int32_t BytePairTokenizer::find(std::string_view piece) const {
  auto it = idOf.find(piece);
  return it == idOf.end() ? -1 : it->second;
}

Status BytePairTokenizer::index() {
  const TokenizerModel &m = description;
  const bool ofBytes = m.kind == TokenizerKind::ByteBPE;
  idOf.reserve(m.tokens.size());
  std::unordered_map<std::string_view, int32_t> byteTokens;
  for (int32_t id = 0; m.isToken(id); id++) {
    const Token &token = m.tokens[id];
    // Added tokens may be pieces of the vocabulary too; those of a byte alphabet are not written in it.
    if (token.type == TokenType::Normal || (token.type == TokenType::UserDefined && !ofBytes))
      idOf.emplace(token.text, id);
    else if (token.type == TokenType::Byte)
      byteTokens.emplace(token.text, id);
  }
  for (int byte = 0; byte < 256; byte++) {
    const char c = static_cast<char>(byte);
    if (ofBytes) {
      idOfByte[byte] = find(toByteAlphabet({&c, 1}));
      continue;
    }
    const std::string text = byteTokenText(static_cast<uint8_t>(byte));
    const auto token = byteTokens.find(text);
    idOfByte[byte] = token == byteTokens.end() ? -1 : token->second;
    if (m.byteFallback && idOfByte[byte] < 0)
      return fail("the tokenizer falls back to bytes, but has no token {}", text);
  }
  mergeOf.reserve(m.merges.size());
  for (int32_t rank = 0; rank < static_cast<int32_t>(m.merges.size()); rank++) {
    auto &[left, right] = m.merges[rank];
    int32_t a = find(left), b = find(right), both = find(left + right);
    if (a < 0 || b < 0 || both < 0)
      return fail("merge {} of the tokenizer ({} {}) names pieces that are not in its vocabulary", rank, inQuotes(left),
                  inQuotes(right));
    mergeOf.try_emplace(pairKey(a, b), Merge{rank, both});
  }
  QUANTC_ASSIGN(splits, Splits::create(m.splits));
  return {};
}

static bool beginsWithSpace(std::string_view text, const TokenizerModel &m) {
  return text.starts_with(' ') || (m.writesSpaces && text.starts_with(m.spaceSymbol));
}

Status BytePairTokenizer::encodePlain(std::string_view text, bool spaced, std::vector<int32_t> &ids) const {
  std::string whole(spaced && !beginsWithSpace(text, description) ? " " : "");
  whole += text;
  if (description.writesSpaces)
    whole = replaceAll(whole, " ", description.spaceSymbol);
  QUANTC_ASSIGN(const auto words, splits.words(whole));
  for (std::string_view word : words)
    QUANTC_TRY(encodeWord(word, ids));
  return {};
}

Status BytePairTokenizer::encodeWord(std::string_view word, std::vector<int32_t> &ids) const {
  if (description.ignoreMerges)
    if (int32_t id = description.kind == TokenizerKind::ByteBPE ? find(toByteAlphabet(word)) : find(word); id >= 0) {
      ids.push_back(id);
      return {};
    }
  QUANTC_ASSIGN(const auto symbols, description.kind == TokenizerKind::ByteBPE ? bytes(word) : characters(word));
  merge(symbols, ids);
  return {};
}

Result<std::vector<int32_t>> BytePairTokenizer::bytes(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  for (char c : word) {
    const auto byte = static_cast<uint8_t>(c);
    if (idOfByte[byte] < 0)
      return fail("the tokenizer has no token for the byte 0x{:02x}", byte);
    symbols.push_back(idOfByte[byte]);
  }
  return symbols;
}

Result<std::vector<int32_t>> BytePairTokenizer::characters(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  bool afterUnknown = false;
  while (!word.empty()) {
    std::string_view character = word;
    takeCharacter(word);
    character.remove_suffix(word.size());
    const int32_t id = find(character);
    if (id >= 0)
      symbols.push_back(id);
    else if (description.byteFallback)
      for (char byte : character)
        symbols.push_back(idOfByte[static_cast<uint8_t>(byte)]);
    else if (!description.unknown)
      return fail("the tokenizer has no token for the character {}, and none for unknown ones", inQuotes(character));
    else if (!afterUnknown || !description.fusesUnknown)
      symbols.push_back(*description.unknown);
    afterUnknown = id < 0 && !description.byteFallback;
  }
  return symbols;
}

void BytePairTokenizer::merge(const std::vector<int32_t> &symbols, std::vector<int32_t> &ids) const {
  // A doubly linked list of tokens and a queue of possible merges: O(n log n) for words of any length.
  struct Node {
    int32_t id;
    int32_t previous, next;
  };
  std::vector<Node> nodes;
  nodes.reserve(symbols.size());
  for (int32_t id : symbols) {
    auto index = static_cast<int32_t>(nodes.size());
    nodes.push_back({id, index - 1, index + 1});
  }
  if (nodes.empty())
    return;
  nodes.back().next = -1;

  struct Candidate {
    int32_t rank;
    int32_t left;
    int32_t leftId, rightId, id;
    bool operator>(const Candidate &o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto consider = [&](int32_t left) {
    if (left < 0 || nodes[left].next < 0)
      return;
    int32_t a = nodes[left].id, b = nodes[nodes[left].next].id;
    if (auto it = mergeOf.find(pairKey(a, b)); it != mergeOf.end())
      queue.push({it->second.rank, left, a, b, it->second.id});
  };
  constexpr int32_t gone = -1;
  for (int32_t i = 0; i < static_cast<int32_t>(nodes.size()); i++)
    consider(i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Node &left = nodes[best.left];
    if (left.id != best.leftId || left.next < 0 || nodes[left.next].id != best.rightId)
      continue; // one of the two has been merged with another since
    Node &right = nodes[left.next];
    left.id = best.id;
    right.id = gone;
    left.next = right.next;
    if (left.next >= 0)
      nodes[left.next].previous = best.left;
    consider(best.left);
    consider(left.previous);
  }
  for (int32_t i = 0; i >= 0; i = nodes[i].next)
    ids.push_back(nodes[i].id);
}

std::string BytePairTokenizer::bytesOf(const Token &token) const {
  if (token.type == TokenType::Byte)
    return byteOf(token);
  if (description.kind == TokenizerKind::ByteBPE)
    return fromByteAlphabet(token.text);
  return description.spaceSymbol.empty() ? token.text : replaceAll(token.text, description.spaceSymbol, " ");
}
