//===- ManifestTest.cpp -----------------------------------------------------------------------------------------===//

#include "quantc/Artifact/Manifest.h"
#include "Samples.h"
#include <functional>
#include <gmock/gmock.h>

using namespace quantc;
using nlohmann::ordered_json;
using testing::HasSubstr;

namespace {

std::optional<uint64_t> sampleBytes(const std::string &name) {
  for (const ArtifactTensor &tensor : samples::artifactTensors())
    if (tensor.name == name)
      return tensor.bytes;
  return std::nullopt;
}

ordered_json sampleJson() {
  return ordered_json::parse(samples::manifest().serialize().value());
}

/// Why a manifest is refused, read or checked.
std::string refusal(const std::string &text) {
  const auto manifest = Manifest::parse(text);
  const Status status = manifest ? manifest->check(sampleBytes) : Status(tl::unexpected(manifest.error()));
  const std::string message = status ? "" : status.error().message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}
std::string refusedWith(const std::string &pointer, const ordered_json &value) {
  ordered_json json = sampleJson();
  json[ordered_json::json_pointer(pointer)] = value;
  return refusal(json.dump());
}
std::string refusedWithout(const std::string &parent, const std::string &key) {
  ordered_json json = sampleJson();
  json[ordered_json::json_pointer(parent)].erase(key);
  return refusal(json.dump());
}

// docs/Architecture.md, "Artifact".
TEST(Manifest, IsWrittenAsDocumented) {
  EXPECT_EQ(
      samples::manifest().serialize().value(),
      R"({"version":2,"tool":"quantc 0.1.0",)"
      R"("model":{"architecture":"sample","context":40,"vocab":8,"hidden":4,"layers":1,"bos":1,"eos":[2,7],"rope":{"base":10000.0}},)"
      R"("targets":{"z-plain":{"code":"code.z-plain","features":[]},"a-better":{"code":"code.a-better","features":["avx2","fma"]}},)"
      R"("kernels":[{"name":"add","calls":2,"why":"one of a \"kind\"","entry":{"a-better":[16,99],"z-plain":[0,64]},)"
      R"("computes":{"operations":["linear","residual"],"activations":"f32","multiplications":32,"of_position":0,"window":0},)"
      R"("choices":{"a-better":{"tiles":[[256,64,4,16,0]],"instructions":["f32"],"many_tokens":[],"reasons":["f32 activations: none other"]}}}],)"
      R"("weights":[{"name":"embedding","tensor":"weight.embedding","format":"f32","shape":[8,4],"source":"model.safetensors","hash":"0123456789abcdef"},)"
      R"({"name":"tied","tensor":"weight.embedding","format":"f32","shape":[8,4],"source":"model.safetensors","hash":"0123456789abcdef"}],)"
      R"("buffers":[{"name":"tokens","bytes":0,"per_token":4,"per_context":0,"persistent":false},)"
      R"({"name":"cache","bytes":1,"per_token":0,"per_context":64,"persistent":true},)"
      R"({"name":"logits","bytes":32,"per_token":32,"per_context":0,"persistent":false}],)"
      R"("stages":[{"name":"embed","launches":[{"kernel":0,"args":[["buffer",0],["weight",1],["buffer",1],["scalar","tokens"],["scalar","past"]]}]},)"
      R"({"name":"head","launches":[{"kernel":0,"args":[["buffer",1],["buffer",2],["scalar","context"],["scalar","rows"]]}]}],)"
      R"("inputs":{"tokens":0},"outputs":{"logits":2},"certificate":{"recipe":"none"}})");
}

TEST(Manifest, IsReadAsWritten) {
  const std::string text = samples::manifest().serialize().value();
  EXPECT_EQ(refusal(text), "");
  const Manifest manifest = Manifest::parse(text).value();
  EXPECT_EQ(manifest.serialize().value(), text);
  EXPECT_EQ(manifest.targets[0].name, "z-plain"); // the order of the text, not of names
  EXPECT_EQ(manifest.kernels[0].entry.at("a-better").tasks, 99u);
  EXPECT_EQ(manifest.stages[0].launches[0].args[1].kind, ArgKind::Weight);
  EXPECT_EQ(manifest.stages[0].launches[0].args[1].index, 1u);
  EXPECT_EQ(manifest.stages[1].launches[0].args[3].scalar, Scalar::Rows);
  EXPECT_EQ(manifest.kernels[0].work->multiplications, 32u);
  EXPECT_EQ(manifest.kernels[0].choices.at("a-better").tiles[0][1], 64u);
  EXPECT_EQ(manifest.bos, 1);
  EXPECT_EQ(manifest.logitsBuffer, 2u);
  EXPECT_EQ(manifest.details.at("rope").at("base"), 10000.0);
}

TEST(Manifest, SomeKeysMayBeLeftOut) {
  EXPECT_EQ(refusedWithout("/model", "bos"), "");
  EXPECT_EQ(refusedWithout("", "certificate"), "");
  EXPECT_EQ(refusedWithout("/kernels/0", "computes"), "");
  EXPECT_EQ(refusedWithout("/kernels/0", "choices"), "");
}

TEST(Manifest, RefusesOtherVersions) {
  EXPECT_THAT(refusedWith("/version", 3), HasSubstr("an artifact of version 3; this program knows versions 1 to 2"));
  EXPECT_THAT(refusedWith("/version", 0), HasSubstr("of version 0"));
  EXPECT_THAT(refusedWith("/version", "1"), HasSubstr("has no version"));
  EXPECT_THAT(refusedWithout("", "version"), HasSubstr("has no version"));
  // Nothing else of another version is looked at.
  EXPECT_THAT(refusal(R"({"version":7,"everything":"else"})"), HasSubstr("of version 7"));
}

TEST(Manifest, RefusesBrokenText) {
  EXPECT_THAT(refusal(""), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("has no version"));
  EXPECT_THAT(refusal("{\"version\":1}"), HasSubstr("the manifest lacks tool"));
  EXPECT_THAT(refusal("{\"version\":1,\"version\":1}"), HasSubstr("stands twice"));
  EXPECT_THAT(refusal("{\"version\":1,\"tool\":\"\xc3\"}"), HasSubstr("no valid JSON in UTF-8"));
  EXPECT_THAT(refusal(samples::manifest().serialize().value() + std::string(1, '\0')), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal(std::string(1 << 20, '[')), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(refusal(std::string(65 << 20, ' ')), HasSubstr("are allowed"));
  std::string many = "[0";
  for (int i = 0; i < 4'000'000; ++i)
    many += ",0";
  EXPECT_THAT(refusal(many + "]"), HasSubstr("more than 4000000 values"));
}

TEST(Manifest, RefusesOtherForms) {
  EXPECT_THAT(refusedWith("/tool", 1), HasSubstr("tool is no string"));
  EXPECT_THAT(refusedWith("/surprise", 1), HasSubstr("the manifest has an unknown key \"surprise\""));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/surprise", 1), HasSubstr("stages[0].launches[0] has an unknown key"));
  EXPECT_THAT(refusedWith("/model/context", "many"), HasSubstr("model.context is no integer"));
  EXPECT_THAT(refusedWith("/model/layers", -1), HasSubstr("model.layers is no integer from 0"));
  EXPECT_THAT(refusedWith("/model/eos/1", int64_t(1) << 31),
              HasSubstr("model.eos[1] is no integer from 0 to 2147483647"));
  EXPECT_THAT(refusedWith("/model", nullptr), HasSubstr("model lacks architecture"));
  EXPECT_THAT(refusedWith("/targets", ordered_json::array()), HasSubstr("targets is no object"));
  EXPECT_THAT(refusedWith("/targets/z-plain/features", "avx2"), HasSubstr("targets.z-plain.features is no array"));
  EXPECT_THAT(refusedWith("/kernels/0/entry/z-plain", {1, 2, 3}), HasSubstr("kernels[0].entry.z-plain is no pair"));
  EXPECT_THAT(refusedWith("/kernels/0/entry/z-plain/0", -1), HasSubstr("is no integer"));
  EXPECT_THAT(refusedWith("/kernels/0/computes/window", -1), HasSubstr("kernels[0].computes.window is no integer"));
  EXPECT_THAT(refusedWith("/kernels/0/computes/surprise", 1), HasSubstr("kernels[0].computes has an unknown key"));
  EXPECT_THAT(refusedWith("/kernels/0/choices/a-better/tiles/0", "big"),
              HasSubstr("kernels[0].choices.a-better.tiles[0] is no array"));
  EXPECT_THAT(refusedWithout("/kernels/0/choices/a-better", "reasons"),
              HasSubstr("kernels[0].choices.a-better lacks reasons"));
  EXPECT_THAT(refusedWith("/buffers/1/bytes", 1.5), HasSubstr("buffers[1].bytes is no integer"));
  EXPECT_THAT(refusedWith("/buffers/1/bytes", UINT64_MAX), HasSubstr("buffers[1].bytes is no integer"));
  EXPECT_THAT(refusedWith("/buffers/1/persistent", 1), HasSubstr("is neither true nor false"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/3/1", "weather"),
              HasSubstr("tokens, past, context, rows are possible"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/3/0", "thing"), HasSubstr("buffer, weight, scalar are possible"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/3", {"scalar"}), HasSubstr("is no pair"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/3", "scalar"), HasSubstr("is no array"));
  EXPECT_THAT(refusedWith("/inputs/more", 1), HasSubstr("inputs has an unknown key"));
  EXPECT_THAT(refusedWith("/outputs", nullptr), HasSubstr("outputs lacks logits"));
}

TEST(Manifest, RefusesWhatDoesNotFitTogether) {
  EXPECT_THAT(refusedWith("/model/vocab", 0), HasSubstr("the vocabulary has 0 tokens"));
  EXPECT_THAT(refusedWith("/model/vocab", int64_t(1) << 31), HasSubstr("the vocabulary has 2147483648"));
  EXPECT_THAT(refusedWith("/model/context", 0), HasSubstr("the context is 0"));
  EXPECT_THAT(refusedWith("/model/bos", 8), HasSubstr("bos is 8"));
  EXPECT_THAT(refusedWith("/model/eos", {8}), HasSubstr("eos is 8"));
  EXPECT_THAT(refusedWith("/targets", ordered_json::object()), HasSubstr("nothing to run: 0 targets"));
  EXPECT_THAT(refusedWith("/kernels", ordered_json::array()), HasSubstr("0 kernels"));
  EXPECT_THAT(refusedWith("/stages", ordered_json::array()), HasSubstr("0 stages"));
  EXPECT_THAT(refusedWith("/targets/z-plain/code", "code.none"), HasSubstr("tensor \"code.none\", is not there"));
  EXPECT_THAT(refusedWith("/kernels/0/entry/z-plain", {100, 0}), HasSubstr("begins at bytes 100 and 0 of the code"));
  EXPECT_THAT(refusedWith("/kernels/0/entry/z-plain", {0, 100}), HasSubstr("which has 100"));
  EXPECT_THAT(refusedWithout("/kernels/0/entry", "z-plain"), HasSubstr("has no entry for target \"z-plain\""));
  EXPECT_THAT(refusedWith("/kernels/0/entry/other", {0, 0}),
              HasSubstr("has entries for 3 targets, the artifact has 2"));
  EXPECT_THAT(refusedWith("/kernels/1", sampleJson()["kernels"][0]), HasSubstr("two kernels are named \"add\""));
  EXPECT_THAT(refusedWith("/weights/1/name", "embedding"), HasSubstr("two weights are named"));
  EXPECT_THAT(refusedWith("/weights/1/name", ""), HasSubstr("a weight has no name"));
  EXPECT_THAT(refusedWith("/weights/0/tensor", "weight.none"), HasSubstr("the tensor \"weight.none\" is not there"));
  EXPECT_THAT(refusedWith("/weights/0/shape", {INT64_MAX, 3}), HasSubstr("can be addressed"));
  EXPECT_THAT(refusedWith("/buffers/0/name", "cache"), HasSubstr("two buffers are named"));
  EXPECT_THAT(refusedWith("/buffers/0/per_token", int64_t(1) << 60), HasSubstr("more bytes than can be addressed"));
  EXPECT_THAT(refusedWith("/buffers/1/bytes", INT64_MAX), HasSubstr("more bytes than can be addressed"));
  EXPECT_THAT(refusedWith("/stages/1/name", "embed"), HasSubstr("two stages are named"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/kernel", 1),
              HasSubstr("stage \"embed\" launches kernel 1, there are 1"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/0/1", 3), HasSubstr("an argument is buffer 3, there are 3"));
  EXPECT_THAT(refusedWith("/stages/0/launches/0/args/1/1", 2), HasSubstr("an argument is weight 2, there are 2"));
  EXPECT_THAT(refusedWith("/inputs/tokens", 3), HasSubstr("an input or output is buffer 3"));
  EXPECT_THAT(refusedWith("/outputs/logits", 3), HasSubstr("an input or output is buffer 3"));
}

TEST(Manifest, KeysOfLargeObjectsAreUnique) {
  std::string recipe = "{\"version\":1,\"certificate\":{\"0\":0";
  for (int i = 1; i < 40; ++i)
    recipe += ",\"" + std::to_string(i) + "\":0";
  EXPECT_THAT(refusal(recipe + "}}"), HasSubstr("lacks tool"));
  for (const char *key : {"0", "15", "16", "39"})
    EXPECT_THAT(refusal(recipe + ",\"" + key + "\":0}}"), HasSubstr("stands twice")) << key;
}

// Whatever is put in the place of any value, the answer is a manifest or one line.
TEST(Manifest, AnyValueMayBeAnything) {
  const ordered_json flat = sampleJson().flatten();
  const std::vector<ordered_json> values = {
      nullptr, true, -1, 3, UINT64_MAX, 0.5, "", "x", ordered_json::array(), ordered_json::object(), {1, 2}};
  for (const auto &[pointer, ignored] : flat.items())
    for (const ordered_json &value : values)
      refusedWith(pointer, value);
}

TEST(Manifest, TextIsUtf8) {
  Manifest manifest = samples::manifest();
  manifest.weights[0].source = "\xff";
  EXPECT_THAT(manifest.serialize().error().message, HasSubstr("UTF-8"));
}

} // namespace
