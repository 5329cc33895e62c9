//===- CalibrationText.h - what a model reads while it is calibrated ---------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <filesystem>
#include <vector>

namespace quantc {

struct CalibrationText {
  /// A text in UTF-8; or, where its name ends in .jsonl, a JSON object in each line: {"text": …} is a document,
  /// {"input_ids": […]} a sequence of token ids.
  std::filesystem::path file;
  int64_t sequences = 128; ///< at most
  int64_t length = 512;    ///< tokens of a sequence, at most
};

/// Sequences of token ids. Documents follow each other and are cut into sequences of `length` tokens; each begins with
/// the tokenizer's prefix (BOS), if it has one. Given ids are cut to `length`. Of more than `sequences` those are taken
/// that lie evenly over the file: the same ones each time. A rest shorter than `length` counts only where there is
/// nothing else. Fails on a file without text, and on lines that are neither, with their number.
Result<std::vector<std::vector<int32_t>>> readSequences(const CalibrationText &text, const Tokenizer &tokenizer);

} // namespace quantc
