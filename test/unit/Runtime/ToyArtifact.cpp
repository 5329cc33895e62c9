#include "ToyArtifact.h"
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <unistd.h>

using namespace quantc;
using nlohmann::ordered_json;

int64_t toy::embedding(int32_t token, int64_t h) {
  return (token * 7 + h * 5 + token * h) % 9 - 4;
}

std::vector<int64_t> toy::expectedLogits(std::span<const int32_t> tokens) {
  std::vector<int64_t> logits(vocab);
  for (int32_t v = 0; v < vocab; ++v)
    for (int64_t h = 0; h < hidden; ++h)
      for (int64_t p = 0; p < static_cast<int64_t>(tokens.size()); ++p)
        logits[v] += (p * p % 7 - 3) * embedding(tokens[p], h) * embedding(v, h);
  return logits;
}

static std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

uint64_t toy::offsetOf(const std::string &symbol) {
  std::ifstream symbols(QUANTC_TOY_KERNELS ".symbols"); // nm: address, type, name
  std::string address, type, name;
  while (symbols >> address >> type >> name)
    if (name == symbol)
      return std::stoull(address, nullptr, 16);
  ADD_FAILURE() << "no symbol " << symbol;
  return 0;
}

ordered_json toy::manifest() {
  const auto kernel = [](const std::string &name) {
    const ordered_json entry = {offsetOf(name), offsetOf(name + "_tasks")};
    return ordered_json{{"name", name}, {"calls", 1}, {"why", ""}, {"entry", {{"plain", entry}}}};
  };
  const auto buffer = [](const char *name, int64_t perToken, int64_t perContext, bool persistent) {
    return ordered_json{
        {"name", name}, {"bytes", 0}, {"per_token", perToken}, {"per_context", perContext}, {"persistent", persistent}};
  };
  enum Buffer { Tokens, X, Cache, Y, Logits };
  const auto arg = [](const char *kind, auto value) { return ordered_json::array({kind, value}); };
  const auto rowsOf = [](int buffer, int64_t bytes) { return ordered_json::array({"buffer", buffer, bytes}); };
  // Vectors, because a braced list of pairs would become an object.
  const auto launch = [](int kernel, std::vector<ordered_json> args) {
    return ordered_json{{"kernel", kernel}, {"args", args}};
  };
  const auto stage = [](const char *name, std::vector<ordered_json> launches) {
    return ordered_json{{"name", name}, {"launches", launches}};
  };
  const ordered_json tokens = arg("scalar", "tokens"), past = arg("scalar", "past"), rows = arg("scalar", "rows"),
                     context = arg("scalar", "context"), table = arg("weight", 0);

  ordered_json result;
  result["version"] = 1;
  result["tool"] = "toy";
  result["model"] = {{"architecture", "toy"},
                     {"context", toy::context},
                     {"vocab", vocab},
                     {"hidden", hidden},
                     {"layers", 1},
                     {"bos", 1},
                     {"eos", ordered_json::array({2})}};
  result["targets"] = {{"plain", {{"code", "code.plain"}, {"features", ordered_json::array()}}}};
  result["kernels"] = {kernel("embed"), kernel("append"), kernel("attend"), kernel("head")};
  result["weights"].push_back({{"name", "embedding"},
                               {"tensor", "weight.embedding"},
                               {"format", "f32"},
                               {"shape", {vocab, hidden}},
                               {"source", ""},
                               {"hash", ""}});
  result["buffers"] = {buffer("tokens", 4, 0, false), buffer("x", 4 * hidden, 0, false),
                       buffer("cache", 0, 4 * hidden, true), buffer("y", 4 * hidden, 0, false),
                       buffer("logits", 4 * vocab, 0, false)};
  result["stages"] = {
      stage("embed", {launch(0, {arg("buffer", Tokens), table, arg("buffer", X), tokens})}),
      stage("block.0", {launch(1, {rowsOf(X, 4 * hidden), arg("buffer", Cache), context, past, tokens}),
                        launch(2, {rowsOf(Y, 4 * hidden), arg("buffer", Cache), context, past, tokens})}),
      stage("head", {launch(3, {rowsOf(Y, 4 * hidden), tokens, table, rowsOf(Logits, 4 * vocab), rows})})};
  result["inputs"] = {{"tokens", Tokens}};
  result["outputs"] = {{"logits", Logits}};
  return result;
}

ordered_json toy::manifestWith(const std::string &name) {
  ordered_json result = manifest();
  ordered_json kernel = result["kernels"].back();
  kernel["name"] = name;
  kernel["entry"]["plain"] = {offsetOf(name), offsetOf(name + "_tasks")};
  ordered_json launch = {{"kernel", result["kernels"].size()}, {"args", ordered_json::array()}};
  launch["args"].push_back({"buffer", result["outputs"]["logits"]});
  launch["args"].push_back({"scalar", "rows"});
  result["kernels"].push_back(kernel);
  result["stages"].back()["launches"].push_back(launch);
  return result;
}

std::filesystem::path toy::write(const ordered_json &manifest) {
  const std::string code = readFile(QUANTC_TOY_KERNELS ".bin");
  std::string weight(4 * vocab * hidden, '\0');
  for (int32_t v = 0; v < vocab; ++v)
    for (int64_t h = 0; h < hidden; ++h) {
      const float value = static_cast<float>(embedding(v, h));
      std::memcpy(&weight[4 * (v * hidden + h)], &value, 4);
    }

  // The header is padded with spaces to 8192 bytes with its length field, so that code begins on a page; so does the
  // weight, by a padding tensor.
  const size_t codeEnd = code.size(), padded = (codeEnd + 63) / 64 * 64;
  const auto tensor = [](size_t begin, size_t end) {
    return ordered_json{{"dtype", "U8"}, {"shape", {end - begin}}, {"data_offsets", {begin, end}}};
  };
  ordered_json header;
  header["__metadata__"] = {{"quantc", manifest.dump()}};
  header["code.plain"] = tensor(0, codeEnd);
  header["pad.0"] = tensor(codeEnd, padded);
  header["weight.embedding"] = tensor(padded, padded + weight.size());
  std::string text = header.dump();
  const size_t headerBytes = (text.size() + 8 + 4095) / 4096 * 4096 - 8;
  text.resize(headerBytes, ' ');

  static int written = 0;
  const auto path = std::filesystem::path(::testing::TempDir()) /
                    ("toy-" + std::to_string(::getpid()) + "-" + std::to_string(written++) + ".qm");
  std::ofstream file(path, std::ios::binary);
  for (int i = 0; i < 8; ++i)
    file.put(static_cast<char>(headerBytes >> 8 * i & 0xff));
  file << text << code << std::string(padded - codeEnd, '\0') << weight;
  EXPECT_TRUE(file.flush()) << path;
  static struct Remover {
    std::vector<std::filesystem::path> paths;
    ~Remover() {
      for (const auto &path : paths)
        std::filesystem::remove(path);
    }
  } remover;
  remover.paths.push_back(path);
  return path;
}

std::unique_ptr<Session> toy::session(const SessionOptions &options, const ordered_json &manifest) {
  auto model = Model::load(write(manifest));
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return nullptr;
  }
  auto session = Session::create(*model, options);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}
