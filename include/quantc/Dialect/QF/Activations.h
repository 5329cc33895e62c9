//===- Activations.h - which activations suit a weight ----------------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include <optional>
#include <span>

namespace quantc::qf {

/// Groups of int8 activations (the format `a8`): columns that share a scale, columns whose codes are summed, and the
/// bits of the sums (16 where integers that change within a group multiply them).
struct ActivationGroups {
  int64_t group, sum, width = 32;
  bool operator==(const ActivationGroups &) const = default;
  /// The specification of the activations.
  std::string spec() const;
};

/// The activations with which a weight of this format is multiplied: their scales hold for the coarsest scope of the
/// weight's scales within [32, 256], their sums for the finest. Nothing where the format has no integer codes or its
/// scopes are no whole vectors of 16: such weights take f32 activations.
std::optional<ActivationGroups> activationsFor(std::shared_ptr<const Format> format);

} // namespace quantc::qf
