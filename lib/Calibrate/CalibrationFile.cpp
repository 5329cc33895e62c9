//===- CalibrationFile.cpp - the bytes of a calibration text ----------------------------------------------------===//

#include "CalibrationFile.h"
#include "PythonScript.h"
#include "quantc/Support/Files.h"
#include <zlib.h>

using namespace quantc;
namespace fs = std::filesystem;

/// A text that is no part of a dataset is read whole.
static constexpr uint64_t largestText = uint64_t(1) << 30;
static constexpr uint64_t largestPart = uint64_t(64) << 20;

static Result<std::string> uncompressed(const fs::path &file) {
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> stream(gzopen(file.c_str(), "rb"), gzclose);
  if (!stream)
    return fail("{}: cannot be opened", file.string());
  constexpr uint64_t step = uint64_t(64) << 10;
  std::string text;
  bool isEnd = false;
  while (!isEnd && text.size() < largestPart) {
    const size_t size = text.size();
    text.resize(size + step);
    const int count = gzread(stream.get(), text.data() + size, step);
    int error = Z_OK;
    const char *message = gzerror(stream.get(), &error);
    if (count < 0 || error != Z_OK)
      return fail("{}: is damaged: {}", file.string(), message);
    text.resize(size + static_cast<size_t>(count));
    isEnd = static_cast<uint64_t>(count) < step;
  }
  if (text.size() == largestPart)
    text.resize(text.rfind('\n') + 1); // none: no whole line
  return text;
}

Result<CalibrationFile> quantc::readCalibrationFile(const fs::path &file) {
  const std::string kind = file.extension();
  if (kind == ".parquet" || kind == ".arrow") {
    auto table = runPythonScript("tables.py", {fs::absolute(file).string(), std::to_string(largestPart)});
    if (!table)
      return failAt(file.string(), table.error());
    return CalibrationFile{std::move(*table), /*lines=*/true};
  }
  if (kind == ".gz") {
    QUANTC_ASSIGN(std::string text, uncompressed(file));
    const std::string inner = file.stem().extension();
    return CalibrationFile{std::move(text), inner == ".json" || inner == ".jsonl"};
  }
  QUANTC_ASSIGN(std::string text, readText(file, largestText));
  return CalibrationFile{std::move(text), kind == ".jsonl"};
}
