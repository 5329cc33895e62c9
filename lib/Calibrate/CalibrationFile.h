//===- CalibrationFile.h - the bytes of a calibration text ------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <string>

namespace quantc {

struct CalibrationFile {
  std::string text;   ///< UTF-8, if the file is
  bool lines = false; ///< each line is a JSON object
};

/// Reads a text, lines of JSON (.jsonl), either of them compressed (.gz, whose .json are lines too), or the column
/// "text" of a table (.parquet, .arrow). Of compressed files and tables, which are parts of datasets, only the first 64
/// MB of text are read, in whole lines.
Result<CalibrationFile> readCalibrationFile(const std::filesystem::path &file);

} // namespace quantc
