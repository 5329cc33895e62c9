//===- Searches.h - the named searches for scales and codes -----------------------------------------------------===//
//
// Each search works on independent cells: `cells` runs of `n` numbers, one after the other. Results are one number a
// cell, codes one a number. Everything is f32 with one rounding for each operation, sums from index 0 on; cells run in
// the lanes of vectors, so a sum is never split. The functions of ggml's quantizers (ggml-quants.c: make_qx_quants,
// make_q3_quants, make_qp_quants, make_qkx2_quants, best_index_int8) come out bit for bit.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace quantc::search {

/// What all searches take: numbers x, and weights w of the squared errors (both cells * n).
struct Cells {
  const float *x;
  const float *w;
  size_t cells, n;
};

/// Symmetric codes in [0, 2 levels): value = scale * (code - levels). Tries 19 scales around -levels / (number of
/// largest magnitude), fits each by least squares. `codes` may be null.
void qx(const Cells &in, int levels, float *scale, float *codes);

/// As qx with w = x*x, from the first scale on by coordinate descent (at most 5 sweeps). Ignores `in.w`.
void q3s(const Cells &in, int levels, float *scale, float *codes);

/// Codes in [0, levels] of numbers >= 0: value = scale * code. Tries 9 scales, then coordinate descent. Codes are bytes
/// that wrap where numbers are negative.
void qp(const Cells &in, int levels, float *scale, float *codes);

/// Codes in [0, levels]: value = scale * code - minimum, minimum >= 0.
struct QkxConstants {
  int levels;
  float rmin, rdelta; ///< step t tries (rmin + rdelta * t + levels) / (largest - smallest)
  int steps;          ///< t = 0 .. steps
  bool mad;           ///< absolute instead of squared errors
};
void qkx(const Cells &in, const QkxConstants &constants, float *scale, float *minimum, float *codes);

/// Index of the entry of an ascending table that is nearest to a number, the upper one of two equally near. Both
/// differences are rounded to f32, as ggml's bisection does.
class NearestEntry {
public:
  explicit NearestEntry(std::span<const float> table);
  /// `out[i]` is an index as f32.
  void indices(const float *v, size_t count, float *out) const;
  size_t size() const { return table.size(); }

private:
  friend void tableSearch(const Cells &in, const NearestEntry &entries, int tries, float *scale, float *codes);
  std::vector<float> table;
  std::vector<float> thresholds; ///< entry j + 1 is chosen from thresholds[j] on
};

/// value = scale * table[code]; tries 2 tries + 1 scales besides the first.
void tableSearch(const Cells &in, const NearestEntry &entries, int tries, float *scale, float *codes);

/// GPTQ's find_params: scale and zero point of codes in [0, 2^bits), value = scale * (code - zero).
void affineGroup(const Cells &in, int bits, bool symmetric, float *scale, float *zero);

/// Affine groups whose edge of larger magnitude is exact: value = scale * code + bias.
void edgeAffine(const Cells &in, int bits, float *scale, float *bias);

/// The zero point by half-quadratic splitting with an l_p shrinkage; value = scale * (code - zero).
struct HalfQuadraticConstants {
  int bits;
  float p, beta;
  int iterations;
};
void halfQuadratic(const Cells &in, const HalfQuadraticConstants &constants, float *scale, float *zero);

/// Biased exponents of power-of-two scales: floor(log2(absmax)) - emax + 127, 0 where all numbers are 0. `even`: the
/// magnitude is first rounded up to the next power of two from 1.75 on.
void pow2Scale(const Cells &in, int emax, bool even, float *exponent);

/// The bits of the unsigned E4M3 number for v, halves rounded up, at most 448; 0 for v <= 0.
float e4m3Up(float v);

/// The signed 8-bit dynamic map of bitsandbytes: 256 numbers from -0.99297 to 1, ascending.
std::array<float, 256> dynamicMap();

/// Points of a codebook: vectors of few levels, and for every vector that is not one of them the points near to it.
class Grid {
public:
  /// `table`: points of `dimension` numbers. Numbers count by their rank among the levels (digits). Candidates of a
  /// vector are the points at its `want` smallest distances. Fails where there are more than 8 levels, or 2^16 vectors.
  static Result<Grid> create(std::span<const int64_t> table, size_t dimension, size_t want);

  size_t dimension() const { return size; }
  size_t levels() const { return levelCount; }
  /// Index of the point with these digits, -1 where there is none.
  int indexOf(const uint8_t *digits) const { return indices[keyOf(digits)]; }
  const uint8_t *point(size_t index) const { return digits.data() + index * size; }
  /// Points by ascending distance, then index.
  std::span<const uint16_t> candidates(const uint8_t *digits) const;

private:
  size_t keyOf(const uint8_t *digits) const;
  size_t size = 0, levelCount = 0;
  std::vector<uint8_t> digits;          ///< of the points
  std::vector<int> indices;             ///< by key: base `levels`, digit 0 lowest
  std::vector<uint32_t> firstCandidate; ///< by key
  std::vector<uint16_t> candidateList;
};

enum class Resnap { Always, Changed, Any };
struct GridConstants {
  float start, step; ///< try t has the inverse scale (start + step * t) / largest, t = -tries .. tries
  int tries;
  float zero;    ///< cells whose largest magnitude is below are zero
  bool parity;   ///< of 8 signs an even number is negative: 7 bits for each 8 numbers; else a sign for each number
  bool seeded;   ///< begins with the codes of qp
  Resnap resnap; ///< which groups are coded again with the last scale: all, those off the grid, all if one was off it
};
/// ggml's search for groups of codes on a grid with odd coordinates: value = scale * (2 digit + 1) * sign. `index`: one
/// for each group, `signs`: as GridConstants::parity says.
void gridSearch(const Cells &in, const Grid &grid, const GridConstants &constants, float *scale, float *index,
                float *signs);

struct SegmentConstants {
  float delta; ///< levels are -1, 0, 1 shifted by delta up or down
  int halves;  ///< parts of a cell that have a shift of their own
  float zero;
};
/// ggml's search for three shifted levels: the best two cuts of the sorted numbers, then groups of 8 brought onto the
/// grid. `shift`: 1 (downwards) or 0 for each half.
void segmentSearch(const Cells &in, const Grid &grid, const SegmentConstants &constants, float *scale, float *index,
                   float *shift);

} // namespace quantc::search
