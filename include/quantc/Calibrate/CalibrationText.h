//===- CalibrationText.h - what a model reads while it is calibrated ---------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <filesystem>
#include <functional>
#include <vector>

namespace quantc {

struct CalibrationText {
  /// A text in UTF-8; or, where its name ends in .jsonl, a JSON object in each line: {"text": …} is a document,
  /// {"input_ids": […]} a sequence of token ids, {"messages": [{"role": …, "content": …}]} a conversation, which the
  /// model's chat template writes out. Both also compressed (.gz); or a table (.parquet, .arrow) with a column "text".
  std::filesystem::path file;
  int64_t sequences = 128; ///< at most
  int64_t length = 512;    ///< tokens of a sequence, at most
  bool asked = false;      ///< the length was asked for; else it is no longer than a model computes
  uint64_t seed = 0;       ///< which sequences are taken; 0: those that lie evenly over the file
};

/// Fits the length to a model that computes `context` tokens at most. Fails where a longer one was asked for.
Status fitLength(CalibrationText &text, int64_t context);

struct CalibrationData {
  std::vector<std::vector<int32_t>> sequences; ///< of token ids
  uint64_t available = 0;                      ///< tokens of the file, in whole sequences

  uint64_t tokens() const;
  /// How many different ids there are.
  uint64_t distinctTokens() const;
};

/// The text that is shipped, for who names none.
Result<std::filesystem::path> defaultCalibrationText();

/// The file of a dataset that calibration/datasets.json knows by `name`, in a cache of the Hugging Face hub; nothing
/// where the name is none of them. Fails where the dataset does not lie there.
Result<std::optional<std::filesystem::path>> findDataset(const std::string &name, const std::filesystem::path &hub);

/// The model's tokenizer, or why it has none.
using TokenizerSource = std::function<Result<std::unique_ptr<Tokenizer>>()>;

/// Sequences of token ids. `tokenizer` is asked for once there is text: a file of ids needs none. Documents follow each
/// other and are cut into sequences of `length` tokens; each begins with the tokenizer's prefix (BOS), if it has one.
/// Given ids and conversations are cut to `length`. Of more than `sequences` those are taken that `seed` says, in the
/// order of the file: the same ones each time. A rest shorter than `length` counts only where there is nothing else.
/// Fails on a file without text, and on lines that are neither, with their number.
Result<CalibrationData> readSequences(const CalibrationText &text, const TokenizerSource &tokenizer);

} // namespace quantc
