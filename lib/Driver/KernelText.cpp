//===- KernelText.cpp - a kernel by itself: its IR, its description, its header -----------------------------------===//

#include "KernelText.h"
#include "quantc/Dialect/QF/Activations.h"
#include "llvm/Support/raw_ostream.h"

using namespace quantc;
using Json = nlohmann::ordered_json;

static std::string spell(mlir::Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  type.print(stream);
  return text;
}

//===- GPUs ----------------------------------------------------------------------------------------------------===//

std::string quantc::gpuKernelText(const KernelOptions &options, qf::ElemType format) {
  const std::string M = options.m ? std::to_string(*options.m) : "?", &type = options.activations;
  std::string text = fmt::format("!x = tensor<{0}x{1}x{2}>\n!w = tensor<{3}x{1}x{4}>\n!y = tensor<{0}x{3}x{2}>\n"
                                 "!acc = tensor<{0}x{3}xf32>\n#mn = affine_map<(m, n) -> (m, n)>\n"
                                 "#n = affine_map<(m, n) -> (n)>\n",
                                 M, options.k, type, options.n, spell(format));
  std::string parameters = "%x: !x, %w: !w", maps = "#mn", inputs = "%acc", types = "!acc", arguments = "%a0: f32";
  std::string body, sum = "%a0";
  auto add = [&](const char *name, const std::string &ofType, const char *map, int number) {
    parameters += fmt::format(", %{}: {}", name, ofType);
    maps += fmt::format(", {}", map);
    inputs += fmt::format(", %{}", name);
    types += fmt::format(", {}", ofType);
    arguments += fmt::format(", %b{}: {}", number, type);
    body += fmt::format("      %c{0} = arith.extf %b{0} : {1} to f32\n      %a{0} = arith.addf {2}, %c{0} : f32\n",
                        number, type, sum);
    sum = fmt::format("%a{}", number);
  };
  if (options.bias)
    add("bias", fmt::format("tensor<{}x{}>", options.n, type), "#n", 1);
  if (options.residual)
    add("residual", "!y", "#mn", 2);
  text += fmt::format("func.func @linear({}, %y: !y {{bufferization.writable = true}}) -> !y {{\n", parameters);
  text += "  %zero = arith.constant 0.0 : f32\n";
  text += options.m ? "  %empty = tensor.empty() : !acc\n"
                    : "  %c0 = arith.constant 0 : index\n  %m = tensor.dim %x, %c0 : !x\n"
                      "  %empty = tensor.empty(%m) : !acc\n";
  text += "  %init = linalg.fill ins(%zero : f32) outs(%empty : !acc) -> !acc\n"
          "  %acc = qf.contract %x, %w into %init : !x, !w, !acc -> !acc\n";
  text += fmt::format(
      "  %r = linalg.generic {{indexing_maps = [{0}, #mn], iterator_types = [\"parallel\", \"parallel\"]}}\n"
      "      ins({1} : {2}) outs(%y : !y) {{\n    ^bb0({3}, %o: {4}):\n{5}"
      "      %h = arith.truncf {6} : f32 to {4}\n      linalg.yield %h : {4}\n  }} -> !y\n"
      "  return %r : !y\n}}\n",
      maps, inputs, types, arguments, type, body, sum);
  return text;
}

Json quantc::describeGPUKernel(const KernelOptions &options, const GPUTarget &target, const FragmentStorage &storage,
                               const GPUKernel &kernel) {
  const Json m = options.m ? Json(*options.m) : Json("m");
  Json parameters = Json::array(), planes = Json::array();
  auto buffer = [&](const char *name, Json shape) {
    parameters.push_back({{"name", name}, {"type", options.activations}, {"shape", std::move(shape)}});
  };
  buffer("x", {m, options.k});
  for (size_t p = 0; p < storage.planes().size(); p++) {
    const FragmentPlane &plane = storage.planes()[p];
    const std::string name = fmt::format("w_{}_{}", plane.item->field->name, plane.low);
    Json shape = {(options.n + FragmentStorage::rows - 1) / FragmentStorage::rows,
                  storage.paddedColumns(options.k) / plane.columns, plane.words};
    parameters.push_back({{"name", name}, {"type", fmt::format("u{}", plane.wordBits)}, {"shape", shape}});
    planes.push_back({{"name", name},
                      {"field", plane.item->field->name},
                      {"first_bit", plane.low},
                      {"bits", plane.width},
                      {"order", plane.inLanes ? "lanes" : "rows"},
                      {"columns_of_a_cell", plane.item->run},
                      {"offset", storage.planeOffset(p, options.n, options.k)},
                      {"bytes", storage.planeBytes(plane, options.n, options.k)}});
  }
  if (options.bias)
    buffer("bias", {options.n});
  if (options.residual)
    buffer("residual", {m, options.n});
  buffer("y", {m, options.n});
  if (!options.m)
    parameters.push_back({{"name", "m"}, {"type", "i64"}});
  Json grid = {kernel.grid.x.size, 1, 1};
  if (kernel.grid.y.parameter < 0)
    grid[1] = kernel.grid.y.size;
  else
    grid[1] = fmt::format("(m + {}) / {}", kernel.grid.y.size - 1, kernel.grid.y.size);
  return {{"kernel", kernel.name},
          {"target", target.name},
          {"format", storage.fields().source()->spec()},
          {"n", options.n},
          {"k", options.k},
          {"m", options.m ? Json(*options.m) : Json()},
          {"grid", grid},
          {"threads", kernel.threads},
          {"shared_bytes", kernel.sharedBytes},
          {"schedule", kernel.parts ? "stream" : "tiled"},
          {"multiplies", kernel.warpGroups ? "wgmma" : "mma.sync"},
          {"waits", kernel.waits},
          {"parameters", parameters},
          {"weights",
           {{"bytes", storage.bytes(options.n, options.k)},
            {"alignment", 256},
            {"bits_per_weight", storage.bitsPerWeight()},
            {"planes", planes}}}};
}

static std::string headerGuarded(const KernelOptions &options, const std::string &body) {
  return fmt::format(
      "/* y[m][{0}] = x[m][{1}] w[{0}][{1}]^T, w in {2}, for {3}: made by quantc kernels. */\n#pragma once\n"
      "#include <stdint.h>\n\n{4}",
      options.n, options.k, options.format, options.target, body);
}

std::string quantc::gpuKernelHeader(const KernelOptions &options, const Json &d) {
  std::string text =
      fmt::format("#define LINEAR_THREADS {}\n#define LINEAR_SHARED_BYTES {}\n#define LINEAR_GRID_X {}\n",
                  d["threads"].get<int64_t>(), d["shared_bytes"].get<int64_t>(), d["grid"][0].get<int64_t>());
  const Json &y = d["grid"][1];
  text += y.is_string() ? fmt::format("#define LINEAR_GRID_Y(m) ({})\n", y.get<std::string>())
                        : fmt::format("#define LINEAR_GRID_Y {}\n", y.get<int64_t>());
  text += fmt::format("#define LINEAR_WEIGHT_BYTES {}\n", d["weights"]["bytes"].get<int64_t>());
  for (const Json &plane : d["weights"]["planes"])
    text +=
        fmt::format("#define LINEAR_OFFSET_{} {}\n", plane["name"].get<std::string>(), plane["offset"].get<int64_t>());
  text += "\n/* Parameters of the kernel \"linear\", device pointers in this order. */\nstruct linear_parameters {\n";
  for (const Json &parameter : d["parameters"]) {
    const bool scalar = !parameter.contains("shape");
    std::string shape;
    for (const Json &extent : scalar ? Json::array() : parameter["shape"])
      shape += fmt::format("[{}]", extent.is_string() ? extent.get<std::string>() : extent.dump());
    text += fmt::format("  {} {}; /* {}{} */\n", scalar ? "int64_t" : "uint64_t", parameter["name"].get<std::string>(),
                        parameter["type"].get<std::string>(), shape);
  }
  return headerGuarded(options, text + "};\n");
}

//===- Processors ----------------------------------------------------------------------------------------------===//

Result<std::string> quantc::cpuActivations(qf::BlockType weights, const std::filesystem::path &data) {
  QUANTC_ASSIGN(const qf::ActivationFormat format, qf::ActivationFormat::load(data));
  return format.suiting(weights.getKernelStorage()->format()).spec;
}

std::string quantc::cpuKernelText(const KernelOptions &options, qf::ElemType format, const std::string &activations) {
  const std::string x = fmt::format("tensor<?x{}xf32>", options.k), y = fmt::format("tensor<?x{}xf32>", options.n),
                    w = fmt::format("tensor<{}x{}x{}>", options.n, options.k, spell(format));
  std::string text, a = x;
  if (!activations.empty()) {
    a = fmt::format("tensor<?x{}x{}>", options.k, spell(*qf::ElemType::of(format.getContext(), activations)));
    text = fmt::format("func.func @encode(%x: {0}, %out: {1} {{bufferization.writable = true}}) -> {1} {{\n"
                       "  %r = qf.encode %x into %out : {0}, {1} -> {1}\n  return %r : {1}\n}}\n",
                       x, a);
  }
  return text + fmt::format("func.func @linear(%x: {0}, %w: {1}, %y: {2} {{bufferization.writable = true}}) -> {2} {{\n"
                            "  %zero = arith.constant 0.0 : f32\n"
                            "  %init = linalg.fill ins(%zero : f32) outs(%y : {2}) -> {2}\n"
                            "  %r = qf.contract %x, %w into %init : {0}, {1}, {2} -> {2}\n  return %r : {2}\n}}\n",
                            a, w, y);
}

Json quantc::describeCPUKernel(const KernelOptions &options, const Target &target, const KernelStorage &storage,
                               const std::string &activations, int64_t activationBytes) {
  Json parameters = Json::array();
  const std::string x = activations.empty() ? "f32" : activations;
  parameters.push_back({{"name", "x"}, {"type", x}, {"shape", {"m", options.k}}});
  parameters.push_back({{"name", "w"}, {"type", "bytes"}, {"shape", {storage.bytes(options.n, options.k)}}});
  parameters.push_back({{"name", "y"}, {"type", "f32"}, {"shape", {"m", options.n}}});
  return {{"kernel", "linear"},
          {"target", target.name},
          {"format", storage.source()->spec()},
          {"n", options.n},
          {"k", options.k},
          {"activations", x},
          {"activation_bytes", activationBytes},
          {"encode", activations.empty() ? Json() : Json("encode")},
          {"parameters", parameters},
          {"weights",
           {{"bytes", storage.bytes(options.n, options.k)},
            {"alignment", 64},
            {"bits_per_weight", storage.bitsPerWeight()},
            {"layout", storage.text()}}}};
}

std::string quantc::cpuKernelHeader(const KernelOptions &options, const Json &d) {
  std::string text =
      "/* args: addresses of buffers, aligned to 64 bytes, each followed by its number of tokens if it has "
      "one.\n   A kernel runs tasks [begin, end) of *_tasks(args), in any order, on any threads. */\n\n";
  text += fmt::format("#define LINEAR_WEIGHT_BYTES {}\n#define LINEAR_ACTIVATION_BYTES {} /* of a token, {} */\n\n",
                      d["weights"]["bytes"].get<int64_t>(), d["activation_bytes"].get<int64_t>(),
                      d["encode"].is_null() ? "x" : "codes");
  auto declare = [&](const char *name, const char *arguments) {
    text += fmt::format("/* args = {{{0}}} */\nvoid {1}(const int64_t *args, int64_t begin, int64_t end);\n"
                        "int64_t {1}_tasks(const int64_t *args);\n\n",
                        arguments, name);
  };
  if (!d["encode"].is_null())
    declare("encode", "x in f32, m, codes, m");
  declare("linear", d["encode"].is_null() ? "x in f32, m, w, y, m" : "codes, m, w, y, m");
  return headerGuarded(options,
                       "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n" + text + "#ifdef __cplusplus\n}\n#endif\n");
}
