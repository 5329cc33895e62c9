//===- CheckpointsTest.cpp - slices of real checkpoints and the values that other libraries decoded -------------===//
//
// Each file: little-endian u32 header, tensors as on disk, expected values in BF16 (the f32 value rounded once).
//
//===------------------------------------------------------------------------------------------------------------===//

#include "TestFormats.h"
#include "quantc/Format/Arithmetic.h"
#include <algorithm>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

namespace {

class Slice {
public:
  explicit Slice(const std::filesystem::path &path) : bytes(readBytes(path)) {}
  uint32_t word() {
    uint32_t value = 0;
    std::memcpy(&value, &bytes[at], 4);
    at += 4;
    return value;
  }
  std::vector<uint32_t> words(size_t count) {
    std::vector<uint32_t> all(count);
    for (uint32_t &w : all)
      w = word();
    return all;
  }
  Bytes take(uint32_t size) {
    Bytes part(bytes.begin() + at, bytes.begin() + at + size);
    at += size;
    return part;
  }
  std::vector<float> bf16(uint32_t size) {
    const Bytes raw = take(size);
    std::vector<float> values;
    for (size_t i = 0; i < raw.size(); i += 2)
      values.push_back(
          fromBF16(static_cast<uint16_t>(static_cast<unsigned>(raw[i]) | static_cast<unsigned>(raw[i + 1]) << 8)));
    return values;
  }

private:
  Bytes bytes;
  size_t at = 0;
};

class Checkpoints : public ::testing::Test {
protected:
  void SetUp() override {
    if (!testData())
      GTEST_SKIP() << "no data of checkpoints: set QUANTC_TEST_DATA";
  }
  static std::vector<std::filesystem::path> files(const std::string &folder) {
    std::vector<std::filesystem::path> all;
    for (const auto &entry : std::filesystem::directory_iterator(*testData() / "quant" / "anamnesis" / folder))
      all.push_back(entry.path());
    EXPECT_FALSE(all.empty()) << folder;
    std::ranges::sort(all);
    return all;
  }
  static std::vector<float> rounded(std::vector<float> values) {
    for (float &v : values)
      v = fromBF16(toBF16(v));
    return values;
  }
  static std::vector<float> transposed(const std::vector<float> &values, size_t rows) {
    std::vector<float> out;
    for (size_t c = 0; c < values.size() / rows; c++)
      for (size_t r = 0; r < rows; r++)
        out.push_back(values[r * (values.size() / rows) + c]);
    return out;
  }
  /// Reads the tensors (in the order of `names`), compares the values, and stores the tensors again.
  static void check(const std::string &container, const std::string &spec, int64_t N, int64_t K,
                    const std::map<std::string, Bytes> &tensors, const std::vector<float> &want, bool anyZero = false) {
    SCOPED_TRACE(container + " " + spec);
    auto binding = bindingOf(container, spec, N, K);
    ASSERT_TRUE(binding);
    std::vector<Bytes> ordered;
    for (const BoundTensor &t : binding->tensors()) {
      ASSERT_TRUE(tensors.count(t.suffix)) << t.suffix;
      ordered.push_back(tensors.at(t.suffix));
    }
    auto fields = binding->read(views(ordered));
    ASSERT_TRUE(fields) << fields.error().message;
    EXPECT_TRUE(sameValues(rounded(decoded(*formatOf(spec), *fields, N, K)), want, anyZero));
    EXPECT_EQ(binding->store(*fields), ordered);
  }
};

const char *const scaleTypes[] = {"f32", "bf16", "f16"};

TEST_F(Checkpoints, Gguf) {
  for (const auto &path : files("gguf_reference")) {
    SCOPED_TRACE(path.filename().string());
    Slice slice(path);
    const auto head = slice.words(4); // type, weights, bytes, bytes of the values
    auto spec = formatOfTypeId(*containerOf("gguf"), head[0]);
    ASSERT_TRUE(spec);
    const Bytes storage = slice.take(head[2]);
    auto format = formatOf(*spec);
    const FieldValues fields = readBlocks(*format, storage, 1, head[1]);
    EXPECT_TRUE(sameValues(rounded(decoded(*format, fields, 1, head[1])), slice.bf16(head[3])));
    EXPECT_EQ(storeBlocks(*format, fields, 1, head[1]), storage);
  }
}

TEST_F(Checkpoints, Gptq) {
  for (const auto &path : files("gptq_reference")) {
    SCOPED_TRACE(path.filename().string());
    Slice slice(path);
    const auto head = slice.words(11); // bits, group, K, N, type of scales, has g_idx, sizes
    std::map<std::string, Bytes> tensors;
    tensors[".qweight"] = slice.take(head[6]);
    tensors[".scales"] = slice.take(head[7]);
    tensors[".qzeros"] = slice.take(head[8]);
    tensors[".g_idx"] = slice.take(head[9]);
    const auto want = transposed(slice.bf16(head[10]), head[2]);
    const std::string spec = fmt::format("int:{}:g{}:{}", head[0], head[1], scaleTypes[head[4]]);
    check("gptq", spec + ":asym", head[3], head[2], tensors, want);
    check("gptq", spec, head[3], head[2], tensors, want); // its zero points are those of symmetric codes
  }
}

TEST_F(Checkpoints, Awq) {
  for (const auto &path : files("awq_reference")) {
    Slice slice(path);
    const auto head = slice.words(9); // bits, group, K, N, type of scales, sizes
    std::map<std::string, Bytes> tensors;
    tensors[".qweight"] = slice.take(head[5]);
    tensors[".scales"] = slice.take(head[6]);
    tensors[".qzeros"] = slice.take(head[7]);
    check("awq", fmt::format("int:{}:g{}:{}:asym", head[0], head[1], scaleTypes[head[4]]), head[3], head[2], tensors,
          transposed(slice.bf16(head[8]), head[2]));
  }
}

TEST_F(Checkpoints, Bitsandbytes) {
  for (const auto &path : files("bnb_reference")) {
    SCOPED_TRACE(path.filename().string());
    Slice slice(path);
    const uint32_t kind = slice.word(); // 0: 4 bits, 1: 8 bits, 2: 4 bits with scales quantized again
    std::map<std::string, Bytes> tensors;
    if (kind == 1) {
      const auto head = slice.words(5); // N, K, sizes
      tensors[".weight"] = slice.take(head[2]);
      tensors[".SCB"] = slice.take(head[3]);
      tensors[".weight_format"] = Bytes(1);
      check("bitsandbytes8", "int8_row", head[0], head[1], tensors, slice.bf16(head[4]));
      continue;
    }
    const auto head = slice.words(9); // weights, block, sizes, nested offset
    tensors[".weight"] = slice.take(head[2]);
    tensors[".weight.absmax"] = slice.take(head[3]);
    tensors[".weight.quant_map"] = slice.take(head[4]);
    tensors[".weight.nested_absmax"] = slice.take(head[5]);
    tensors[".weight.nested_quant_map"] = slice.take(head[6]);
    const bool fp4 = path.filename().string().find("fp4") != std::string::npos;
    // The test data have the number of this text only.
    const std::string type = fp4 ? "fp4" : "nf4";
    std::string state = fmt::format(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "float32", "shape": [64, {}])",
                                    type, head[1], head[0] / 64);
    if (kind == 2)
      state += fmt::format(R"(, "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": {})",
                           static_cast<double>(std::bit_cast<float>(head[8])));
    const auto text = std::as_bytes(std::span(state += "}"));
    tensors[".weight.quant_state.bitsandbytes__" + type] = Bytes(text.begin(), text.end());
    const std::string spec = fmt::format("{}:b{}{}", type, head[1], kind == 2 ? ":dq" : "");
    check("bitsandbytes", spec, 64, head[0] / 64, tensors, slice.bf16(head[7]),
          fp4); // the sign of FP4's second zero differs
  }
}

TEST_F(Checkpoints, Fp8) {
  for (const auto &path : files("fp8_reference")) {
    SCOPED_TRACE(path.filename().string());
    Slice slice(path);
    const auto head = slice.words(7); // scheme (tiles, tensor, rows), type of scales, N, K, sizes
    std::map<std::string, Bytes> tensors;
    tensors[".weight"] = slice.take(head[4]);
    tensors[head[0] == 0 ? ".weight_scale_inv" : ".weight_scale"] = slice.take(head[5]);
    const char *const specs[] = {"fp8:r128:c128", "fp8", "fp8:r1"};
    check(head[0] == 0 ? "fp8_block" : "fp8", fmt::format("{}:{}", specs[head[0]], scaleTypes[head[1]]), head[2],
          head[3], tensors, slice.bf16(head[6]));
  }
}

} // namespace
