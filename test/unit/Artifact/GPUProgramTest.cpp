//===- GPUProgramTest.cpp - what an artifact holds for GPUs -------------------------------------------------------===//

#include "Samples.h"
#include <gmock/gmock.h>

using namespace quantc;
using nlohmann::ordered_json;
using testing::HasSubstr;

namespace {

std::optional<uint64_t> sampleBytes(const std::string &name) {
  if (name == "fragments.embedding")
    return 128;
  if (name == "code.sm_80" || name == "code.sm_80.cubin")
    return 100;
  for (const ArtifactTensor &tensor : samples::artifactTensors())
    if (tensor.name == name)
      return tensor.bytes;
  return std::nullopt;
}

ordered_json sampleJson() {
  return ordered_json::parse(samples::gpuManifest().serialize().value());
}

std::string refusal(const ordered_json &json) {
  const auto manifest = Manifest::parse(json.dump());
  const Status status = manifest ? manifest->check(sampleBytes) : Status(tl::unexpected(manifest.error()));
  return status ? "" : status.error().message;
}
std::string refusedWith(const std::string &pointer, const ordered_json &value) {
  ordered_json json = sampleJson();
  json[ordered_json::json_pointer(pointer)] = value;
  return refusal(json);
}

// docs/Architecture.md, "Artifact".
TEST(GPUProgram, IsWrittenAsDocumented) {
  const ordered_json json = sampleJson();
  EXPECT_EQ(json["weights"][0]["fragments"].dump(), R"({"tensor":"fragments.embedding","planes":[0,48]})");
  EXPECT_EQ(json["gpu"]["targets"].dump(),
            R"({"sm_80":{"chip":"sm_80","ptx":"code.sm_80","cubin":"code.sm_80.cubin"}})");
  EXPECT_EQ(
      json["gpu"]["kernels"].dump(),
      R"([{"name":"add","calls":1,"why":"for GPUs","variants":{"sm_80":[)"
      R"({"symbol":"add_m1","most_tokens":1,"threads":64,"shared_bytes":0,"parameters":5,"grid":[{"size":1},{"size":1}]},)"
      R"({"symbol":"add","most_tokens":0,"threads":256,"shared_bytes":1024,"parameters":6,"grid":[{"size":2},{"size":64,"parameter":5}],"waits":true}]}}])");
  EXPECT_EQ(json["gpu"]["stages"][0]["carries"].dump(), R"({"buffer":2,"per_token":16})");
  EXPECT_EQ(json["gpu"]["inputs"].dump(), R"({"tokens":0})");
  EXPECT_EQ(json["gpu"]["outputs"].dump(), R"({"logits":2,"tokens":0,"largest":1,"top_tokens":2,"top_logits":2})");
}

TEST(GPUProgram, IsReadAsWritten) {
  const Manifest manifest = Manifest::parse(sampleJson().dump()).value();
  EXPECT_TRUE(manifest.check(sampleBytes).has_value());
  EXPECT_EQ(manifest.serialize().value(), samples::gpuManifest().serialize().value());
  EXPECT_EQ(GPUProgram::parameterCount(manifest.gpu->stages[0].launches[0], manifest.weights), 6u);
}

TEST(GPUProgram, MayStandAlone) {
  Manifest manifest = samples::gpuManifest();
  manifest.targets.clear();
  EXPECT_THAT(manifest.check(sampleBytes).error().message, HasSubstr("a program for processors, but no target"));
  manifest.kernels.clear();
  static_cast<ProgramEntry &>(manifest) = {};
  manifest.weights[0].tensor.clear();
  EXPECT_TRUE(manifest.check(sampleBytes).has_value());
  const std::string text = manifest.serialize().value();
  EXPECT_FALSE(ordered_json::parse(text).contains("targets"));
  EXPECT_EQ(Manifest::parse(text).value().serialize().value(), text);
  manifest.weights[0].fragments.reset();
  EXPECT_THAT(manifest.check(sampleBytes).error().message, HasSubstr("the tensor \"\" is not there"));
}

TEST(GPUProgram, RefusesWhatDoesNotFitTogether) {
  const std::string variant = "/gpu/kernels/0/variants/sm_80/1", one = "/gpu/kernels/0/variants/sm_80/0";
  EXPECT_EQ(refusal(sampleJson()), "");
  EXPECT_THAT(refusedWith(variant + "/threads", 1056), HasSubstr("blocks of 1056 threads"));
  EXPECT_THAT(refusedWith(variant + "/threads", 0), HasSubstr("blocks of 0 threads"));
  EXPECT_THAT(refusedWith(variant + "/threads", 33), HasSubstr("blocks of 33 threads"));
  EXPECT_THAT(refusedWith(variant + "/shared_bytes", 262145), HasSubstr("262145 bytes of shared memory"));
  EXPECT_THAT(refusedWith(variant + "/symbol", "a b"), HasSubstr("no function of PTX"));
  EXPECT_THAT(refusedWith(variant + "/symbol", ""), HasSubstr("no function of PTX"));
  EXPECT_THAT(refusedWith(variant + "/parameters", 7), HasSubstr("takes 7 parameters, a launch has 6"));
  EXPECT_THAT(refusedWith(variant + "/grid/1/size", 0), HasSubstr("a grid of size 0"));
  EXPECT_THAT(refusedWith(variant + "/grid/1/size", int64_t(1) << 31), HasSubstr("a grid of size 2147483648"));
  EXPECT_THAT(refusedWith(variant + "/grid/1/parameter", 6), HasSubstr("a grid by parameter 6, it takes 6"));
  EXPECT_THAT(refusedWith(variant + "/grid/1/parameter", 4), HasSubstr("by parameter 4, which is an address"));
  EXPECT_THAT(refusedWith(variant + "/grid/1/parameter", 3), HasSubstr("by parameter 3, which is an address"));
  EXPECT_THAT(refusedWith(variant + "/grid", {1}), HasSubstr("grid[0] lacks size"));
  EXPECT_THAT(refusedWith(variant + "/grid", ordered_json::array()), HasSubstr("is no pair of axes"));
  EXPECT_THAT(refusedWith(variant + "/most_tokens", 8), HasSubstr("any number last"));
  EXPECT_THAT(refusedWith(one + "/most_tokens", 0), HasSubstr("more tokens must come later"));
  EXPECT_THAT(refusedWith("/gpu/kernels/0/variants", ordered_json::object()), HasSubstr("has nothing for target"));
  EXPECT_THAT(refusedWith("/gpu/kernels/0/variants/sm_80", ordered_json::array()), HasSubstr("has nothing for target"));
  EXPECT_THAT(refusedWith("/gpu/kernels/0/variants/sm_99", ordered_json::array()), HasSubstr("entries for 2 targets"));
  EXPECT_THAT(refusedWith("/gpu/targets/sm_80/chip", "gfx90a"), HasSubstr("which is no GPU"));
  EXPECT_THAT(refusedWith("/gpu/targets/sm_80/ptx", "code.none"), HasSubstr("\"code.none\", is not there"));
  EXPECT_THAT(refusedWith("/gpu/targets/sm_80/cubin", "code.none"), HasSubstr("\"code.none\", is not there"));
  EXPECT_THAT(refusedWith("/gpu/targets", ordered_json::object()), HasSubstr("for GPUs: there is nothing to run"));
  EXPECT_THAT(refusedWith("/gpu/stages/0/launches/0/kernel", 1), HasSubstr("launches kernel 1, there are 1"));
  EXPECT_THAT(refusedWith("/gpu/stages/0/launches/0/args/0/1", 3), HasSubstr("an argument is buffer 3"));
  EXPECT_THAT(refusedWith("/gpu/stages/0/launches/0/args/4", {"scalar", "past"}),
              HasSubstr("says no number of tokens"));
  EXPECT_THAT(refusedWith("/gpu/stages/0/carries/buffer", 3),
              HasSubstr("stage \"all\": carries buffer 3, there are 3"));
  for (int bytes : {0, 36, 18})
    EXPECT_THAT(refusedWith("/gpu/stages/0/carries/per_token", bytes),
                HasSubstr("bytes of f32 for each token in buffer \"logits\", which has 32"));
  EXPECT_THAT(refusedWith("/gpu/inputs/tokens", 3), HasSubstr("an input or output is buffer 3"));
  EXPECT_THAT(refusedWith("/gpu/outputs/largest", 3), HasSubstr("an input or output is buffer 3"));
  EXPECT_THAT(refusedWith("/gpu/outputs/tokens", nullptr), HasSubstr("outputs"));
  EXPECT_THAT(refusedWith("/gpu/outputs/top_logits", 3), HasSubstr("an input or output is buffer 3"));
  EXPECT_THAT(refusedWith("/gpu/outputs/top_logits", nullptr), HasSubstr("outputs"));
  EXPECT_THAT(refusedWith("/gpu/outputs/top_logits", 1),
              HasSubstr("the most likely tokens of a row take 32 bytes, their logits 0"));
  EXPECT_THAT(refusedWith("/weights/0/fragments/tensor", "x"), HasSubstr("the tensor \"x\" is not there"));
  EXPECT_THAT(refusedWith("/weights/0/fragments/planes", ordered_json::array()), HasSubstr("has no planes"));
  EXPECT_THAT(refusedWith("/weights/0/fragments/planes/1", 128), HasSubstr("begins at byte 128 of 128"));
  EXPECT_THAT(refusedWith("/weights/0/fragments/planes/1", 8), HasSubstr("multiples of 16"));
  ordered_json json = sampleJson();
  json.erase("gpu");
  EXPECT_THAT(refusal(json), HasSubstr("for which there is no program"));
  json = sampleJson();
  json["gpu"]["targets"]["z-plain"] = json["gpu"]["targets"]["sm_80"];
  json["gpu"]["kernels"][0]["variants"]["z-plain"] = json["gpu"]["kernels"][0]["variants"]["sm_80"];
  EXPECT_THAT(refusal(json), HasSubstr("a target for processors and for GPUs"));
}

// Whatever is put in the place of any value, the answer is a manifest or one line.
TEST(GPUProgram, AnyValueMayBeAnything) {
  const std::vector<ordered_json> values = {
      nullptr, true, -1, 3, UINT64_MAX, 0.5, "", "x", ordered_json::array(), ordered_json::object(), {1, 2}};
  const ordered_json json = sampleJson(), gpu = ordered_json({{"gpu", json["gpu"]}}).flatten();
  for (const auto &[pointer, ignored] : gpu.items())
    for (const ordered_json &value : values)
      EXPECT_EQ(refusedWith(pointer, value).find('\n'), std::string::npos);
}

} // namespace
