//===- Architecture.h - what files call the parts of a model ----------------------------------------------------===//
//
// architectures/*.json describe families of models as data: one file each over the shared names in decoder.json. A file
// says which models it is for, which biases and norms they have, and how their rotary embedding pairs features.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

/// The kinds of files that models come in. Names of tensors and of parameters depend on it.
enum class ModelKind { HuggingFace, Gguf };

/// "Hugging Face directory" or "GGUF file", for messages.
std::string_view kindName(ModelKind kind);

/// A name in each kind of file; empty where that kind has none.
struct FileNames {
  std::string huggingFace, gguf;
  const std::string &in(ModelKind kind) const { return kind == ModelKind::Gguf ? gguf : huggingFace; }
};

/// Which two features of a head the rotary embedding pairs: (i, i + D/2) or (2i, 2i + 1).
enum class RopePairs { Half, Adjacent };

/// Which layers have a sliding window, where the configuration gives its size and no `layer_types`.
enum class WindowUse {
  Never,
  Always,
  /// If `use_sliding_window` is true, from layer `max_window_layers` on.
  Flagged
};

enum class Presence { Never, Optional, Required };

struct Architecture {
  std::string name;                             ///< of the file: "llama"
  std::vector<std::string> huggingFace;         ///< `architectures` of config.json
  std::string gguf;                             ///< `general.architecture`; empty where another file serves GGUF
  std::map<std::string, FileNames> tensors;     ///< by role: "attn_q", "attn_q.bias"; `{i}` stands for the layer
  std::map<std::string, FileNames> parameters;  ///< by role: "hidden"; `{a}` stands for the GGUF architecture
  std::vector<FileNames> ignored;               ///< tensors that no part needs
  std::map<std::string, Presence> biases;       ///< by role of the weight; what is not listed has none
  std::map<std::string, std::string> biasFlags; ///< by role of the weight: the key of config.json that says it has one
  nlohmann::json defaults;                      ///< of config.json: what an absent key stands for
  std::vector<std::pair<FileNames, nlohmann::json>> fixed; ///< keys that no kernel follows, and the value that is right
  bool qkNorm = false;                                     ///< norms of queries and keys
  WindowUse window = WindowUse::Never;
  RopePairs ropePairs[2] = {}; ///< by ModelKind

  Presence bias(const std::string &role) const;
  RopePairs rope(ModelKind kind) const { return ropePairs[static_cast<int>(kind)]; }
  /// What `role` of `layer` is called; empty where this kind of file does not have it.
  std::string tensorName(ModelKind kind, const std::string &role, int64_t layer = 0) const;
  std::string parameterName(ModelKind kind, const std::string &role) const;

  /// Rows of queries and keys are in another order in GGUF files than in Hugging Face directories: row h·D + s·D/2 + i
  /// of the latter (s = 0, 1) is row h·D + 2i + s of the former.
  bool permutesQueriesAndKeys() const { return ropePairs[0] != ropePairs[1]; }
};

class Architectures {
public:
  /// Reads a folder of descriptions. Fails with "<file>: …" on the first that is wrong.
  static Result<Architectures> load(const std::filesystem::path &directory);

  /// The architecture of a model by what its file says. Fails with the names that are known.
  Result<const Architecture *> find(ModelKind kind, const std::string &name) const;
  const std::vector<Architecture> &all() const { return architectures; }

private:
  std::vector<Architecture> architectures;
};

} // namespace quantc
