//===- Rotation.h - randomized Hadamard rotations of features ---------------------------------------------------===//
//
// A rotation spreads what is large in one feature over all of them, which rounding likes, and changes no product of
// vectors that are rotated alike. (Ashkboos et al., "QuaRot", 2024; Tseng et al., "QuIP#", 2024.)
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <vector>

namespace quantc {

/// The orthogonal matrix R = D (Q x H) / sqrt(2^k) of size m 2^k, m odd: D has random signs on its diagonal, Q is the
/// reflection 1 - 2/m of size m (1 where m is 1), H is Sylvester's Hadamard matrix. Feature b 2^k + a belongs to row b
/// of Q and row a of H.
class Rotation {
public:
  /// `features` > 0. Sign i is bit i mod 64 of number i / 64 of the generator splitmix64 that begins with `seed`.
  Rotation(int64_t features, uint64_t seed);
  int64_t size() const { return static_cast<int64_t>(negative.size()); }

  /// Multiplies row vectors by R: `x` holds `size()` rows of `width` numbers, and each of its columns is one vector.
  void apply(double *x, int64_t width) const;

private:
  std::vector<bool> negative; ///< the signs of D
  int64_t power;              ///< 2^k
};

} // namespace quantc
