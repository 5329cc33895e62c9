//===- Ceilings.h - what a processor computes and reads at most ---------------------------------------------------===//
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace quantc {

/// Ceilings of this machine, each measured when it is first asked for.
class Ceilings {
public:
  /// `rounds`: the best of so many.
  explicit Ceilings(int rounds) : rounds(rounds) {}

  /// Operations per second (a multiplication and an addition count as two) of threads that do nothing but this
  /// instruction, by its intrinsic's name ("f32": fused multiply-adds); 0 where that is not known.
  double operations(std::string_view intrinsic, int threads);

  /// Bytes per second at which threads read these bytes, over and over.
  double reading(std::span<const std::byte> bytes, int threads) const;

private:
  const int rounds;
  std::map<std::pair<std::string, int>, double> peaks;
};

} // namespace quantc
