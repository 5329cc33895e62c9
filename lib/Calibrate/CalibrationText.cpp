//===- CalibrationText.cpp - what a model reads while it is calibrated -------------------------------------------===//

#include "quantc/Calibrate/CalibrationText.h"
#include "CalibrationFile.h"
#include "Conversations.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"
#include <algorithm>
#include <numeric>
#include <random>
#include <ranges>
#include <set>

using namespace quantc;
using Sequences = std::vector<std::vector<int32_t>>;

namespace {
class Reader {
public:
  Reader(const CalibrationText &text, const TokenizerSource &source) : text(text), source(source) {}
  Result<CalibrationData> read();

private:
  Status needTokenizer();
  Status addDocument(std::string_view document);
  Status addLine(std::string_view line);
  Status addLines(std::string_view lines);
  Status addIds(const nlohmann::ordered_json &ids);
  Status addConversations();
  void cut(bool rest);

  const CalibrationText &text;
  const TokenizerSource &source;
  std::unique_ptr<Tokenizer> tokenizer; ///< null before there was text
  std::vector<int32_t> pending;         ///< of documents, not yet cut
  Sequences sequences;
  std::vector<nlohmann::ordered_json> conversations;
  std::vector<size_t> places; ///< of their sequences, which are empty until they are written out
};
} // namespace

Status Reader::needTokenizer() {
  if (!tokenizer) {
    QUANTC_ASSIGN(tokenizer, source());
  }
  return {};
}

Status Reader::addDocument(std::string_view document) {
  QUANTC_TRY(needTokenizer());
  QUANTC_ASSIGN(const std::vector<int32_t> ids,
                tokenizer->encode(document, {.addSpecial = false, .parseSpecial = false}));
  pending.insert(pending.end(), ids.begin(), ids.end());
  cut(/*rest=*/false);
  return {};
}

/// Moves whole sequences out of what is pending; `rest`: the last one may be shorter.
void Reader::cut(bool rest) {
  if (pending.empty())
    return;
  const std::vector<int32_t> &prefix = tokenizer->model().prefix;
  // Of a prefix as long as a sequence its last tokens are left out.
  const size_t ahead = std::min(prefix.size(), static_cast<size_t>(text.length) - 1);
  const size_t own = static_cast<size_t>(text.length) - ahead;
  size_t at = 0;
  while (at < pending.size() && (pending.size() - at >= own || rest)) {
    const size_t count = std::min(own, pending.size() - at);
    std::vector<int32_t> &sequence = sequences.emplace_back(prefix.begin(), prefix.begin() + ahead);
    sequence.insert(sequence.end(), pending.begin() + at, pending.begin() + at + count);
    at += count;
  }
  pending.erase(pending.begin(), pending.begin() + at);
}

Status Reader::addLine(std::string_view line) {
  QUANTC_ASSIGN(const nlohmann::ordered_json object, parseJson(line));
  if (!object.is_object())
    return fail("is no JSON object");
  if (const auto document = object.find("text"); document != object.end() && document->is_string())
    return addDocument(document->get<std::string>() + "\n");
  if (const auto ids = object.find("input_ids"); ids != object.end() && ids->is_array() && !ids->empty())
    return addIds(*ids);
  if (const auto messages = object.find("messages"); messages != object.end() && messages->is_array()) {
    conversations.push_back(*messages);
    places.push_back(sequences.size());
    sequences.emplace_back();
    return {};
  }
  return fail("neither \"text\" nor \"input_ids\" nor \"messages\" stands in it");
}

Status Reader::addIds(const nlohmann::ordered_json &ids) {
  std::vector<int32_t> &sequence = sequences.emplace_back();
  for (const auto &id : ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      return fail("\"input_ids\" holds {}, which is no token id", id.dump());
    if (static_cast<int64_t>(sequence.size()) < text.length)
      sequence.push_back(id.get<int32_t>());
  }
  return {};
}

Status Reader::addLines(std::string_view lines) {
  size_t number = 0;
  for (const auto part : std::views::split(lines, '\n')) {
    const std::string_view line(part.begin(), part.end());
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    if (const Status status = addLine(line); !status)
      return failAt(fmt::format("line {}", number), status.error());
  }
  return addConversations();
}

/// All at once: a template is read once. What it writes has its own special tokens.
Status Reader::addConversations() {
  if (conversations.empty())
    return {};
  QUANTC_TRY(needTokenizer());
  QUANTC_ASSIGN(const std::vector<std::string> texts, renderConversations(tokenizer->model(), conversations));
  for (size_t i = 0; i < texts.size(); i++) {
    std::vector<int32_t> &sequence = sequences[places[i]];
    QUANTC_ASSIGN(sequence, tokenizer->encode(texts[i], {.addSpecial = false, .parseSpecial = true}));
    sequence.resize(std::min(sequence.size(), static_cast<size_t>(text.length)));
  }
  std::erase_if(sequences, [](const auto &sequence) { return sequence.empty(); });
  return {};
}

/// Places of `wanted` of `count` sequences, ascending. The engine's numbers are the same in every library.
static std::vector<size_t> choose(size_t wanted, size_t count, uint64_t seed) {
  std::vector<size_t> places;
  if (seed == 0) {
    for (size_t i = 0; i < wanted; ++i)
      places.push_back(i * count / wanted);
    return places;
  }
  std::mt19937_64 random(seed);
  places.resize(count);
  std::iota(places.begin(), places.end(), 0);
  for (size_t i = 0; i < wanted; ++i)
    std::swap(places[i], places[i + random() % (count - i)]);
  places.resize(wanted);
  std::ranges::sort(places);
  return places;
}

Result<CalibrationData> Reader::read() {
  QUANTC_ASSIGN(const CalibrationFile file, readCalibrationFile(text.file));
  if (!file.lines)
    QUANTC_TRY(needTokenizer()); // its own error, which is not the text's
  if (const Status status = file.lines ? addLines(file.text) : addDocument(file.text); !status)
    return failAt(text.file.string(), status.error());
  if (sequences.empty())
    cut(/*rest=*/true);
  if (sequences.empty())
    return fail("{}: has no text to calibrate with", text.file.string());
  CalibrationData data;
  for (const std::vector<int32_t> &sequence : sequences)
    data.available += sequence.size();
  const size_t wanted = std::min(static_cast<size_t>(text.sequences), sequences.size());
  for (size_t place : choose(wanted, sequences.size(), text.seed))
    data.sequences.push_back(std::move(sequences[place]));
  return data;
}

Status quantc::fitLength(CalibrationText &text, int64_t context) {
  if (text.asked && text.length > context)
    return fail("--calib-length is {}, but the model computes {} tokens at most", text.length, context);
  text.length = std::min(text.length, context);
  return {};
}

uint64_t CalibrationData::tokens() const {
  uint64_t total = 0;
  for (const std::vector<int32_t> &sequence : sequences)
    total += sequence.size();
  return total;
}

uint64_t CalibrationData::distinctTokens() const {
  std::set<int32_t> ids;
  for (const std::vector<int32_t> &sequence : sequences)
    ids.insert(sequence.begin(), sequence.end());
  return ids.size();
}

Result<std::filesystem::path> quantc::defaultCalibrationText() {
  QUANTC_ASSIGN(const std::filesystem::path data, dataDirectory());
  return data / "calibration" / "default.txt";
}

Result<CalibrationData> quantc::readSequences(const CalibrationText &text, const TokenizerSource &tokenizer) {
  return Reader(text, tokenizer).read();
}
