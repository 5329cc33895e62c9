//===- Imatrix.cpp - importance matrices of llama.cpp -----------------------------------------------------------===//

#include "quantc/Artifact/Imatrix.h"
#include "quantc/Artifact/Gguf.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace quantc;

static constexpr uint32_t typeF32 = 0;
static constexpr std::string_view sumsSuffix = ".in_sum2", countsSuffix = ".counts";

static std::optional<GgufBlock> onlyF32(uint32_t type) {
  return type == typeF32 ? std::optional(GgufBlock{1, 4}) : std::nullopt;
}

std::vector<float> ImatrixEntry::importance(size_t matrix) const {
  const size_t K = columns();
  std::vector<float> mean(K, 1.0f);
  if (counts[matrix] > 0)
    std::transform(sums.begin() + matrix * K, sums.begin() + (matrix + 1) * K, mean.begin(),
                   [&](float sum) { return sum / counts[matrix]; });
  return mean;
}

const ImatrixEntry *Imatrix::find(std::string_view name) const {
  const auto entry = std::ranges::lower_bound(entries, name, {}, &ImatrixEntry::name);
  return entry != entries.end() && entry->name == name ? &*entry : nullptr;
}

static Status checkNumbers(const std::string &name, const std::vector<float> &numbers) {
  for (float v : numbers)
    if (!(v >= 0 && std::isfinite(v)))
      return fail("entry '{}' has the number {}: sums of squares and counts are finite and not negative", name, v);
  return {};
}

static Status sortEntries(std::vector<ImatrixEntry> &entries) {
  std::ranges::sort(entries, {}, &ImatrixEntry::name);
  const auto twice = std::ranges::adjacent_find(entries, {}, &ImatrixEntry::name);
  if (twice != entries.end())
    return fail("entry '{}' is there twice", twice->name);
  return {};
}

static std::vector<float> numbersOf(std::span<const std::byte> bytes) {
  std::vector<float> numbers(bytes.size() / sizeof(float));
  if (!numbers.empty())
    std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(float));
  return numbers;
}

//===--- GGUF ---------------------------------------------------------------------------------------------------===//

static Result<Imatrix> readGguf(std::shared_ptr<const MappedFile> file) {
  QUANTC_ASSIGN(const auto gguf, Gguf::read(std::move(file), onlyF32));
  auto bad = [&](const Error &error) { return failAt(gguf->path().string(), error); };
  const GgufMetadata &metadata = gguf->metadata();
  auto type = metadata.text("general.type");
  if (!type || *type != "imatrix")
    return fail("{}: no importance matrix: 'general.type' is not \"imatrix\"", gguf->path().string());
  Imatrix result;
  auto datasets = metadata.texts("imatrix.datasets");
  if (!datasets)
    return bad(datasets.error());
  result.datasets = std::move(*datasets);
  for (auto [key, to] :
       {std::pair("imatrix.chunk_count", &result.chunks), {"imatrix.chunk_size", &result.chunkTokens}}) {
    auto number = metadata.integer(key);
    if (!number)
      return bad(number.error());
    if (*number < 0 || *number > UINT32_MAX)
      return fail("{}: '{}' is {}", gguf->path().string(), key, *number);
    *to = static_cast<uint32_t>(*number);
  }
  size_t used = 0;
  for (const GgufTensor &tensor : gguf->tensors()) {
    if (!tensor.name.ends_with(sumsSuffix))
      continue;
    ImatrixEntry entry;
    entry.name = tensor.name.substr(0, tensor.name.size() - sumsSuffix.size());
    const GgufTensor *counts = gguf->find(entry.name + std::string(countsSuffix));
    if (!counts)
      return fail("{}: '{}' has no '{}{}' beside it", gguf->path().string(), tensor.name, entry.name, countsSuffix);
    entry.sums = numbersOf(tensor.bytes);
    entry.counts = numbersOf(counts->bytes);
    const auto matrices = static_cast<int64_t>(entry.counts.size());
    if (entry.sums.empty() || matrices < 1 || entry.sums.size() % entry.counts.size() != 0 ||
        static_cast<int64_t>(entry.columns()) != tensor.shape.back())
      return fail("{}: the counts of '{}' do not fit its sums", gguf->path().string(), entry.name);
    for (const auto *numbers : {&entry.sums, &entry.counts})
      if (auto status = checkNumbers(entry.name, *numbers); !status)
        return bad(status.error());
    result.entries.push_back(std::move(entry));
    used += 2;
  }
  if (used != gguf->tensors().size())
    return fail("{}: a tensor is neither '…{}' nor '…{}' of an entry", gguf->path().string(), sumsSuffix, countsSuffix);
  if (auto status = sortEntries(result.entries); !status)
    return bad(status.error());
  return result;
}

Status Imatrix::write(const std::filesystem::path &path) const {
  GgufMetadata metadata;
  QUANTC_TRY(metadata.add("general.type", GgufValue::of("imatrix")));
  QUANTC_TRY(metadata.add("imatrix.datasets", GgufValue::array(datasets)));
  QUANTC_TRY(metadata.add("imatrix.chunk_count", GgufValue::of(chunks)));
  QUANTC_TRY(metadata.add("imatrix.chunk_size", GgufValue::of(chunkTokens)));
  std::vector<GgufSpec> specs;
  for (const ImatrixEntry &e : entries) {
    const auto matrices = static_cast<int64_t>(e.matrices()), K = static_cast<int64_t>(e.columns());
    specs.push_back({e.name + std::string(sumsSuffix), {matrices, K}, typeF32});
    specs.push_back({e.name + std::string(countsSuffix), {matrices, 1}, typeF32});
  }
  QUANTC_ASSIGN(TensorWriter writer, createGguf(path, metadata, specs, onlyF32));
  for (const ImatrixEntry &e : entries) {
    QUANTC_TRY(writer.append(std::as_bytes(std::span(e.sums))));
    QUANTC_TRY(writer.append(std::as_bytes(std::span(e.counts))));
  }
  return writer.commit();
}

//===--- The old kind -------------------------------------------------------------------------------------------===//

namespace {
/// Reads from the front of bytes.
class Reader {
public:
  explicit Reader(std::span<const std::byte> bytes) : rest(bytes) {}
  bool atEnd() const { return rest.empty(); }
  /// A number that is not negative.
  Result<uint32_t> number(std::string_view what) {
    QUANTC_ASSIGN(const auto bytes, take(sizeof(int32_t), what));
    int32_t value;
    std::memcpy(&value, bytes.data(), sizeof value);
    if (value < 0)
      return fail("{} is {}", what, value);
    return static_cast<uint32_t>(value);
  }
  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > rest.size())
      return fail("the file ends within {}", what);
    const auto taken = rest.first(count);
    rest = rest.subspan(count);
    return taken;
  }
  Result<std::string> text(std::string_view what) {
    QUANTC_ASSIGN(const uint32_t length, number(what));
    QUANTC_ASSIGN(const auto bytes, take(length, what));
    return std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  }

private:
  std::span<const std::byte> rest;
};
} // namespace

static Result<Imatrix> readOld(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  Imatrix result;
  QUANTC_ASSIGN(const uint32_t count, reader.number("the number of entries"));
  if (count == 0)
    return fail("it has no entries: this is no importance matrix");
  for (uint32_t i = 0; i < count; i++) {
    ImatrixEntry entry;
    QUANTC_ASSIGN(entry.name, reader.text("the name of an entry"));
    QUANTC_ASSIGN(const uint32_t calls, reader.number("the calls of an entry"));
    QUANTC_ASSIGN(const uint32_t values, reader.number("the size of an entry"));
    if (values == 0)
      return fail("entry '{}' has no numbers", entry.name);
    QUANTC_ASSIGN(const auto numbers, reader.take(uint64_t(values) * sizeof(float), "the numbers of an entry"));
    entry.sums = numbersOf(numbers);
    // Without calls the numbers are means.
    entry.counts = {static_cast<float>(std::max(calls, 1u))};
    QUANTC_TRY(checkNumbers(entry.name, entry.sums));
    result.entries.push_back(std::move(entry));
  }
  if (!reader.atEnd()) { // older still: nothing follows
    QUANTC_ASSIGN(result.chunks, reader.number("the number of calls"));
    QUANTC_ASSIGN(std::string dataset, reader.text("the name of the dataset"));
    result.datasets.push_back(std::move(dataset));
    if (!reader.atEnd())
      return fail("there are bytes after the name of the dataset");
  }
  QUANTC_TRY(sortEntries(result.entries));
  return result;
}

Status Imatrix::writeOld(const std::filesystem::path &path) const {
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  auto number = [&](uint64_t value) -> Status {
    if (value > INT32_MAX)
      return fail("{}: {} is too large for this kind of file", path.string(), value);
    const auto narrow = static_cast<int32_t>(value);
    return file.write(std::as_bytes(std::span(&narrow, 1)));
  };
  auto text = [&](std::string_view value) -> Status {
    QUANTC_TRY(number(value.size()));
    return file.write(value);
  };
  QUANTC_TRY(number(entries.size()));
  for (const ImatrixEntry &e : entries) {
    const float most = *std::ranges::max_element(e.counts);
    const float calls = std::max(1.0f, chunkTokens ? std::ceil(most / static_cast<float>(chunkTokens)) : most);
    std::vector<float> values;
    for (size_t matrix = 0; matrix < e.matrices(); matrix++)
      for (float mean : e.importance(matrix))
        values.push_back(mean * calls);
    QUANTC_TRY(text(e.name));
    QUANTC_TRY(number(static_cast<uint64_t>(calls)));
    QUANTC_TRY(number(values.size()));
    QUANTC_TRY(file.write(std::as_bytes(std::span(values))));
  }
  QUANTC_TRY(number(chunks));
  QUANTC_TRY(text(datasets.empty() ? "" : datasets.front()));
  return file.commit();
}

Result<Imatrix> Imatrix::open(const std::filesystem::path &path) {
  QUANTC_ASSIGN(auto file, MappedFile::open(path));
  constexpr std::string_view magic = "GGUF";
  const auto bytes = file->bytes();
  if (bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0)
    return readGguf(std::move(file));
  auto result = readOld(bytes);
  if (!result)
    return failAt(path.string(), result.error());
  return result;
}
