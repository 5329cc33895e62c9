#include "RankedTokens.h"
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_map>

using namespace quantc;
using nlohmann::json;

static std::string fromBase64(const std::string &text) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    if ((count += 6) >= 8)
      bytes += static_cast<char>(bits >> (count -= 8));
  }
  return bytes;
}

/// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and on.
static std::string printable(const std::string &bytes) {
  static const std::vector<std::string> letters = [] {
    std::vector<std::string> all;
    int other = 0x100;
    for (int b = 0; b < 256; b++) {
      const bool itself = (b > 32 && b < 127) || (b > 160 && b != 173);
      const int c = itself ? b : other++;
      all.push_back(c < 128 ? std::string(1, char(c)) : std::string{char(0xc0 | c >> 6), char(0x80 | (c & 63))});
    }
    return all;
  }();
  std::string text;
  for (unsigned char b : bytes)
    text += letters[b];
  return text;
}

TokenizerModel test::readTiktoken(const std::filesystem::path &path) {
  TokenizerModel model;
  std::vector<std::string> tokens;
  std::unordered_map<std::string, int32_t> rankOf;
  std::ifstream in(path);
  int32_t rank;
  for (std::string text; in >> text >> rank;) {
    tokens.resize(std::max<size_t>(tokens.size(), rank + 1));
    tokens[rank] = fromBase64(text);
    rankOf[tokens[rank]] = rank;
  }
  for (rank = 0; rank < int32_t(tokens.size()); rank++) {
    const std::string &whole = tokens[rank];
    model.tokens.push_back({printable(whole), 0, whole.empty() ? TokenType::Unused : TokenType::Normal});
    std::vector<std::string> parts;
    for (char byte : whole)
      parts.emplace_back(1, byte);
    while (parts.size() > 2) {
      size_t at = 0;
      int32_t best = rank;
      for (size_t i = 0; i + 1 < parts.size(); i++)
        if (auto found = rankOf.find(parts[i] + parts[i + 1]); found != rankOf.end() && found->second < best) {
          best = found->second;
          at = i;
        }
      if (best == rank)
        break;
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + at + 1);
    }
    if (parts.size() == 2)
      model.merges.emplace_back(printable(parts[0]), printable(parts[1]));
  }
  return model;
}

TokenizerModel test::readVocabAndMerges(const std::filesystem::path &directory) {
  TokenizerModel model;
  for (auto &[text, id] : json::parse(std::ifstream(directory / "vocab.json")).get<std::map<std::string, size_t>>()) {
    model.tokens.resize(std::max(model.tokens.size(), id + 1), Token{"", 0, TokenType::Unused});
    model.tokens[id] = Token{text};
  }
  std::ifstream merges(directory / "merges.txt");
  for (std::string line; std::getline(merges, line);)
    if (size_t gap = line.find(' '); gap != std::string::npos && !line.starts_with("#version"))
      model.merges.emplace_back(line.substr(0, gap), line.substr(gap + 1));
  return model;
}

void test::setPreTokenizer(TokenizerModel &model, const std::string &name) {
  const json entry = json::parse(std::ifstream(QUANTC_SOURCE_DIR "/tokenizers/pretokenizers.json")).at(name);
  for (const json &pattern : entry.at("splits"))
    model.splits.push_back({pattern.get<std::string>()});
  model.ignoreMerges = entry.value("ignore_merges", false);
}
