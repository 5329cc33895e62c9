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
  SentencePiece, ///< score-driven merges of characters, bytes as fallback (Llama 2 and Mistral, tokenizer.model)
  ByteBPE,       ///< ranked merges of bytes inside words that regular expressions cut (GPT-2, Llama 3, Qwen)
  CharacterBPE,  ///< ranked merges of characters, bytes as fallback (Llama 2 and Mistral, tokenizer.json)
};

/// The numbering of SentencePiece and of `tokenizer.ggml.token_type`.
enum class TokenType : uint8_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

/// How an added token (control or user-defined) is found in a text.
struct TokenMatch {
  bool normalized = false; ///< in the normalized text, and normalized itself; else in the text as it was given
  bool stripLeft = false;  ///< white space before it belongs to it
  bool stripRight = false; ///< white space behind it belongs to it
  bool singleWord = false; ///< only where no character of a word adjoins
};

struct Token {
  /// ByteBPE: in GPT-2's printable alphabet, added tokens as they are; SentencePiece: with U+2581 for spaces;
  /// CharacterBPE: with `spaceSymbol` for spaces.
  std::string text;
  float score = 0; ///< SentencePiece
  TokenType type = TokenType::Normal;
  TokenMatch match = {};
};

/// A step of what is done to a text before it is cut.
struct Normalizer {
  enum Kind : uint8_t {
    NFC,
    NFD,
    NFKC,
    NFKD,
    Lowercase,
    StripAccents,
    StripLeft, ///< white space
    StripRight,
    Prepend, ///< puts `content` before a text that is not empty
    Replace  ///< each match of `pattern` by `content`
  } kind = NFC;
  std::string pattern; ///< a regular expression (PCRE2, UTF)
  std::string content;
  bool operator==(const Normalizer &) const = default;
};

/// A regular expression (PCRE2, UTF) that cuts text, and what becomes of its matches and of the gaps between them.
struct Split {
  enum Behavior : uint8_t {
    Isolated, ///< each match and each gap is a word
    RemoveMatches,
    RemoveGaps,
    MergedWithPrevious, ///< a match belongs to the gap before it
    MergedWithNext,     ///< a match belongs to the gap behind it
    Contiguous          ///< matches that adjoin are one word
  };
  std::string pattern;
  Behavior behavior = Isolated;
  bool operator==(const Split &) const = default;
};

/// Where a space is put before a text. SentencePiece: even where there is one already.
enum class SpacePrefix : uint8_t {
  Never,
  AfterControl, ///< at the beginning of the text and after a control token
  AfterAdded,   ///< at the beginning of the text and after every added token
  TextStart     ///< only at the beginning of the text
};

/// Which spaces decoding drops, as artefacts of encoding.
enum class FirstSpace : uint8_t {
  Kept,
  Dropped,        ///< the first character of the text
  DroppedOfToken, ///< all those of the first token
};

struct TokenizerModel {
  TokenizerKind kind = TokenizerKind::ByteBPE;
  std::vector<Token> tokens; ///< by id
  /// ByteBPE, CharacterBPE: pairs of pieces, best first.
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<Normalizer> normalizers; ///< applied in order
  std::vector<Split> splits;           ///< ByteBPE, CharacterBPE: applied one after the other
  bool ignoreMerges = false;           ///< a word that is a token as a whole is not merged
  SpacePrefix spacePrefix = SpacePrefix::Never;
  FirstSpace firstSpace = FirstSpace::Kept;
  /// CharacterBPE: what stands for a space in tokens; empty: the space itself.
  std::string spaceSymbol;
  bool writesSpaces = false;      ///< CharacterBPE: spaces of a text become `spaceSymbol` after normalization
  bool byteFallback = false;      ///< CharacterBPE: characters without a token become bytes
  bool fusesUnknown = false;      ///< CharacterBPE: adjoining characters without a token are one unknown token
  std::optional<int32_t> unknown; ///< CharacterBPE: of a character without a token
  /// SentencePiece: the serialized model that it came from, with its own normalization; empty: built from `tokens`.
  std::string sentencePieceModel;
  std::vector<int32_t> prefix, suffix; ///< put around a text: BOS, EOS
  std::optional<int32_t> bos, eos;
  std::vector<int32_t> stops; ///< ids that end a generated text; `eos` is among them
  std::string chatTemplate;

  /// Reads tokenizer.json (byte-level BPE, or BPE of characters) or tokenizer.model of a model's directory, with
  /// tokenizer_config.json and generation_config.json where they are. Fails with the file and what it does not know.
  static Result<TokenizerModel> fromHuggingFace(const std::filesystem::path &directory);
  /// Reads the tokenizer of a GGUF file's metadata. `pretokenizers`: the file that says how the pre-tokenizers, which
  /// GGUF only names, cut text (tokenizers/pretokenizers.json of the data directory).
  static Result<TokenizerModel> fromGguf(const GgufMetadata &metadata, const std::filesystem::path &pretokenizers);
  /// Reads tables that `serialize` wrote; every count and offset is checked.
  static Result<TokenizerModel> parse(std::span<const std::byte> tables);
  std::string serialize() const;
  bool isToken(int64_t id) const { return id >= 0 && id < static_cast<int64_t>(tokens.size()); }
  /// Whether a token is looked for in a text before it is cut.
  bool isAdded(const Token &token) const;
  /// Ids are within the vocabulary, and what is looked for in a text or put into it is UTF-8, as texts between added
  /// tokens then are; all constructors above have called it.
  Status check() const;
  /// Fails where it has more tokens than a model's vocabulary: it belongs to another model.
  Status checkVocabulary(int64_t vocab) const;
};

} // namespace quantc
