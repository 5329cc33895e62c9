//===- BoundLaunch.cpp - a launch whose addresses are known -------------------------------------------------------===//

#include "BoundLaunch.h"
#include <algorithm>
#include <ranges>

using namespace quantc;

static bool names(const LaunchEntry &launch, Scalar scalar) {
  return std::ranges::any_of(launch.args,
                             [&](const ArgEntry &arg) { return arg.kind == ArgKind::Scalar && arg.scalar == scalar; });
}

/// The last tokens of a sequence, whose logits are wanted.
static bool takesLast(const LaunchEntry &launch) {
  return names(launch, Scalar::Tokens) && names(launch, Scalar::Rows);
}

/// A launch reads or writes what belongs to one sequence: a KV cache, positions, or the last of its tokens.
static bool isOfSequence(const ProgramEntry &program, const LaunchEntry &launch) {
  return names(launch, Scalar::Past) || takesLast(launch) || std::ranges::any_of(launch.args, [&](const ArgEntry &arg) {
           return arg.kind == ArgKind::Buffer && program.buffers[arg.index].persistent;
         });
}

Result<BoundLaunch> BoundLaunch::bind(const ProgramEntry &program, const LaunchEntry &launch, size_t stage,
                                      int64_t sequences, const Addresses &addresses) {
  BoundLaunch bound{.entry = &launch,
                    .stage = stage,
                    .ofSequence = isOfSequence(program, launch),
                    .args = {},
                    .scalars = {},
                    .places = {}};
  for (const ArgEntry &arg : launch.args)
    switch (arg.kind) {
    case ArgKind::Buffer: {
      const BufferEntry &buffer = program.buffers[arg.index];
      const bool isShared = !buffer.persistent && buffer.perToken != 0;
      if (sequences > 1 && bound.ofSequence && isShared && (!arg.row || arg.row > buffer.perToken))
        return fail("the artifact does not say how its buffers lie for several sequences: compile the model again");
      if (bound.ofSequence)
        bound.places.push_back({bound.args.size(), arg.index, isShared ? arg.row : 0, false});
      bound.args.push_back(addresses.buffer(arg.index, 0));
      break;
    }
    case ArgKind::Weight:
      std::ranges::copy(addresses.weight(arg.index), std::back_inserter(bound.args));
      break;
    case ArgKind::Scalar:
      bound.scalars.emplace_back(bound.args.size(), arg.scalar);
      bound.args.push_back(0);
      break;
    }
  if (takesLast(launch) && !bound.places.empty()) // to its last buffer
    bound.places.back().countsRows = true;
  return bound;
}

void BoundLaunch::fill(const SequenceStep &part, const Addresses &addresses, std::vector<int64_t> &filled) const {
  filled = args;
  for (const auto &[position, scalar] : scalars)
    filled[position] = scalar == Scalar::Past ? addresses.past(part) : valueOf(part.scalars, scalar);
  for (const Place &place : places)
    filled[place.argument] = addresses.buffer(place.buffer, part.sequence) +
                             static_cast<int64_t>(place.row) * (place.countsRows ? part.firstRow : part.firstToken);
}
