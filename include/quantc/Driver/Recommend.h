//===- Recommend.h - which format and method for a model and a machine ------------------------------------------===//
#pragma once

#include "quantc/Calibrate/CalibrationText.h"
#include <functional>
#include <optional>

namespace quantc {

struct RecommendOptions {
  std::filesystem::path model;      ///< a model, or a config.json alone
  uint64_t memory = 0;              ///< bytes for weights and KV cache; 0: what the machine has available
  int64_t context = 4096;           ///< positions of the KV cache, at most those of the model
  std::filesystem::path text;       ///< quality is measured on it; empty: it is not measured
  CalibrationText calibration;      ///< with a file: quality of the methods that learn, too
  std::vector<std::string> formats; ///< whose quality is measured; empty: those of formats/candidates.json
  int64_t chunk = 512;              ///< tokens of a chunk of the text
  std::vector<std::filesystem::path> formatFiles;
  unsigned threads = 0;
  std::function<void(uint64_t done, uint64_t total, const std::string &what)> progress;
};

/// All matrices in one format.
struct FormatRow {
  std::string format;                    ///< specification; of plain numbers of bits: empty
  double bitsPerWeight = 0;              ///< of the matrices, as files store them
  double fileBytes = 0;                  ///< of all tensors
  std::optional<double> memory;          ///< bytes when it runs: kernel storage, vectors, KV cache
  std::optional<double> tokensPerSecond; ///< were a token's weights read at the measured bandwidth: an upper bound
  bool quantizes = false;                ///< the description says how codes are chosen
  std::string why;                       ///< it cannot hold the model, or cannot run; empty: it can
};

struct QualityRow {
  std::string format, method;
  double divergence, perplexity, top1;
};

struct Recommendation {
  double parameters = 0; ///< numbers in matrices and vectors
  double kvCache = 0;    ///< bytes
  double memory = 0;     ///< that is allowed
  double bandwidth = 0;  ///< bytes per second, measured now; 0: not asked for
  int64_t context = 0;
  std::vector<FormatRow> bits;    ///< 16, 8, 4, 3, 2 bits for each weight and nothing else
  std::vector<FormatRow> formats; ///< every description, its parameters at their defaults, large ones first
  std::vector<QualityRow> quality;
  std::string format, method; ///< empty: nothing fits
  std::string why;
};

/// Fails on what is no model of a known architecture, and where quality cannot be measured.
Result<Recommendation> recommend(const RecommendOptions &options);

} // namespace quantc
