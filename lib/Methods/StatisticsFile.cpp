//===- StatisticsFile.cpp - statistics of calibration in a safetensors file -------------------------------------===//

#include "quantc/Methods/StatisticsFile.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

using namespace quantc;

static constexpr const char *tokensKey = "quantc.calibration_tokens";
static const std::string columnsPrefix = "columns.", hessianPrefix = "hessian.";

Result<std::unique_ptr<StatisticsFile>> StatisticsFile::open(const std::filesystem::path &path,
                                                             std::pmr::memory_resource *memory) {
  QUANTC_ASSIGN(auto file, Safetensors::open(path));
  uint64_t tokens = 0;
  const auto text = file->metadata().find(tokensKey);
  const auto isNumber = [&](const std::string &digits) {
    const char *const end = digits.data() + digits.size();
    const auto [last, error] = std::from_chars(digits.data(), end, tokens);
    return error == std::errc() && last == end;
  };
  if (text == file->metadata().end() || !isNumber(text->second))
    return fail("{}: holds no statistics of calibration: its metadata lack {}", path.string(), tokensKey);
  return std::unique_ptr<StatisticsFile>(new StatisticsFile(std::move(file), tokens, memory));
}

/// The numbers of a tensor of `rows` rows, of `K` columns each, or, where that is 0, of as many as it has.
static Result<std::pmr::vector<float>> numbers(const SafetensorsEntry *entry, const std::string &name, int64_t rows,
                                               std::pmr::memory_resource *memory, int64_t K = 0) {
  if (!entry)
    return fail("has no tensor '{}': calibrate with the same model", name);
  if (entry->dtype != "F32" || entry->shape.size() != 2 || entry->shape[0] != rows ||
      (K ? entry->shape[1] != K : entry->shape[1] < 1))
    return fail("tensor '{}' is not F32 of {} rows and {} columns", name, rows, K ? std::to_string(K) : "some");
  std::pmr::vector<float> values(entry->bytes.size() / sizeof(float), memory);
  std::memcpy(values.data(), entry->bytes.data(), entry->bytes.size());
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return fail("tensor '{}' has numbers that are not finite", name);
  return values;
}

bool StatisticsFile::hasHessians() const {
  return std::ranges::any_of(file->tensors(), [](const auto &entry) { return entry.name.starts_with(hessianPrefix); });
}

Result<std::shared_ptr<const InputStatistics>> StatisticsFile::of(const std::string &observer, bool hessian) {
  auto run = [&]() -> Result<std::shared_ptr<const InputStatistics>> {
    const std::string columns = columnsPrefix + observer, products = hessianPrefix + observer;
    const SafetensorsEntry *entry = file->find(columns);
    QUANTC_ASSIGN(const auto values, numbers(entry, columns, 3, memory));
    if (std::ranges::any_of(values, [](float v) { return v < 0; }))
      return fail("tensor '{}' has a mean of absolute values or squares that is negative", columns);
    const int64_t K = entry->shape[1];
    std::pmr::vector<float> means(memory);
    if (hessian) {
      QUANTC_ASSIGN(means, numbers(file->find(products), products, K, memory, K));
    }
    return std::make_shared<const InputStatistics>(
        InputStatistics{.K = K,
                        .tokens = tokens,
                        .hessian = std::move(means),
                        .meanAbs = {values.begin(), values.begin() + K},
                        .meanSquare = {values.begin() + K, values.begin() + 2 * K},
                        .maxAbs = {values.begin() + 2 * K, values.end()}});
  };
  auto result = run();
  return result ? result : failAt(file->path().string(), result.error());
}

Status quantc::writeStatistics(const std::filesystem::path &path, StatisticsSource &source,
                               const std::vector<std::pair<std::string, int64_t>> &observers, bool hessian,
                               uint64_t tokens) {
  std::vector<SafetensorsSpec> tensors;
  for (const auto &[name, K] : observers) {
    tensors.push_back({.name = columnsPrefix + name, .dtype = "F32", .shape = {3, K}});
    if (hessian)
      tensors.push_back({.name = hessianPrefix + name, .dtype = "F32", .shape = {K, K}});
  }
  QUANTC_ASSIGN(TensorWriter writer,
                createSafetensors(path, std::move(tensors),
                                  {.metadata = {{tokensKey, std::to_string(tokens)}}, .keepOrder = true}));
  for (const auto &[name, K] : observers) {
    QUANTC_ASSIGN(const std::shared_ptr<const InputStatistics> statistics, source.of(name, hessian));
    for (const std::vector<float> *row : {&statistics->meanAbs, &statistics->meanSquare, &statistics->maxAbs})
      QUANTC_TRY(writer.append(std::as_bytes(std::span(*row))));
    if (hessian)
      QUANTC_TRY(writer.append(std::as_bytes(std::span(statistics->hessian))));
  }
  return writer.commit();
}
