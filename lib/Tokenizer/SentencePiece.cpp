//===- SentencePiece.cpp - tokenizers that libsentencepiece runs ------------------------------------------------===//

#include "SentencePiece.h"
#include "ByteAlphabet.h"
#include "Unicode.h"
#include "quantc/Support/Text.h"
#include "quantc/Tokenizer/SentencePieceModel.h"
#include <cstring>
#include <sentencepiece_processor.h>

using namespace quantc;

static constexpr std::string_view space = "\u2581";

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerModel model)
    : Tokenizer(std::move(model)), processor(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}
SentencePieceTokenizer::~SentencePieceTokenizer() = default;

//===--- The few fields of sentencepiece_model.proto that a model needs, in protobuf's wire format --------------===//

static void putVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
static void putInt(std::string &out, unsigned field, uint64_t value) {
  putVarint(out, field << 3);
  putVarint(out, value);
}
static void putBytes(std::string &out, unsigned field, std::string_view bytes) {
  putVarint(out, field << 3 | 2);
  putVarint(out, bytes.size());
  out += bytes;
}
static void putFloat(std::string &out, unsigned field, float value) {
  putVarint(out, field << 3 | 5);
  char bytes[4];
  std::memcpy(bytes, &value, 4);
  out.append(bytes, 4);
}

/// A later message of the same field overrides the former: the space before a text is ours to put, because text
/// after an added token has none.
static std::string withoutDummyPrefix(std::string model) {
  std::string normalizer;
  putInt(normalizer, 3, 0); // add_dummy_prefix
  putBytes(model, 3, normalizer);
  return model;
}

/// A BPE model without normalization from pieces and scores.
static std::string modelFromTokens(const TokenizerModel &m, bool spacePrefix) {
  std::string model;
  bool bytes = false, unknown = false;
  for (const Token &token : m.tokens) {
    // SentencePiece takes one unknown piece; some files mark pieces that no text becomes as unknown too.
    const bool another = token.type == TokenType::Unknown && unknown;
    unknown |= token.type == TokenType::Unknown;
    std::string piece;
    putBytes(piece, 1, token.text);
    putFloat(piece, 2, token.score);
    putInt(piece, 3, static_cast<uint64_t>(another ? TokenType::Unused : token.type));
    putBytes(model, 1, piece);
    bytes |= token.type == TokenType::Byte;
  }
  std::string trainer, normalizer;
  putInt(trainer, 3, 2); // model_type = BPE
  putInt(trainer, 35, bytes);
  putBytes(model, 2, trainer);
  putBytes(normalizer, 1, "identity");
  putInt(normalizer, 3, spacePrefix); // add_dummy_prefix
  putInt(normalizer, 4, 0);           // remove_extra_whitespaces
  putBytes(model, 3, normalizer);
  return model;
}

std::string quantc::sentencePieceModelOf(const TokenizerModel &tokenizer) {
  return tokenizer.sentencePieceModel.empty() ? modelFromTokens(tokenizer, tokenizer.spacePrefix != SpacePrefix::Never)
                                              : tokenizer.sentencePieceModel;
}

/// The library reports some damage by a status and some by an exception.
static Status load(sentencepiece::SentencePieceProcessor &processor, const std::string &bytes) {
  try {
    if (auto status = processor.LoadFromSerializedProto(bytes); !status.ok())
      return fail("not a SentencePiece model that can be used: {}", inQuotes(status.ToString()));
    return {};
  } catch (const std::exception &exception) {
    return fail("not a SentencePiece model that can be used: {}", inQuotes(exception.what()));
  }
}

Result<std::unique_ptr<Tokenizer>> SentencePieceTokenizer::create(TokenizerModel model) {
  std::unique_ptr<SentencePieceTokenizer> result(new SentencePieceTokenizer(std::move(model)));
  const TokenizerModel &m = result->description;
  std::string bytes = m.sentencePieceModel;
  if (bytes.empty())
    bytes = modelFromTokens(m, /*spacePrefix=*/false); // it is ours to put
  else if (m.spacePrefix != SpacePrefix::Never)
    bytes = withoutDummyPrefix(std::move(bytes));
  QUANTC_TRY(load(*result->processor, bytes));
  return result;
}

Status SentencePieceTokenizer::encodePlain(std::string_view text, bool spaced, std::vector<int32_t> &ids) const {
  std::string prefixed;
  if (spaced) {
    prefixed = fmt::format(" {}", text);
    text = prefixed;
  }
  std::vector<int> found;
  if (auto status = processor->Encode({text.data(), text.size()}, &found); !status.ok())
    return fail("SentencePiece cannot encode this text: {}", inQuotes(status.ToString()));
  ids.insert(ids.end(), found.begin(), found.end());
  return {};
}

std::string SentencePieceTokenizer::bytesOf(const Token &token) const {
  return token.type == TokenType::Byte ? byteOf(token) : replaceAll(token.text, space, " ");
}

//===--- Reading tokenizer.model --------------------------------------------------------------------------------===//

/// How the model itself spells a text: its pieces, joined.
static std::string spelled(const sentencepiece::SentencePieceProcessor &processor, const char *text) {
  std::vector<std::string> pieces;
  std::string all;
  if (processor.Encode(text, &pieces).ok())
    for (const std::string &piece : pieces)
      all += piece;
  return all;
}

Result<TokenizerModel> quantc::readSentencePieceModel(std::string bytes) {
  sentencepiece::SentencePieceProcessor processor;
  QUANTC_TRY(load(processor, bytes));
  TokenizerModel model;
  model.kind = TokenizerKind::SentencePiece;
  for (int id = 0; id < processor.GetPieceSize(); id++) {
    TokenType type = processor.IsUnknown(id)   ? TokenType::Unknown
                     : processor.IsControl(id) ? TokenType::Control
                     : processor.IsByte(id)    ? TokenType::Byte
                     : processor.IsUnused(id)  ? TokenType::Unused
                                               : TokenType::Normal;
    model.tokens.push_back({processor.IdToPiece(id), processor.GetScore(id), type});
  }
  if (processor.bos_id() >= 0)
    model.bos = processor.bos_id();
  if (processor.eos_id() >= 0)
    model.eos = processor.eos_id();
  // Where the model squeezes spaces it must also put the first one itself, or it would remove ours.
  const bool squeezes = spelled(processor, "a  a").find("\u2581\u2581") == std::string::npos;
  if (!squeezes && spelled(processor, "a").starts_with(space)) {
    model.spacePrefix = SpacePrefix::AfterControl;
    model.firstSpace = FirstSpace::Dropped;
  }
  model.sentencePieceModel = std::move(bytes);
  return model;
}
