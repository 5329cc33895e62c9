//===- ProgramJson.cpp - buffers, stages and launches as JSON -----------------------------------------------------===//

#include "ProgramJson.h"
#include <array>

using namespace quantc;
using nlohmann::ordered_json;

/// The names of kinds and scalars, in the order of their enumerations.
constexpr std::array<std::string_view, 3> kindNames = {"buffer", "weight", "scalar"};
constexpr std::array<std::string_view, 4> scalarNames = {"tokens", "past", "context", "rows"};

namespace {

BufferEntry readBuffer(const ManifestReader &object) {
  return {.name = object.member("name").text(),
          .bytes = object.member("bytes").count(),
          .perToken = object.member("per_token").count(),
          .perContext = object.member("per_context").count(),
          .persistent = object.member("persistent").flag()};
}

ArgEntry readArgument(const ManifestReader &pair) {
  ArgEntry arg{};
  size_t position = 0;
  pair.list([&](const ManifestReader &part) {
    if (position++ == 0)
      arg.kind = static_cast<ArgKind>(part.choice(kindNames));
    else if (arg.kind == ArgKind::Scalar)
      arg.scalar = static_cast<Scalar>(part.choice(scalarNames));
    else
      (position == 2 ? arg.index : arg.row) = part.count();
    return 0;
  });
  if (position != 2 && !(position == 3 && arg.kind == ArgKind::Buffer))
    pair.report("is no pair of a kind and what it is");
  return arg;
}

LaunchEntry readLaunch(const ManifestReader &object) {
  return {.kernel = object.member("kernel").count(), .args = object.member("args").list(readArgument)};
}

CarryEntry readCarry(const ManifestReader &object) {
  return {.buffer = object.member("buffer").count(), .perToken = object.member("per_token").count()};
}

StageEntry readStage(const ManifestReader &object) {
  StageEntry stage{.name = object.member("name").text(), .launches = object.member("launches").list(whole(readLaunch))};
  if (object.has("carries"))
    stage.carries = whole(readCarry)(object.member("carries"));
  return stage;
}

ordered_json writeBuffer(const BufferEntry &buffer) {
  return {{"name", buffer.name},
          {"bytes", buffer.bytes},
          {"per_token", buffer.perToken},
          {"per_context", buffer.perContext},
          {"persistent", buffer.persistent}};
}

ordered_json writeArgument(const ArgEntry &arg) {
  ordered_json pair = ordered_json::array({kindNames[static_cast<size_t>(arg.kind)]});
  if (arg.kind == ArgKind::Scalar)
    pair.push_back(scalarNames[static_cast<size_t>(arg.scalar)]);
  else
    pair.push_back(arg.index);
  if (arg.row)
    pair.push_back(arg.row);
  return pair;
}

ordered_json writeStage(const StageEntry &stage) {
  ordered_json object = {{"name", stage.name}};
  if (const auto &carries = stage.carries)
    object["carries"] = {{"buffer", carries->buffer}, {"per_token", carries->perToken}};
  object["launches"] = arrayOf(stage.launches, [](const LaunchEntry &launch) -> ordered_json {
    return {{"kernel", launch.kernel}, {"args", arrayOf(launch.args, writeArgument)}};
  });
  return object;
}

} // namespace

void quantc::readProgram(const ManifestReader &object, ProgramEntry &program) {
  program.buffers = object.member("buffers").list(whole(readBuffer));
  program.stages = object.member("stages").list(whole(readStage));
  const ManifestReader inputs = object.member("inputs"), outputs = object.member("outputs");
  program.tokensBuffer = inputs.member("tokens").count();
  inputs.finish();
  program.logitsBuffer = outputs.member("logits").count();
  if (outputs.has("tokens") || outputs.has("largest"))
    program.choice = ChoiceEntry{outputs.member("tokens").count(), outputs.member("largest").count()};
  if (outputs.has("top_tokens") || outputs.has("top_logits"))
    program.top = TopEntry{outputs.member("top_tokens").count(), outputs.member("top_logits").count()};
  outputs.finish();
}

void quantc::writeProgram(const ProgramEntry &program, ordered_json &object) {
  object["buffers"] = arrayOf(program.buffers, writeBuffer);
  object["stages"] = arrayOf(program.stages, writeStage);
  object["inputs"] = {{"tokens", program.tokensBuffer}};
  object["outputs"] = {{"logits", program.logitsBuffer}};
  if (const auto &choice = program.choice)
    object["outputs"].update({{"tokens", choice->tokens}, {"largest", choice->largest}});
  if (const auto &top = program.top)
    object["outputs"].update({{"top_tokens", top->tokens}, {"top_logits", top->logits}});
}
