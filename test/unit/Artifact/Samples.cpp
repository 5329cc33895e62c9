//===- Samples.cpp - small files, byte by byte and by the writers -----------------------------------------------===//

#include "Samples.h"
#include <map>
#include <numeric>

using namespace quantc;

std::string samples::fromHex(std::string_view digits) {
  std::string bytes;
  std::string pending;
  for (char digit : digits) {
    if (digit == ' ')
      continue;
    pending += digit;
    if (pending.size() == 2) {
      bytes += static_cast<char>(std::stoi(pending, nullptr, 16));
      pending.clear();
    }
  }
  return bytes;
}

std::string samples::safetensorsHeader() {
  return R"({"__metadata__":{"format":"pt"},"b":{"dtype":"I32","shape":[3],"data_offsets":[0,12]},)"
         R"("a":{"dtype":"F16","shape":[2,2],"data_offsets":[12,20]}} )";
}
std::string samples::safetensorsData() {
  return fromHex("01000000 feffffff 2c010000 003c 00b8 ff7b 0004");
}

std::string samples::safetensorsFile(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i)
    file += static_cast<char>(header.size() >> 8 * i & 0xff);
  return file.append(header).append(data);
}
std::string samples::safetensors() {
  return safetensorsFile(safetensorsHeader(), safetensorsData());
}

std::string samples::gguf() {
  return fromHex(
             "474755460300000002000000000000000300000000000000140000000000000067656e6572616c2e617263686974656374757265"
             "0800000005000000000000006c6c616d6111000000000000006c6c616d612e626c6f636b5f636f756e7404000000010000000500"
             "000000000000782e61727209000000050000000200000000000000ffffffff070000000100000000000000610200000002000000"
             "00000000030000000000000000000000000000000000000001000000000000006201000000200000000000000008000000200000"
             "000000000000000000000000000000000000803f0000004000004040000080400000a0400000c040000000000000000000 38"
             "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f") +
         std::string(30, '\0');
}

GgufMetadata samples::ggufMetadata() {
  GgufMetadata metadata;
  const int32_t numbers[] = {-1, 7};
  (void)metadata.add("general.architecture", GgufValue::of("llama"));
  (void)metadata.add("llama.block_count", GgufValue::of(uint32_t(1)));
  (void)metadata.add("x.arr", GgufValue::array<int32_t>(numbers));
  return metadata;
}

std::optional<GgufBlock> samples::blockOf(uint32_t type) {
  static const std::map<uint32_t, GgufBlock> blocks = {
      {0, {1, 4}},     {1, {1, 2}},      {2, {32, 18}},    {3, {32, 20}},    {6, {32, 22}},    {7, {32, 24}},
      {8, {32, 34}},   {10, {256, 84}},  {11, {256, 110}}, {12, {256, 144}}, {13, {256, 176}}, {14, {256, 210}},
      {16, {256, 66}}, {17, {256, 74}},  {18, {256, 98}},  {19, {256, 50}},  {20, {32, 18}},   {21, {256, 110}},
      {22, {256, 82}}, {23, {256, 136}}, {24, {1, 1}},     {25, {1, 2}},     {26, {1, 4}},     {27, {1, 8}},
      {28, {1, 8}},    {29, {256, 56}},  {30, {1, 2}},     {34, {256, 54}},  {35, {256, 66}},  {39, {32, 17}},
      {40, {64, 36}},  {41, {128, 18}},  {42, {64, 18}}};
  const auto found = blocks.find(type);
  return found == blocks.end() ? std::nullopt : std::optional(found->second);
}

Manifest samples::manifest() {
  Manifest result;
  result.tool = "quantc 0.1.0";
  result.architecture = "sample";
  result.context = 40;
  result.vocab = 8;
  result.hidden = 4;
  result.layers = 1;
  result.bos = 1;
  result.eos = {2, 7};
  result.details = {{"rope", {{"base", 10000.0}}}};
  result.targets = {{"z-plain", "code.z-plain", {}}, {"a-better", "code.a-better", {"avx2", "fma"}}};
  result.kernels = {
      {.name = "add",
       .calls = 2,
       .why = "one of a \"kind\"",
       .entry = {{"z-plain", {0, 64}}, {"a-better", {16, 99}}},
       .work = KernelWork{.operations = {"linear", "residual"}, .activations = "f32", .multiplications = 32},
       .choices = {{"a-better",
                    {.tiles = {{256, 64, 4, 16, 0}},
                     .instructions = {"f32"},
                     .manyTokens = {},
                     .reasons = {"f32 activations: none other"}}}}}};
  result.weights = {{"embedding", "weight.embedding", "f32", {8, 4}, "model.safetensors", "0123456789abcdef"},
                    {"tied", "weight.embedding", "f32", {8, 4}, "model.safetensors", "0123456789abcdef"}};
  result.buffers = {{.name = "tokens", .perToken = 4},
                    {.name = "cache", .bytes = 1, .perContext = 64, .persistent = true},
                    {.name = "logits", .bytes = 32, .perToken = 32}};
  const auto buffer = [](size_t index) { return ArgEntry{ArgKind::Buffer, index}; };
  const auto scalar = [](Scalar which) { return ArgEntry{.kind = ArgKind::Scalar, .scalar = which}; };
  result.stages = {
      {"embed", {{0, {buffer(0), {ArgKind::Weight, 1}, buffer(1), scalar(Scalar::Tokens), scalar(Scalar::Past)}}}},
      {"head", {{0, {buffer(1), buffer(2), scalar(Scalar::Context), scalar(Scalar::Rows)}}}}};
  result.tokensBuffer = 0;
  result.logitsBuffer = 2;
  result.certificate = {{"recipe", "none"}};
  return result;
}

Manifest samples::gpuManifest() {
  Manifest result = manifest();
  result.weights[0].fragments = FragmentsEntry{"fragments.embedding", {0, 48}};
  GPUProgram &gpu = result.gpu.emplace();
  gpu.buffers = result.buffers;
  gpu.tokensBuffer = result.tokensBuffer;
  gpu.logitsBuffer = result.logitsBuffer;
  gpu.choice = ChoiceEntry{.tokens = 0, .largest = 1};
  gpu.top = TopEntry{.tokens = 2, .logits = 2};
  gpu.targets = {{"sm_80", "sm_80", "code.sm_80", "code.sm_80.cubin"}};
  GPUKernelEntry add{.name = "add", .calls = 1, .why = "for GPUs", .variants = {}};
  add.variants["sm_80"] = {{.symbol = "add_m1", .mostTokens = 1, .threads = 64, .sharedBytes = 0, .parameters = 5},
                           {.symbol = "add", .threads = 256, .sharedBytes = 1024, .parameters = 6}};
  add.variants["sm_80"][1].grid = {{{2, {}}, {64, 5}}};
  add.variants["sm_80"][1].waits = true;
  gpu.kernels = {add};
  const auto buffer = [](size_t index) { return ArgEntry{ArgKind::Buffer, index}; };
  const auto scalar = [](Scalar which) { return ArgEntry{.kind = ArgKind::Scalar, .scalar = which}; };
  gpu.stages = {{"all",
                 {{0, {buffer(0), {ArgKind::Weight, 0}, scalar(Scalar::Past), buffer(2), scalar(Scalar::Tokens)}}},
                 CarryEntry{.buffer = 2, .perToken = 16}}};
  return result;
}

std::vector<ArtifactTensor> samples::artifactTensors() {
  return {{"code.z-plain", 100}, {"code.a-better", 100}, {"tokenizer", 5}, {"weight.embedding", 128}};
}

Status samples::writeArtifact(const std::filesystem::path &path) {
  QUANTC_ASSIGN(TensorWriter writer, createArtifact(path, manifest(), artifactTensors()));
  for (const TensorExtent &tensor : writer.tensors()) {
    std::string bytes(tensor.bytes, '\0');
    std::iota(bytes.begin(), bytes.end(), '\0');
    QUANTC_TRY(writer.append(std::as_bytes(std::span(bytes))));
  }
  return writer.commit();
}
