//===- Activations.h - which activations suit a weight ----------------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include <filesystem>
#include <optional>
#include <string>

namespace quantc::qf {

/// Groups of int8 activations: columns that share a scale, columns whose codes are summed, and the bits of the sums (16
/// where integers that change within a group multiply them).
struct ActivationGroups {
  int64_t group, sum, width = 32;
  bool operator==(const ActivationGroups &) const = default;
};

/// The formats of activations. Launches, buffers and weights of an artifact are those of all its targets, and
/// activations are chosen before there is one: so no target's file names them, but `formats/activations.json`.
class ActivationFormat {
public:
  /// `data`: the folder of formats/. Fails with the file's path where it does not name a format.
  static Result<ActivationFormat> load(const std::filesystem::path &data);
  /// The specification of int8 activations.
  std::string spec(const ActivationGroups &groups) const;
  /// What suits a weight, and why, for people.
  struct Choice {
    std::string spec; ///< "": f32
    std::string why;
  };
  /// The activations that suit a weight of this format: int8, bf16 where it has no integer codes but those of
  /// `Factoring::isHalfDot`, or f32.
  Choice suiting(std::shared_ptr<const Format> weight) const;
  /// The same without int8: bf16 where codes are those of `Factoring::isHalfProduct`.
  Choice suitingExactly(std::shared_ptr<const Format> weight) const;

private:
  ActivationFormat() = default;
  std::string integers; ///< int8 activations, with {group}, {sum} and {width}
  std::string half;     ///< bf16 activations
  std::string halfSums; ///< with sums of {sum} columns
};

/// Bytes of a block of activations on targets that read it by lines of 64 bytes (`BlockType::getInLines`): blocks of
/// more than two lines begin a new one. Their number is odd, or tokens would fall in the same few sets of the cache.
int64_t bytesInLines(const Format &activations);

/// The activations with which a weight of this format is multiplied: their scales hold for the coarsest scope of the
/// weight's scales within [32, 256], their sums for the finest. Nothing where the format has no integer codes or its
/// scopes are no whole vectors of 16.
std::optional<ActivationGroups> activationsFor(std::shared_ptr<const Format> format);

} // namespace quantc::qf
