//===- TokenizerModel.h - what a tokenizer is made of, as data --------------------------------------------------===//
//
// One plain description serves every source (SentencePiece model, tokenizer.json, GGUF metadata) and every consumer. It
// is what an artifact embeds: `serialize` writes flat tables, `parse` reads them.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Files.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

class GgufMetadata;

/// How text becomes pieces.
enum class TokenizerKind : uint8_t {
  SentencePiece, ///< score-driven merges of characters, bytes as fallback (Llama 2, Mistral)
  ByteBPE,       ///< ranked merges of bytes inside words that regular expressions cut (GPT-2, Llama 3, Qwen)
};

/// The numbering of SentencePiece and of `tokenizer.ggml.token_type`.
enum class TokenType : uint8_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

enum class UnicodeForm : uint8_t { None, NFC, NFD, NFKC, NFKD };

struct Token {
  std::string
      text; ///< ByteBPE: in GPT-2's printable alphabet, added tokens as they are; SentencePiece: with U+2581 for spaces
  float score = 0;
  TokenType type = TokenType::Normal;
};

struct TokenizerModel {
  TokenizerKind kind = TokenizerKind::ByteBPE;
  std::vector<Token> tokens; ///< by id
  /// ByteBPE: pairs of pieces, best first.
  std::vector<std::pair<std::string, std::string>> merges;
  /// ByteBPE: regular expressions (PCRE2, UTF) applied one after the other; each match and each gap is a word.
  std::vector<std::string> splits;
  UnicodeForm normalization = UnicodeForm::None;
  bool ignoreMerges = false; ///< ByteBPE: a word that is a token as a whole is not merged
  bool spacePrefix = false;  ///< a space is put before the text
  /// SentencePiece: the serialized model that it came from, with its own normalization; empty: built from `tokens`.
  std::string sentencePieceModel;
  std::vector<int32_t> prefix, suffix; ///< put around a text: BOS, EOS
  std::optional<int32_t> bos, eos;
  std::vector<int32_t> stops; ///< ids that end a generated text; `eos` is among them
  std::string chatTemplate;

  /// Reads tokenizer.json (byte-level BPE, or BPE with byte fallback) or tokenizer.model of a model's directory, with
  /// tokenizer_config.json and generation_config.json where they are. Fails with the file and what it does not know.
  static Result<TokenizerModel> fromHuggingFace(const std::filesystem::path &directory);
  /// Reads the tokenizer of a GGUF file's metadata. `pretokenizers`: the file that says how the pre-tokenizers, which
  /// GGUF only names, cut text (tokenizers/pretokenizers.json of the data directory).
  static Result<TokenizerModel> fromGguf(const GgufMetadata &metadata, const std::filesystem::path &pretokenizers);
  /// Reads tables that `serialize` wrote; every count and offset is checked.
  static Result<TokenizerModel> parse(std::span<const std::byte> tables);
  std::string serialize() const;
  bool isToken(int64_t id) const { return id >= 0 && id < static_cast<int64_t>(tokens.size()); }
  /// Ids are within the vocabulary and merges name pieces; all constructors above have called it.
  Status check() const;
  /// Fails where it has more tokens than a model's vocabulary: it belongs to another model.
  Status checkVocabulary(int64_t vocab) const;
};

} // namespace quantc
