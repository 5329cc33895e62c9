//===- ArtifactFiles.cpp - writes files for other readers, and says what other writers' hold --------------------===//
//
// artifact-files write DIRECTORY    sample.safetensors, sharded/, sample.gguf, sample.qm
// artifact-files read FILE          tensors and metadata as JSON; bytes in hexadecimal
// artifact-files copy FROM TO       a GGUF file with the same metadata and tensors
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Samples.h"
#include <iostream>
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string hex(std::span<const std::byte> bytes) {
  std::string digits;
  for (std::byte byte : bytes)
    digits += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return digits;
}

/// Appends bytes 0, 1, 2 … to each tensor.
template <typename Writer> Status fill(Writer &writer, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(i);
  return writer.append(bytesOf(text));
}

Status writeSafetensors(const fs::path &path) {
  std::vector<SafetensorsSpec> tensors;
  for (const char *dtype : {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F32",
                            "F64", "I64", "U64"})
    tensors.push_back({std::string("t.") + dtype, dtype, {2, 3}});
  tensors.push_back({"scalar", "F32", {}});
  tensors.push_back({"empty ü", "F16", {4, 0}});
  QUANTC_ASSIGN(TensorWriter writer,
                createSafetensors(path, tensors, {.metadata = {{"format", "pt"}, {"quote", "\"ü\n"}}}));
  for (const TensorExtent &tensor : writer.tensors())
    QUANTC_TRY(fill(writer, tensor.bytes));
  return writer.commit();
}

Status writeSharded(const fs::path &directory) {
  QUANTC_ASSIGN(auto writer, ShardedSafetensorsWriter::create(
                                 directory, {{"a", "F32", {2, 4}}, {"b", "F16", {8}}, {"c", "I32", {8}}}, 48));
  for (size_t bytes : {32, 16, 32})
    QUANTC_TRY(fill(writer, bytes));
  return writer.commit();
}

Status writeGguf(const fs::path &path) {
  GgufMetadata metadata = samples::ggufMetadata();
  QUANTC_TRY(metadata.add("n.u8", GgufValue::of(uint8_t(200))));
  QUANTC_TRY(metadata.add("n.i8", GgufValue::of(int8_t(-100))));
  QUANTC_TRY(metadata.add("n.u16", GgufValue::of(uint16_t(60000))));
  QUANTC_TRY(metadata.add("n.i16", GgufValue::of(int16_t(-30000))));
  QUANTC_TRY(metadata.add("n.f32", GgufValue::of(0.25f)));
  QUANTC_TRY(metadata.add("n.bool", GgufValue::of(true)));
  QUANTC_TRY(metadata.add("n.u64", GgufValue::of(uint64_t(1) << 63)));
  QUANTC_TRY(metadata.add("n.i64", GgufValue::of(int64_t(-1) << 40)));
  QUANTC_TRY(metadata.add("n.f64", GgufValue::of(1e300)));
  QUANTC_TRY(metadata.add("n.texts", GgufValue::array(std::vector<std::string>{"a", "", "ü"})));
  QUANTC_ASSIGN(
      TensorWriter writer,
      createGguf(path, metadata, {{"f32", {3, 5}, 0}, {"blocks", {2, 64}, 8}, {"f16", {7}, 1}}, samples::blockOf));
  for (const TensorExtent &tensor : writer.tensors())
    QUANTC_TRY(fill(writer, tensor.bytes));
  return writer.commit();
}

Status write(const fs::path &directory) {
  std::error_code error;
  fs::create_directories(directory / "sharded", error);
  QUANTC_TRY(writeSafetensors(directory / "sample.safetensors"));
  QUANTC_TRY(writeSharded(directory / "sharded"));
  QUANTC_TRY(writeGguf(directory / "sample.gguf"));
  return samples::writeArtifact(directory / "sample.qm");
}

Result<json> readSafetensors(const fs::path &path) {
  QUANTC_ASSIGN(const auto file, Safetensors::open(path));
  json tensors = json::object();
  for (const SafetensorsEntry &entry : file->tensors())
    tensors[entry.name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"bytes", hex(entry.bytes)}};
  return json{{"metadata", file->metadata()}, {"tensors", tensors}};
}

Result<json> readGguf(const fs::path &path) {
  QUANTC_ASSIGN(const auto file, Gguf::open(path, samples::blockOf));
  json types = json::object(), values = json::object(), tensors = json::object();
  for (const auto &[key, value] : file->metadata().entries()) {
    types[key] = {value.isArray(), static_cast<uint32_t>(value.elementType())};
    // Strings need not be UTF-8, which JSON must be: the encoded value stands for all.
    values[key] = hex(bytesOf(value.encode()));
  }
  for (const GgufTensor &tensor : file->tensors())
    tensors[tensor.name] = {{"type", tensor.type},
                            {"shape", tensor.shape},
                            {"bytes", tensor.bytes.size()},
                            {"begin", hex(tensor.bytes.first(std::min<size_t>(256, tensor.bytes.size())))},
                            {"end", hex(tensor.bytes.last(std::min<size_t>(256, tensor.bytes.size())))}};
  return json{{"version", file->version()}, {"types", types}, {"values", values}, {"tensors", tensors}};
}

Status copyGguf(const fs::path &from, const fs::path &to) {
  QUANTC_ASSIGN(const auto file, Gguf::open(from, samples::blockOf));
  std::vector<GgufSpec> tensors;
  for (const GgufTensor &tensor : file->tensors())
    tensors.push_back({tensor.name, tensor.shape, tensor.type});
  QUANTC_ASSIGN(TensorWriter writer, createGguf(to, file->metadata(), tensors, samples::blockOf));
  for (const GgufTensor &tensor : file->tensors())
    QUANTC_TRY(writer.append(tensor.bytes));
  return writer.commit();
}

int finish(const Status &status) {
  if (!status)
    std::cerr << status.error().message << "\n";
  return status ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "write")
    return finish(write(arguments[1]));
  if (arguments.size() == 3 && arguments[0] == "copy")
    return finish(copyGguf(arguments[1], arguments[2]));
  if (arguments.size() != 2 || arguments[0] != "read") {
    std::cerr << "usage: artifact-files write DIRECTORY | read FILE | copy FROM TO\n";
    return 2;
  }
  const fs::path path = arguments[1];
  const auto result = path.extension() == ".gguf" ? readGguf(path) : readSafetensors(path);
  if (result)
    std::cout << *result << "\n";
  return finish(result ? Status() : Status(tl::unexpected(result.error())));
}
