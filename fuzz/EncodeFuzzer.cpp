//===- EncodeFuzzer.cpp - hostile encode clauses and hostile weights --------------------------------------------===//
//
// The first byte chooses a description whose encode clause is the rest of the text up to a 0 byte; what follows are
// weights. Nothing may crash, and what is encoded must decode.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Encode/Encode.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

using namespace quantc;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

static const char *const shapes[] = {
    "d : f16 per block\nq : u4 per weight\nvalue = d * (q - 8)\nblock 32 : 18 bytes { d q }\n",
    "d, m : f16 per block\nsc : u6 per 16\nq : u4 per weight\nvalue = d * sc * q - m\nblock 32 : 22 bytes { d m sc q "
    "pad 4 }\n",
    "table t = -9 -4 -1 0 2 5 8 9\nd : f32 per row\nq : u3 per weight\nvalue = d * t[q]\n",
    "s, z : f32 per 32\nq : u4 per weight\nvalue = (q - z) * s\n",
    "g : f32 per tensor\ns : e4m3 per 16 flat\nq : e2m1 per weight\nvalue = q * (s * g)\n",
    "table power = 1 3 9 27 81\nt : u8 [7] per block\nd : f16 per block\ntrit = (t[i % 7] * power[i / 7] & 255) * 3 >> "
    "8\n"
    "value = d * (trit - 1)\nblock 32 : 9 bytes { t d }\n",
};

static const char *const words[] = {
    "d = ",
    "q = ",
    "sc = ",
    "s = ",
    "z = ",
    "m = ",
    "g = ",
    "trit = ",
    "s, z = ",
    "d, q = ",
    "per 16 = ",
    "per weight = ",
    "per row = ",
    "per tensor = ",
    "per 16 flat = ",
    "per 2 by 8 = ",
    "x",
    "im",
    "0",
    "1",
    "1e30",
    "15",
    "\n",
    " + ",
    " * ",
    " / ",
    " - ",
    "(",
    ")",
    "absmax(x)",
    "signed_absmax(x)",
    "mean(x)",
    "sum(x)",
    "max(x)",
    "min(x)",
    "div0(1, d)",
    "round(x)",
    "floor(x)",
    "clamp(x, 0, 15)",
    "round_away(x)",
    "sqrt(x)",
    "e4m3_up(x)",
    "nearest(x)",
    "nearest(x, ties = even)",
    "nearest(x, keep = q)",
    "nearest(x, scale = d)",
    "qx(x, w = x*x, levels = 8)",
    "qp(x, w = 1, levels = 15)",
    "q3s(x, levels = 4)",
    "affine_group(x, bits = 4, sym = 0)",
    "qkx(x, w = x*x, levels = 15, rmin = -1, rdelta = 0.1, steps = 3)",
    "table_search(x, w = x*x, table = t, tries = 2)",
    "edge_affine(x, bits = 4)",
    "half_quadratic(x, bits = 4, p = 0.7, beta = 10, iterations = 3)",
    "pow2_scale(x, emax = 2, mode = even)",
    "refit(x, of = d, w = x*x, scale = d)",
};

/// Clauses that work, as where to begin.
static const char *const seeds[] = {
    "s per block = absmax(x) / 8\nd = s\nq = round(x * div0(1, s)) + 8\n",
    "d, q = qx(x, w = x*x, levels = 8)\n",
    "s, z, c per 16 = qkx(x, w = x*x, levels = 15, rmin = -1, rdelta = 0.1, steps = 3)\nd = max(s) / 63\nm = max(z)\n"
    "sc = clamp(round(s * div0(1, d)), 0, 63)\nq = nearest(x, keep = c)\n",
    "d, q = table_search(x, w = x*x, table = t, tries = 2)\n",
    "s, z = affine_group(x, bits = 4, sym = 0)\nq = nearest(x, ties = even)\n",
    "g = absmax(x) / 2688\ns = div0(absmax(x) / 6, g)\nq = nearest(x, ties = even)\n",
    "s per block = absmax(x)\nd = s\ntrit = round_away(x * div0(1, s)) + 1\n",
};

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  std::minstd_rand random(seed);
  auto pick = [&](const auto &list) { return std::string_view(list[random() % std::size(list)]); };
  std::string_view text;
  size_t at = size ? 1 + random() % size : 0;
  switch (random() % 4) {
  case 0:
    return LLVMFuzzerMutate(data, size, maxSize);
  case 1: // a clause that works, with weights
    if (maxSize < 512)
      return LLVMFuzzerMutate(data, size, maxSize);
    text = pick(seeds);
    data[0] = static_cast<uint8_t>(random());
    std::copy(text.begin(), text.end(), data + 1);
    data[1 + text.size()] = 0;
    for (size_t i = text.size() + 2; i < 512; i++)
      data[i] = static_cast<uint8_t>(random() >> 8);
    return 512;
  default:
    text = pick(words);
    at = std::min(at, size);
    if (size + text.size() > maxSize)
      return LLVMFuzzerMutate(data, size, maxSize);
    std::memmove(data + at + text.size(), data + at, size - at);
    std::copy(text.begin(), text.end(), data + at);
    return size + text.size();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  const std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
  const std::string_view clause = rest.substr(0, rest.find('\0'));
  const std::string_view numbers = rest.substr(std::min(clause.size() + 1, rest.size()));
  const std::string text =
      std::string("format f\n") + shapes[data[0] % std::size(shapes)] + "encode {\n" + std::string(clause) + "\n}\n";
  auto parsed = parseDescription(text, "f.qf", [](const std::string &) -> Result<std::string> { return fail("none"); });
  if (!parsed)
    return 0;
  auto format = Format::create(*parsed);
  if (!format)
    return 0;

  constexpr int64_t N = 5, K = 96;
  std::vector<float> x(N * K), importance(data[0] & 64 ? K : 0, 0.5f);
  for (size_t i = 0; i < x.size() && !numbers.empty(); i++) // a few bits of each number vary
    x[i] = std::ldexp(static_cast<float>(static_cast<signed char>(numbers[i % numbers.size()])),
                      numbers[i / 7 % numbers.size()] % 64);
  auto fields = encode(**format, x, N, K, importance);
  if (!fields)
    return 0;
  std::vector<float> decodedRow(x.size());
  if (!decode(**format, *fields, N, K, decodedRow.data()))
    std::abort();
  for (const Field &f : (*format)->fields())
    for (uint64_t cell : (*fields)[f.index])
      if (f.width < 64 && cell >> f.width)
        std::abort();
  return 0;
}
