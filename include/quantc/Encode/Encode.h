//===- Encode.h - from f32 weights to the fields of a format ----------------------------------------------------===//
//
// Runs the `encode` clause of a format (docs/FormatLanguage.md, section 7): a straight-line f32 program over scopes,
// whose named searches are in Searches.h. One rounding per operation, sums in index order: the same bytes on every
// machine and for every number of threads.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include <functional>
#include <span>

namespace quantc {

/// A weight W[N][K] that is read in whole rows.
struct EncodeSource {
  int64_t N, K;
  /// Rows [row, row + rows), row-major, to `out`. Called from several threads at once; a row is read once for each pass
  /// over the weight (one, and one more for each step that takes a value of the whole tensor).
  std::function<Status(int64_t row, int64_t rows, float *out)> read;
  /// One number for each column: the clause `imatrix` of the format runs, where it has one. Empty: the clause without
  /// statistics.
  std::span<const float> importance;
};

/// Rows [row, row + rows) of a weight, as the fields of a weight of `rows` rows: cells that hold for the whole tensor
/// are in every tile, flat cells are counted from the first of the tile (tiles end where cells end).
struct EncodedTile {
  int64_t row, rows;
  FieldValues fields;
};

/// Takes each tile once, in any order, from several threads at once.
using EncodeSink = std::function<Status(const EncodedTile &tile)>;

/// How a weight is cut: rows of a tile (the last may have fewer), and how many passes over the weight there are.
struct EncodePlan {
  int64_t tileRows;
  unsigned passes;
};

/// Fails where the format has no clause for what is given, where the shape does not fit the format, or where the clause
/// uses a search that is not available.
Result<EncodePlan> planEncode(const Format &format, int64_t N, int64_t K, bool importance);

/// Encodes a weight tile by tile on up to `threads` threads (0: as many as the machine has). Needs memory for a tile in
/// each thread only. Fails where a weight, an importance, or a scale that comes out is NaN or infinite: the error names
/// row and column; then tiles may have gone to the sink already.
Status encode(const Format &format, const EncodeSource &source, const EncodeSink &sink, unsigned threads = 0);

/// The same, all fields in memory.
Result<FieldValues> encode(const Format &format, const EncodeSource &source, unsigned threads = 0);

/// The same for a weight in memory, row-major.
Result<FieldValues> encode(const Format &format, std::span<const float> x, int64_t N, int64_t K,
                           std::span<const float> importance = {}, unsigned threads = 1);

/// Reads a weight that is kept as it is, on up to `threads` threads, and fails as encoding it would where a number is
/// NaN or infinite.
Status checkNumbers(const EncodeSource &source, unsigned threads = 0);

} // namespace quantc
