//===- BytePair.cpp - byte-level byte-pair encoding -------------------------------------------------------------===//

#include "BytePair.h"
#include "ByteAlphabet.h"
#include "Regex.h"
#include "quantc/Support/Text.h"
#include <cstdlib>
#include <queue>
#include <utf8proc.h>

using namespace quantc;

BytePairTokenizer::BytePairTokenizer(TokenizerModel model) : Tokenizer(std::move(model)) {}
BytePairTokenizer::~BytePairTokenizer() = default;

static uint64_t pairKey(int32_t left, int32_t right) {
  return uint64_t(left) << 32 | static_cast<uint32_t>(right);
}

Result<std::unique_ptr<Tokenizer>> BytePairTokenizer::create(TokenizerModel model) {
  std::unique_ptr<BytePairTokenizer> result(new BytePairTokenizer(std::move(model)));
  const TokenizerModel &m = result->description;
  result->idOf.reserve(m.tokens.size());
  for (int32_t id = 0; m.isToken(id); id++)
    if (m.tokens[id].type == TokenType::Normal)
      result->idOf.emplace(m.tokens[id].text, id);
  auto find = [&](const std::string &text) {
    auto it = result->idOf.find(text);
    return it == result->idOf.end() ? -1 : it->second;
  };
  result->mergeOf.reserve(m.merges.size());
  for (int32_t rank = 0; rank < static_cast<int32_t>(m.merges.size()); rank++) {
    auto &[left, right] = m.merges[rank];
    int32_t a = find(left), b = find(right), both = find(left + right);
    if (a < 0 || b < 0 || both < 0)
      return fail("merge {} of the tokenizer ({} {}) names pieces that are not in its vocabulary", rank, inQuotes(left),
                  inQuotes(right));
    result->mergeOf.try_emplace(pairKey(a, b), Merge{rank, both});
  }
  for (const std::string &pattern : m.splits) {
    QUANTC_ASSIGN(auto regex, Regex::compile(pattern));
    result->splits.push_back(std::move(regex));
  }
  return result;
}

static std::string normalized(std::string_view text, UnicodeForm form) {
  if (form == UnicodeForm::None)
    return std::string(text);
  int options = UTF8PROC_STABLE;
  options |= form == UnicodeForm::NFC || form == UnicodeForm::NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == UnicodeForm::NFKC || form == UnicodeForm::NFKD)
    options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t *out = nullptr;
  auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                             static_cast<utf8proc_ssize_t>(text.size()), &out, static_cast<utf8proc_option_t>(options));
  std::string result = length < 0 ? std::string(text) : std::string(reinterpret_cast<char *>(out), size_t(length));
  std::free(out);
  return result;
}

Status BytePairTokenizer::encodePlain(std::string_view text, bool first, std::vector<int32_t> &ids) const {
  std::string whole = normalized(text, description.normalization);
  if (first && description.spacePrefix && !whole.starts_with(' '))
    whole.insert(0, 1, ' ');
  std::vector<std::string_view> words = {whole};
  for (const auto &split : splits) {
    std::vector<std::string_view> finer;
    for (std::string_view word : words)
      QUANTC_TRY(split->isolate(word, finer));
    words = std::move(finer);
  }
  for (std::string_view word : words)
    QUANTC_TRY(encodeWord(word, ids));
  return {};
}

Status BytePairTokenizer::encodeWord(std::string_view word, std::vector<int32_t> &ids) const {
  if (description.ignoreMerges)
    if (auto it = idOf.find(toByteAlphabet(word)); it != idOf.end()) {
      ids.push_back(it->second);
      return {};
    }
  // A doubly linked list of tokens and a queue of possible merges: O(n log n) for words of any length.
  struct Node {
    int32_t id;
    int32_t previous, next;
  };
  std::vector<Node> nodes;
  nodes.reserve(word.size());
  for (char byte : word) {
    auto it = idOf.find(toByteAlphabet({&byte, 1}));
    if (it == idOf.end())
      return fail("the tokenizer has no token for the byte 0x{:02x}", static_cast<uint8_t>(byte));
    auto index = static_cast<int32_t>(nodes.size());
    nodes.push_back({it->second, index - 1, index + 1});
  }
  if (nodes.empty())
    return {};
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
  return {};
}

std::string BytePairTokenizer::bytesOf(const Token &token) const {
  return fromByteAlphabet(token.text);
}
