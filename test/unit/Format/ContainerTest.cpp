//===- ContainerTest.cpp - fields in the tensors of files, both ways --------------------------------------------===//

#include "TestFormats.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Layout.h"
#include "quantc/Format/PackedFields.h"
#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>
#include <random>

using namespace quantc;
using namespace quantc::test;

namespace {

/// store(read(bytes)) is the identity on blocks: no shipped block has padding.
TEST(Blocks, StoreIsTheInverseOfRead) {
  std::vector<std::string> specs = catalog().formatNames();
  for (int width = 1; width <= 8; width++)
    specs.push_back(fmt::format("exl3:{}", width));
  for (const std::string &spec : specs) {
    auto format = formatOf(spec);
    if (!format->block())
      continue;
    const BlockShape &block = *format->block();
    const int64_t N = 3 * block.rows, K = 7 * block.columns;
    const Bytes storage = randomBytes(static_cast<size_t>(21 * block.bytes), 1);
    const FieldValues fields = readBlocks(*format, storage, N, K);
    EXPECT_EQ(toHex(storeBlocks(*format, fields, N, K)), toHex(storage)) << spec;
    for (const Field &f : format->fields())
      for (uint64_t cell : fields[f.index])
        ASSERT_TRUE(f.width == 64 || cell >> f.width == 0) << spec << " " << f.name;
  }
}

struct Case {
  const char *container, *spec;
  int64_t N, K;
};

const Case cases[] = {{"awq", "int:4:g32", 64, 96},
                      {"awq", "int:4:asym:bf16", 256, 256},
                      {"awq_gemv", "int:4:g128:asym", 8, 384},
                      {"awq_gemv", "int:4:g32", 5, 320},
                      {"awq_gemv_fast", "mlx:4:g64", 8, 128},
                      {"awq_gemv_fast", "mlx:4:g128", 16, 1152},
                      {"gptq", "int:2:g64:asym", 64, 128},
                      {"gptq", "int:3:g64:asym:bf16", 64, 128},
                      {"gptq", "int:4:asym", 32, 160},
                      {"gptq", "int:8:gK", 32, 128},
                      {"gptq_v2", "int:3:asym", 96, 64},
                      {"pack_quantized", "int:4:g32", 16, 96},
                      {"pack_quantized", "int:3:g32:asym", 5, 80},
                      {"pack_quantized", "int:5:gK", 7, 33},
                      {"bitsandbytes", "nf4", 3, 32},
                      {"bitsandbytes", "nf4:b128:dq", 64, 160},
                      {"bitsandbytes", "nf4:dq", 7, 39},
                      {"bitsandbytes", "fp4:dq", 5, 13},
                      {"bitsandbytes8", "int8_row", 5, 17},
                      {"fp8", "fp8", 9, 33},
                      {"fp8", "fp8:r1:bf16", 9, 33},
                      {"fp8_block", "fp8:r128:c128", 200, 300},
                      {"fp8_block", "fp8:e5m2:f16:r16:c16", 40, 17},
                      {"matmulnbits", "int:4:g32:asym", 3, 80},
                      {"matmulnbits", "int:2:g16", 3, 40},
                      {"matmulnbits", "int:8:g16:asym:f32", 4, 33},
                      {"hqq", "hqq:4", 16, 128},
                      {"hqq", "hqq:2:g32", 16, 64},
                      {"hqq", "hqq:1", 16, 128},
                      {"hqq", "hqq:8", 4, 64},
                      {"hqq", "hqq:3:g64", 9, 64},
                      {"hqq", "hqq:3:g64", 10, 128},
                      {"mlx", "mlx:3", 4, 128},
                      {"mlx", "mlx:6:g32", 3, 96},
                      {"mlx", "mlx:8:f32", 3, 64},
                      {"mxfp4", "mxfp4_planar", 6, 96},
                      {"mxfp8", "mxfp8:e5m2", 6, 96},
                      {"nvfp4", "nvfp4_global", 6, 96},
                      {"exl3", "exl3:3", 32, 64},
                      {"exl3", "exl3:5", 48, 16},
                      {"marlin", "int:4:g16", 64, 32},
                      {"marlin", "int:4:g128", 128, 256},
                      {"q4_0x8", "q4_0", 16, 128}};

/// read(store(fields)) is the identity on fields, store(read(bytes)) on what was stored.
TEST(Container, ReadAndStoreAreInverse) {
  uint64_t seed = 0;
  for (const Case &c : cases) {
    SCOPED_TRACE(fmt::format("{} {} {} x {}", c.container, c.spec, c.N, c.K));
    auto binding = bindingOf(c.container, c.spec, c.N, c.K);
    ASSERT_TRUE(binding);
    const FieldValues fields = randomFields(*formatOf(c.spec), c.N, c.K, ++seed);
    const auto stored = binding->store(fields);
    ASSERT_EQ(stored.size(), binding->tensors().size());
    for (size_t t = 0; t < stored.size(); t++)
      if (!binding->tensors()[t].json)
        EXPECT_EQ(static_cast<int64_t>(stored[t].size()), binding->tensors()[t].bytes());
    auto again = binding->read(views(stored));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, fields);
    EXPECT_EQ(binding->store(*again), stored);
  }
}

std::vector<float> valuesOf(const Format &format, const FieldValues &fields, int64_t N, int64_t K) {
  std::vector<float> values(static_cast<size_t>(N * K));
  EXPECT_TRUE(decode(format, fields, N, K, values.data()));
  return values;
}

bool sameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// A few rows at a time: the same values as the whole, the same bytes.
TEST(Container, WindowsOfRows) {
  uint64_t seed = 100;
  int several = 0;
  for (const Case &c : cases) {
    SCOPED_TRACE(fmt::format("{} {} {} x {}", c.container, c.spec, c.N, c.K));
    const auto format = formatOf(c.spec);
    const auto binding = bindingOf(c.container, c.spec, c.N, c.K);
    ASSERT_TRUE(binding);
    const FieldValues fields = randomFields(*format, c.N, c.K, ++seed);
    const auto stored = binding->store(fields);
    const auto values = valuesOf(*format, fields, c.N, c.K);
    const int64_t unit = cellRowUnit(*format, c.N, c.K);
    several += unit < c.N;
    for (const int64_t rows : {unit, 3 * unit}) {
      std::vector<Bytes> again;
      for (size_t t = 0; t < stored.size() && !binding->tensors()[t].json; t++)
        again.emplace_back(stored[t].size());
      for (int64_t row = 0; row < c.N; row += rows) {
        const int64_t count = std::min(rows, c.N - row);
        const auto window = binding->readRows(views(stored), {}, row, count);
        ASSERT_TRUE(window) << window.error().message;
        EXPECT_TRUE(sameBits(valuesOf(*format, *window, count, c.K), std::span(values).subspan(row * c.K, count * c.K)))
            << "rows from " << row;
        binding->storeRows(*window, row, {}, {again.begin(), again.end()});
      }
      for (size_t t = 0; t < again.size(); t++)
        EXPECT_EQ(toHex(again[t]), toHex(stored[t])) << binding->tensors()[t].suffix;
    }
  }
  EXPECT_GT(several, 25) << "most formats have rows that can be taken alone";
}

/// The same where columns lie in another order, and of fields as few bits as they need.
TEST(Container, WindowsOfOtherOrders) {
  constexpr int64_t N = 32, K = 128;
  const auto format = formatOf("int:4:g32:asym");
  const auto binding = bindingOf("gptq_v2", format->spec(), N, K);
  const FieldValues fields = randomFields(*format, N, K, 7);
  std::vector<int64_t> order(K);
  for (int64_t k = 0; k < K; k++)
    order[k] = k * 37 % K;
  const auto stored = binding->store(fields, {}, order);
  std::vector<Bytes> again;
  for (const auto &tensor : stored)
    again.emplace_back(tensor.size());
  Bytes packed(packedFieldBytes(*format, N, K));
  for (int64_t row = 0; row < N; row += 8) {
    const auto window = binding->readRows(views(stored), order, row, 8);
    ASSERT_TRUE(window) << window.error().message;
    binding->storeRows(*window, row, order, {again.begin(), again.end()});
    packRows(*format, N, K, row, 8, *window, packed);
  }
  EXPECT_EQ(again, stored);
  EXPECT_EQ(unpackRows(*format, N, K, 0, N, packed), fields);
  const auto values = valuesOf(*format, fields, N, K);
  EXPECT_TRUE(sameBits(valuesOf(*format, unpackRows(*format, N, K, 5, 3, packed), 3, K),
                       std::span(values).subspan(5 * K, 3 * K)));
}

TEST(Container, EveryContainerCarriesWhatItSays) {
  for (const std::string &name : catalog().containerNames()) {
    for (const std::string &format : containerOf(name)->carries)
      EXPECT_TRUE(formatOf(format)) << name;
    for (auto &[format, id] : containerOf(name)->types) {
      EXPECT_TRUE(formatOf(format)->block()) << name << " " << format;
      EXPECT_EQ(formatOfTypeId(*containerOf(name), id), format);
      EXPECT_EQ(typeId(*containerOf(name), format), id);
    }
  }
  EXPECT_EQ(formatOfTypeId(*containerOf("gguf"), 12), "q4_k");
  EXPECT_EQ(formatOfTypeId(*containerOf("gguf"), 4), std::nullopt);
}

/// Stores given cells (all other fields zero) and returns one tensor.
Bytes stored(const std::string &container, const std::string &spec, int64_t N, int64_t K,
             const std::map<std::string, std::vector<uint64_t>> &given, std::string_view tensor) {
  auto binding = bindingOf(container, spec, N, K);
  auto format = formatOf(spec);
  FieldValues fields = zeroFields(*format, N, K);
  for (auto &[name, cells] : given) {
    EXPECT_EQ(fields[format->field(name)->index].size(), cells.size()) << name;
    fields[format->field(name)->index] = cells;
  }
  const auto all = binding->store(fields);
  for (size_t t = 0; t < all.size(); t++)
    if (binding->tensors()[t].suffix == tensor)
      return all[t];
  ADD_FAILURE() << container << " has no tensor " << tensor;
  return {};
}

std::vector<uint64_t> sequence(size_t count, const std::function<uint64_t(uint64_t)> &of) {
  std::vector<uint64_t> all(count);
  for (uint64_t i = 0; i < count; i++)
    all[i] = of(i);
  return all;
}

/// Columns of 32-bit words: GPTQ stacks the words of a column down axis 0.
std::string firstColumn(const Bytes &words, size_t columns) {
  Bytes column;
  for (size_t at = 0; at < words.size(); at += 4 * columns)
    column.insert(column.end(), &words[at], &words[at] + 4);
  return toHex(column);
}

TEST(Container, WordsOfGptq) {
  const std::tuple<int, const char *, const char *, const char *> vectors[] = {
      {2, "93939393 93939393", "55555555 55555555", "aaaaaaaa aaaaaaaa"},
      {3, "43c67543 7543c675 c67543c6", "db6db6db b6db6db6 6db6db6d", "24924924 49249249 92492492"},
      {4, "61c72d83 e94fa50b 61c72d83 e94fa50b", "77777777 77777777 77777777 77777777",
       "88888888 88888888 88888888 88888888"},
      {8, "120d0803 26211c17 3a35302b 4e49443f 625d5853 76716c67 8a85807b 9e99948f",
       "7f7f7f7f 7f7f7f7f 7f7f7f7f 7f7f7f7f 7f7f7f7f 7f7f7f7f 7f7f7f7f 7f7f7f7f",
       "80808080 80808080 80808080 80808080 80808080 80808080 80808080 80808080"}};
  for (auto &[bits, codes, zeros1, zeros2] : vectors) {
    const std::string spec = fmt::format("int:{}:gK", bits);
    auto q = sequence(32 * 32, [bits = bits](uint64_t i) { return (5 * (i % 32) + 3) % (1u << bits); });
    EXPECT_EQ(firstColumn(stored("gptq", spec, 32, 32, {{"q", q}}, ".qweight"), 32), toHex(fromWords(codes)));
    EXPECT_EQ(toHex(stored("gptq", spec, 32, 32, {{"q", q}}, ".qzeros")), toHex(fromWords(zeros1)));
    EXPECT_EQ(toHex(stored("gptq_v2", spec, 32, 32, {{"q", q}}, ".qzeros")), toHex(fromWords(zeros2)));
  }
  const std::vector<uint64_t> zeros{0, 3, 7, 15, 1, 2, 0, 8};
  EXPECT_EQ(toHex(stored("gptq", "int:4:gK:asym", 8, 8, {{"z", zeros}}, ".qzeros")), toHex(fromWords("7f10e62f")));
  EXPECT_EQ(toHex(stored("gptq_v2", "int:4:gK:asym", 8, 8, {{"z", zeros}}, ".qzeros")), toHex(fromWords("8021f730")));
}

TEST(Container, WordsOfOthers) {
  auto index = [](uint64_t i) { return i; };
  EXPECT_EQ(toHex(stored("awq", "int:4:g8", 8, 8, {{"q", sequence(64, [](uint64_t i) { return i / 8; })}}, ".qweight")),
            toHex(fromWords("75316420 75316420 75316420 75316420 75316420 75316420 75316420 75316420")));
  EXPECT_EQ(toHex(stored("awq_gemv", "int:4:g8", 1, 8, {{"q", sequence(8, index)}}, ".qweight")),
            toHex(fromWords("76543210")));
  auto mixed = sequence(8 * 128, [](uint64_t i) {
    const uint64_t n = i / 128, k = i % 128;
    return (7 * n + 3 * k + n * k) % 16;
  });
  EXPECT_EQ(toHex(stored("awq_gemv_fast", "mlx:4:g64", 8, 128, {{"q", mixed}}, ".qweight")).substr(0, 32),
            "8080b3b3e6e619194c4c7f7fa2a2d5d5");
  EXPECT_EQ(toHex(stored("pack_quantized", "int:4:g8", 1, 8, {{"q", {0, 15, 8, 7, 11, 4, 9, 10}}}, ".weight_packed")),
            toHex(fromWords("a94b78f0")));
  EXPECT_EQ(toHex(stored("pack_quantized", "int:3:g32", 1, 32,
                         {{"q", sequence(32, [](uint64_t i) { return (3 * i + 1) % 8; })}}, ".weight_packed")),
            toHex(fromWords("e1cc55e1 55e1cc55 cc55e1cc")));
  EXPECT_EQ(toHex(stored("pack_quantized", "int:4:g8", 3, 8, {}, ".weight_shape")), "03000000000000000800000000000000");
  auto thirds = [](uint64_t mask) { return [mask](uint64_t i) { return (3 * i + 1) & mask; }; };
  EXPECT_EQ(toHex(stored("matmulnbits", "int:4:g16", 1, 32, {{"q", sequence(32, thirds(15))}}, "B")),
            "41a70d63c92f85eb41a70d63c92f85eb");
  EXPECT_EQ(toHex(stored("matmulnbits", "int:2:g16", 1, 16, {{"q", sequence(16, thirds(3))}}, "B")), "b1b1b1b1");
  EXPECT_EQ(hashOf(stored("marlin", "int:4:g16", 64, 16,
                          {{"q", sequence(1024, [](uint64_t i) { return (3 * (i % 16) + 5 * (i / 16)) % 16; })}}, "B")),
            0x6cdf3218308bb525u);
  auto sevens = sequence(32, [](uint64_t i) { return 7 * i % 16; });
  EXPECT_EQ(toHex(stored("mxfp4", "mxfp4_planar", 1, 32, {{"q", sevens}}, ".weight_packed")),
            "705e3c1af8d6b492705e3c1af8d6b492");
  auto fives = sequence(64, [](uint64_t i) { return (5 * i + 3) % 16; });
  EXPECT_EQ(toHex(stored("nvfp4", "nvfp4_global", 1, 64, {{"q", fives}}, ".weight_packed")),
            "832dc7610ba54fe9832dc7610ba54fe9832dc7610ba54fe9832dc7610ba54fe9");
  auto hqq = sequence(32, [](uint64_t i) { return i % 8 < 2 ? i / 8 * 2 + i % 8 + 1 : 0; });
  const std::string packed = toHex(stored("hqq", "hqq:4:g8", 4, 8, {{"q", hqq}}, ".W_q"));
  EXPECT_EQ(packed.substr(0, 4) + packed.substr(16, 4), "15263748");
  EXPECT_EQ(toHex(stored("mlx", "mlx:8:g32", 1, 32, {{"q", sequence(32, index)}}, ".weight")),
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

  // The same fields as blocks: repacking is to store what another layout has read.
  auto half = formatOf("mxfp4"), nv = formatOf("nvfp4");
  FieldValues fields = zeroFields(*half, 1, 32);
  fields[half->field("q")->index] = sevens;
  EXPECT_EQ(toHex(storeBlocks(*half, fields, 1, 32)), "000077ee55cc33aa1188ff66dd44bb2299");
  fields = zeroFields(*nv, 1, 64);
  fields[nv->field("q")->index] = fives;
  fields[nv->field("s")->index] = {0x38, 0x40, 8, 0x7e};
  EXPECT_EQ(toHex(storeBlocks(*nv, fields, 1, 64)),
            "3840087eb3085da2f74c91e6b3085da2f74c91e6b3085da2f74c91e6b3085da2f74c91e6");
}

/// The first of two codes lies in the high half of a byte; values by hand.
TEST(Container, NibblesOfBitsandbytes) {
  auto format = formatOf("nf4");
  auto binding = bindingOf("bitsandbytes", "nf4", 1, 64);
  const Table &table = *format->table("code");
  Bytes map(64);
  std::memcpy(map.data(), table.floats.data(), 64);
  const Bytes packed = fromHex("5f448abb4c7115d1469d077d734a55cb567d1feac45a3373e312bfdc00da25c8");
  const float largest = 0.0829315186f; // of the block; code 15 is 1
  Bytes absmax(4);
  std::memcpy(absmax.data(), &largest, 4);
  const std::string text = R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [1, 64]})";
  const Bytes state(std::as_bytes(std::span(text)).begin(), std::as_bytes(std::span(text)).end());
  auto fields = binding->read(views({packed, absmax, map, state}));
  ASSERT_TRUE(fields) << fields.error().message;
  const auto values = decoded(*format, *fields, 1, 64);
  const float want[] = {-0.0153235411f, 0.0829315186f, -0.0235891566f, -0.0235891566f,
                        0.00659971498f, 0.0204104669f, 0.0280238241f,  0.0280238241f};
  for (size_t i = 0; i < 8; i++)
    EXPECT_FLOAT_EQ(values[i], want[i]) << i;
  map[5] ^= std::byte(1);
  EXPECT_THAT(binding->read(views({packed, absmax, map, state})).error().message,
              ::testing::HasSubstr("does not hold the constant"));
}

/// ggml's interleaved rows, by index arithmetic as in its C loops.
TEST(Container, InterleavedRowsOfGgml) {
  auto format = formatOf("q4_0");
  const int64_t N = 16, K = 128, columns = K / 32;
  const Bytes storage = randomBytes(static_cast<size_t>(18 * N * columns), 4);
  Bytes want;
  auto block = [&](int64_t n, int64_t c) { return storage.begin() + (n * columns + c) * 18; };
  for (int64_t r = 0; r < N / 8; r++)
    for (int64_t c = 0; c < columns; c++) {
      for (int64_t i = 0; i < 8; i++)
        want.insert(want.end(), block(8 * r + i, c), block(8 * r + i, c) + 2);
      for (int64_t i = 0; i < 16; i++)
        for (int64_t j = 0; j < 8; j++)
          want.push_back(block(8 * r + i % 8, c)[2 + i / 8 * 8 + j] ^ std::byte(0x88));
    }
  EXPECT_EQ(toHex(bindingOf("q4_0x8", "q4_0", N, K)->store(readBlocks(*format, storage, N, K))[0]), toHex(want));
}

/// Columns that lie anywhere (GPTQ's act-order): the file's g_idx and codes, cell by cell.
TEST(Container, StoresColumnsInAnotherOrder) {
  constexpr int64_t N = 32, K = 64, groups = 4;
  std::mt19937 random(1);
  std::vector<int64_t> groupOf(K), order;
  for (int64_t k = 0; k < K; k++)
    groupOf[k] = k * groups / K;
  std::ranges::shuffle(groupOf, random);
  for (int64_t g = 0; g < groups; g++)
    for (int64_t k = 0; k < K; k++)
      if (groupOf[k] == g)
        order.push_back(k);
  const auto format = formatOf("int:4:g16:asym");
  const auto binding = bindingOf("gptq_v2", "int:4:g16:asym", N, K);
  EXPECT_TRUE(binding->holdsOrder());
  EXPECT_FALSE(bindingOf("awq", "int:4:g16:asym", N, K)->holdsOrder());
  FieldValues fields = zeroFields(*format, N, K);
  const auto &codes = fields[std::ranges::find(format->fields(), "q", &Field::name)->index];
  for (std::vector<uint64_t> &field : fields)
    for (uint64_t &cell : field)
      cell = random() % 16;
  const std::vector<Bytes> file = binding->store(fields, {}, order);
  for (int64_t j = 0; j < K; j++) {
    const int64_t k = order[j];
    int32_t group;
    std::memcpy(&group, file[3].data() + 4 * k, 4);
    EXPECT_EQ(group, groupOf[k]) << k;
    for (int64_t n = 0; n < N; n++) {
      uint32_t word; // eight columns of a row, the first in the lowest bits
      std::memcpy(&word, file[0].data() + 4 * (k / 8 * N + n), 4);
      EXPECT_EQ(word >> 4 * (k % 8) & 15, codes[n * K + j]) << n << ", " << k;
    }
  }
  const auto found = binding->columnOrder(views(file));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, order);
  EXPECT_EQ(binding->read(views(file), order).value(), fields);
}

TEST(Container, TensorsHaveTheShapesOfTheFiles) {
  auto shapes = [](const std::string &container, const std::string &spec, int64_t N, int64_t K) {
    std::vector<std::string> all;
    const auto binding = bindingOf(container, spec, N, K);
    for (const BoundTensor &t : binding->tensors())
      all.push_back(fmt::format("{} {} [{}]", t.suffix, t.type, fmt::join(t.shape, ", ")));
    return all;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(shapes("gptq", "int:4:g128:asym", 256, 512),
              ElementsAre(".qweight i32 [64, 256]", ".qzeros i32 [4, 32]", ".scales f16 [4, 256]", ".g_idx i32 [512]"));
  EXPECT_THAT(shapes("awq", "int:4:g128:asym", 256, 512),
              ElementsAre(".qweight i32 [512, 32]", ".qzeros i32 [4, 32]", ".scales f16 [4, 256]"));
  EXPECT_THAT(shapes("exl3", "exl3:4", 64, 32), ElementsAre(".trellis i16 [2, 4, 64]"));
  EXPECT_THAT(shapes("bitsandbytes", "nf4:dq", 64, 128),
              ElementsAre(".weight u8 [4096, 1]", ".weight.absmax u8 [128]", ".weight.quant_map f32 [16]",
                          ".weight.nested_absmax f32 [1]", ".weight.nested_quant_map f32 [256]",
                          ".weight.quant_state.bitsandbytes__nf4 u8 [0]"));
}

} // namespace
