//===- LinearKernel.cpp - one matrix product with its weights, its kernel and what it should give ---------------===//

#include "LinearKernel.h"
#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/Repack.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

AlignedBytes::AlignedBytes(size_t size, std::byte fill)
    : bytes(static_cast<std::byte *>(std::aligned_alloc(64, (size + 63) / 64 * 64 + 64))), count(size) {
  std::memset(bytes.get(), static_cast<int>(fill), size);
}
void AlignedBytes::Free::operator()(std::byte *p) const {
  std::free(p);
}

std::vector<float> quantc::test::randomNormal(size_t count, unsigned seed, float deviation) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> numbers(count);
  for (float &number : numbers)
    number = normal(engine);
  return numbers;
}

Result<LinearWeights> LinearWeights::create(mlir::MLIRContext &context, const LinearCase &linear, unsigned seed) {
  QUANTC_ASSIGN(qf::ElemType elem, qf::ElemType::of(&context, linear.spec));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(elem, 16));
  std::shared_ptr<const Format> format = elem.getFormat();
  std::vector<float> weights = randomNormal(linear.N * linear.K, seed, 0.02f), importance;
  if (!format->encode(""))
    importance.assign(linear.K, 1);
  QUANTC_ASSIGN(FieldValues fields, encode(*format, weights, linear.N, linear.K, importance));
  std::vector<float> values(weights.size());
  QUANTC_TRY(decode(*format, fields, linear.N, linear.K, values.data()));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(block.getKernelStorage()));
  AlignedBytes packed(block.getKernelStorage()->bytes(linear.N, linear.K));
  QUANTC_TRY(repacker.fromFields(fields, linear.N, linear.K, {packed.data(), packed.size()}));
  std::string activations;
  if (!linear.exact) {
    QUANTC_ASSIGN(activations, activationsFor(block, linear.high));
  }
  return LinearWeights{std::move(packed), std::move(values), activations};
}

Result<std::string> quantc::test::activationsFor(qf::BlockType weights, bool high) {
  QUANTC_ASSIGN(const qf::ActivationFormat format, qf::ActivationFormat::load(QUANTC_SOURCE_DIR));
  const std::shared_ptr<const Format> of = weights.getKernelStorage()->format();
  return (high ? format.suitingExactly(of) : format.suiting(of)).spec;
}

/// `!qf.elem<…>` as IR spells it.
static std::string spell(mlir::MLIRContext &context, const std::string &spec) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::Type(qf::ElemType::of(&context, spec).value()).print(stream);
  return text;
}

std::string quantc::test::linearText(mlir::MLIRContext &context, const LinearCase &linear,
                                     const std::string &activations) {
  const std::string x = fmt::format("tensor<?x{}xf32>", linear.K), y = fmt::format("tensor<?x{}xf32>", linear.N);
  const std::string w = fmt::format("tensor<{}x{}x{}>", linear.N, linear.K, spell(context, linear.spec));
  const std::string a = activations.empty() ? x : fmt::format("tensor<?x{}x{}>", linear.K, spell(context, activations));
  std::string text;
  if (!activations.empty())
    text += fmt::format(R"(
func.func @encode(%x: {0}, %out: {1} {{bufferization.writable = true}}) -> {1} {{
  %r = qf.encode %x into %out : {0}, {1} -> {1}
  return %r : {1}
}})",
                        x, a);
  const std::string contract =
      fmt::format("qf.contract %x, %w into %init {} : {}, {}, {} -> {}", linear.exact ? "exact" : "", a, w, y, y);
  if (!linear.residual)
    return text + fmt::format(R"(
func.func @linear(%x: {0}, %w: {1}, %out: {2} {{bufferization.writable = true}}) -> {2} {{
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%out : {2}) -> {2}
  %y = {3}
  return %y : {2}
}})",
                              a, w, y, contract);
  return text + fmt::format(R"(
#id = affine_map<(m, n) -> (m, n)>
func.func @linear(%x: {0}, %w: {1}, %residual: {2}, %out: {2} {{bufferization.writable = true}}) -> {2} {{
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %m = tensor.dim %out, %c0 : {2}
  %empty = tensor.empty(%m) : {2}
  %init = linalg.fill ins(%zero : f32) outs(%empty : {2}) -> {2}
  %y = {3}
  %s = linalg.generic {{indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}}
      ins(%y, %residual : {2}, {2}) outs(%out : {2}) {{
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
  }} -> {2}
  return %s : {2}
}})",
                            a, w, y, contract);
}

ReferenceActivations::ReferenceActivations(const std::vector<float> &x, int64_t M, int64_t K, int64_t group)
    : codes(M * K), group(group), K(K) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t first = 0; first < K; first += group) {
      const int64_t end = std::min(first + group, K);
      float largest = 0;
      for (int64_t k = first; k < end; k++)
        largest = std::max(largest, std::fabs(x[m * K + k]));
      const float inverse = largest == 0 ? 0 : 127 / largest;
      for (int64_t k = first; k < end; k++)
        codes[m * K + k] = static_cast<int8_t>(std::nearbyint(x[m * K + k] * inverse));
      scales.push_back(largest / 127);
    }
}

double ReferenceActivations::value(int64_t m, int64_t k) const {
  const int64_t groups = (K + group - 1) / group;
  return static_cast<double>(codes[m * K + k]) * scales[m * groups + k / group];
}

double quantc::test::nearestHalf(float x) {
  int exponent;
  const double fraction = std::frexp(static_cast<double>(x), &exponent); // in [0.5, 1)
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}
