//===- CalibrationTextFuzzer.cpp - hostile texts to calibrate with ----------------------------------------------===//
//
// The first byte of an input says what kind of file the rest is. Inputs of the mutator are mostly lines of JSON, one of
// which has a value changed. No template is there, so conversations are refused and no Python runs.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "FuzzFiles.h"
#include "quantc/Calibrate/CalibrationText.h"
#include <ranges>

using namespace fuzz;
using namespace quantc;

static const char *const names[] = {"a.txt", "a.jsonl", "a.txt.gz", "a.json.gz"};

/// Every byte is a token. (Of the kinds of tokenizers, this is made most quickly.)
static Result<std::unique_ptr<Tokenizer>> bytes() {
  TokenizerModel m;
  m.kind = TokenizerKind::CharacterBPE;
  m.byteFallback = true;
  m.tokens = {{"<unk>", 0, TokenType::Unknown}, {"<s>", 0, TokenType::Control}};
  for (int byte = 0; byte < 256; byte++)
    m.tokens.push_back({fmt::format("<0x{:02X}>", byte), 0, TokenType::Byte});
  m.prefix = {1};
  return Tokenizer::create(std::move(m));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  if (size < 2)
    return 0;
  const std::string name = names[data[0] % std::size(names)];
  folder.hold(std::map<std::string, std::string>{{name, std::string(view(data + 2, size - 2))}});
  CalibrationText text{.file = folder.path / name, .sequences = 3, .length = 1 + data[1] % 16, .seed = data[1] / 16u};
  const auto read = readSequences(text, bytes);
  expectMessage(read);
  if (!read)
    return 0;
  if (read->sequences.empty() || read->sequences.size() > 3 || read->tokens() > read->available)
    report("not the sequences that were asked for");
  for (const std::vector<int32_t> &sequence : read->sequences)
    if (sequence.empty() || static_cast<int64_t>(sequence.size()) > text.length)
      report("a sequence of a wrong length");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  static const ordered_json first = {{"lines",
                                      {{{"text", "a document"}},
                                       {{"input_ids", {1, 2, 3, 4, 5, 6, 7, 8, 9}}},
                                       {{"messages", {{{"role", "user"}, {"content", "hello"}}}}}}}};
  Random random(seed + 1);
  if (size > 2 && below(random, 4) == 0) {
    data[0] = static_cast<uint8_t>(random());
    return 1 + LLVMFuzzerMutate(data + 1, size - 1, maxSize - 1);
  }
  ordered_json lines = ordered_json::array();
  if (size > 2 && names[data[0] % std::size(names)] == std::string("a.jsonl"))
    for (const auto line : std::views::split(view(data + 2, size - 2), '\n'))
      if (ordered_json object = ordered_json::parse(line.begin(), line.end(), nullptr, false); !object.is_discarded())
        lines.push_back(std::move(object));
  ordered_json tree = {{"lines", lines.empty() || lines.size() > 20 ? first["lines"] : lines}};
  mutate(tree, random);
  std::string file = {static_cast<char>(1), static_cast<char>(random())};
  if (tree.contains("lines") && tree["lines"].is_array())
    for (const ordered_json &object : tree["lines"])
      file += dump(object) + "\n";
  return give(file, data, size, maxSize);
}
