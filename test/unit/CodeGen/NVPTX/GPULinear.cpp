//===- GPULinear.cpp - one matrix product on a GPU, in the emulator -----------------------------------------------===//

#include "GPULinear.h"
#include "Emulate.h"
#include "mlir/Parser/Parser.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/FragmentStorage.h"
#include <cmath>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

static std::string spell(mlir::MLIRContext &context, const std::string &spec) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::Type(qf::ElemType::of(&context, spec).value()).print(stream);
  return text;
}

std::string quantc::test::gpuLinearText(mlir::MLIRContext &context, const GPULinearCase &linear) {
  const std::string M = linear.tokens ? std::to_string(*linear.tokens) : "?";
  const std::string empty = linear.tokens ? "  %empty = tensor.empty() : !acc\n"
                                          : "  %c0 = arith.constant 0 : index\n  %m = tensor.dim %x, %c0 : !x\n"
                                            "  %empty = tensor.empty(%m) : !acc\n";
  std::string text = fmt::format("!x = tensor<{0}x{1}x{2}>\n!w = tensor<{3}x{1}x{4}>\n!y = tensor<{0}x{3}x{5}>\n"
                                 "!acc = tensor<{0}x{3}xf32>\n!bias = tensor<{3}x{5}>\n"
                                 "#mn = affine_map<(m, n) -> (m, n)>\n#n = affine_map<(m, n) -> (n)>\n",
                                 M, linear.K, linear.activations, linear.N, spell(context, linear.spec), linear.result);
  const char *writable = "{bufferization.writable = true}";
  const std::string product = "  %zero = arith.constant 0.0 : f32\n" + empty +
                              "  %init = linalg.fill ins(%zero : f32) outs(%empty : !acc) -> !acc\n"
                              "  %acc = qf.contract %x, %w into %init : !x, !w, !acc -> !acc\n";
  auto widen = [&](const char *to, const char *from) {
    return linear.result == "f32" ? fmt::format("      %{} = arith.addf %{}, %zero : f32\n", to, from)
                                  : fmt::format("      %{} = arith.extf %{} : {} to f32\n", to, from, linear.result);
  };
  const std::string narrow =
      linear.result == "f32"
          ? "      linalg.yield %t : f32\n"
          : fmt::format("      %h = arith.truncf %t : f32 to {0}\n      linalg.yield %h : {0}\n", linear.result);
  if (!linear.epilogue)
    return text + fmt::format("func.func @linear(%x: !x, %w: !w, %out: !y {}) -> !y {{\n", writable) + product +
           "  %y = linalg.generic {indexing_maps = [#mn, #mn], iterator_types = [\"parallel\", \"parallel\"]}\n"
           "      ins(%acc : !acc) outs(%out : !y) {\n" +
           fmt::format("    ^bb0(%a: f32, %o: {}):\n      %t = arith.addf %a, %zero : f32\n", linear.result) + narrow +
           "  } -> !y\n  return %y : !y\n}\n";
  return text +
         fmt::format("func.func @linear(%x: !x, %w: !w, %bias: !bias, %residual: !y, %out: !y {}) -> !y {{\n",
                     writable) +
         product +
         "  %y = linalg.generic {indexing_maps = [#mn, #n, #mn, #mn], iterator_types = [\"parallel\", \"parallel\"]}\n"
         "      ins(%acc, %bias, %residual : !acc, !bias, !y) outs(%out : !y) {\n" +
         fmt::format("    ^bb0(%a: f32, %b: {0}, %r: {0}, %o: {0}):\n", linear.result) + widen("bw", "b") +
         widen("rw", "r") + "      %s = arith.addf %a, %bw : f32\n      %t = arith.addf %s, %rw : f32\n" + narrow +
         "  } -> !y\n  return %y : !y\n}\n";
}

Result<GPULinear> GPULinear::create(mlir::MLIRContext &context, const GPULinearCase &linear, const Faults &faults) {
  const std::string text = gpuLinearText(context, linear);
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return fail("the kernel does not parse:\n{}", text);
  NVPTXOptions options;
  options.target = linear.target;
  options.from = GPULevel::Linalg;
  options.warpGroups = linear.warpGroups;
  QUANTC_ASSIGN(emulator::Emulator emulator, emulate(*module, options, faults.lanes, faults.code));
  GPULinear result(linear, std::move(emulator));
  result.info = kernelsOf(*module).at(0);

  QUANTC_ASSIGN(qf::ElemType elem, qf::ElemType::of(&context, linear.spec));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(elem, FragmentStorage::rows));
  QUANTC_ASSIGN(FragmentStorage storage, FragmentStorage::derive(block.getKernelStorage()));
  const Format &format = *elem.getFormat();
  const std::vector<float> weights = randomNormal(linear.N * linear.K, 1, 0.02f);
  std::vector<float> importance;
  if (!format.encode(""))
    importance.assign(linear.K, 1);
  QUANTC_ASSIGN(FieldValues fields, encode(format, weights, linear.N, linear.K, importance));
  result.values.resize(weights.size());
  QUANTC_TRY(decode(format, fields, linear.N, linear.K, result.values.data()));
  result.packed.resize(static_cast<size_t>(storage.bytes(linear.N, linear.K)));
  QUANTC_TRY(storage.fromFields(fields, linear.N, linear.K, result.packed));
  if (faults.weights)
    faults.weights(result.packed);
  for (size_t p = 0; p < storage.planes().size(); p++)
    result.planes.emplace_back(storage.planeOffset(p, linear.N, linear.K),
                               storage.planeBytes(storage.planes()[p], linear.N, linear.K));
  return result;
}

namespace {
/// Numbers of one of the types that kernels take, from 16 bytes on.
class Numbers {
public:
  Numbers(std::string type, size_t count, float fill = 0) : type(std::move(type)), count(count), bytes(count * 4 + 16) {
    for (size_t i = 0; i < count; i++)
      set(i, fill);
  }
  std::byte *data() { return bytes.data() + (16 - reinterpret_cast<uintptr_t>(bytes.data()) % 16) % 16; }
  size_t size() const { return count * (type == "f32" ? 4 : 2); }
  void set(size_t i, float value) {
    const uint16_t half = type == "f16" ? toF16(value) : toBF16(value);
    if (type == "f32")
      std::memcpy(data() + 4 * i, &value, 4);
    else
      std::memcpy(data() + 2 * i, &half, 2);
  }
  double get(size_t i) {
    float value;
    uint16_t half;
    std::memcpy(&value, data() + 4 * i, type == "f32" ? 4 : 0);
    std::memcpy(&half, data() + 2 * i, 2);
    return type == "f32" ? value : type == "f16" ? fromF16(half) : fromBF16(half);
  }

private:
  std::string type;
  size_t count;
  std::vector<std::byte> bytes;
};
} // namespace

Result<double> GPULinear::error(int64_t M, uint64_t seed) const {
  const auto &[spec, N, K, tokens, activations, type, epilogue, target, warpGroups] = linear;
  const float canary = 12345;
  Numbers x(activations, M * K), y(type, (M + 1) * N, canary), bias(type, N), residual(type, M * N);
  const std::vector<float> random = randomNormal(M * K, 7), offsets = randomNormal(M * N + N, 8);
  for (int64_t i = 0; i < M * K; i++)
    x.set(i, random[i]);
  for (int64_t i = 0; i < N; i++)
    bias.set(i, offsets[i]);
  for (int64_t i = 0; i < M * N; i++)
    residual.set(i, offsets[N + i]);

  // 16 bytes is what kernels rely on.
  std::vector<std::byte> weights(packed.size() + 256);
  std::byte *aligned = weights.data() + (256 - reinterpret_cast<uintptr_t>(weights.data()) % 256) % 256;
  std::memcpy(aligned, packed.data(), packed.size());
  std::vector<emulator::Buffer> buffers = {{x.data(), x.size()}};
  for (auto [offset, bytes] : planes)
    buffers.push_back({aligned + offset, static_cast<size_t>(bytes)});
  if (epilogue)
    buffers.insert(buffers.end(), {{bias.data(), bias.size()}, {residual.data(), residual.size()}});
  buffers.push_back({y.data(), y.size(), true});
  std::vector<int64_t> arguments;
  for (const emulator::Buffer &buffer : buffers)
    arguments.push_back(reinterpret_cast<int64_t>(buffer.data));
  if (!tokens)
    arguments.push_back(M);
  const GridAxis &perTokens = info.grid.y;
  emulator::Launch launch{.kernel = info.name,
                          .gridX = static_cast<unsigned>(info.grid.x.size),
                          .gridY = static_cast<unsigned>(
                              perTokens.parameter < 0 ? perTokens.size : (M + perTokens.size - 1) / perTokens.size),
                          .threads = static_cast<unsigned>(info.threads),
                          .sharedBytes = static_cast<size_t>(info.sharedBytes),
                          .seed = seed,
                          .overlaps = info.waits};
  QUANTC_TRY(code.launch(launch, arguments, buffers));

  double squares = 0, errors = 0;
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double sum = epilogue ? bias.get(n) + residual.get(m * N + n) : 0;
      for (int64_t k = 0; k < K; k++)
        sum += x.get(m * K + k) * values[n * K + k];
      squares += sum * sum;
      errors += (y.get(m * N + n) - sum) * (y.get(m * N + n) - sum);
    }
  Numbers untouched(type, 1, canary);
  for (int64_t n = 0; n < N; n++)
    if (y.get(M * N + n) != untouched.get(0))
      return fail("writes behind the last token");
  return std::sqrt(errors / squares);
}
