//===- LinearKernel.cpp - one matrix product on a GPU, as `quantc kernels` gives it -------------------------------===//

#include "LinearKernel.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Support/Files.h"
#include <cstdio>
#include <utility>

using namespace quantc;
using namespace quantc::gpu;
using nlohmann::json;

//===- Loading -------------------------------------------------------------------------------------------------===//

Status LinearKernel::describe(const json &launch) {
  spec = launch.at("format"), kind = launch.at("schedule");
  N = launch.at("n"), K = launch.at("k");
  if (!launch.at("m").is_null())
    fixedTokens = launch["m"].get<int64_t>();
  threads = launch.at("threads"), sharedBytes = launch.at("shared_bytes");
  gridX = launch.at("grid")[0];
  const json &perTokens = launch["grid"][1];
  if (perTokens.is_number())
    gridY = perTokens;
  else if (std::sscanf(perTokens.get<std::string>().c_str(), "(m + %*u) / %u", &tokensOfBlock) != 1)
    return fail("a grid of {} blocks is not known here", perTokens.get<std::string>());
  for (const json &plane : launch.at("weights").at("planes"))
    planes.push_back(plane.at("offset"));
  std::string expected = "x", found;
  for (const json &plane : launch["weights"]["planes"])
    expected += " " + plane.at("name").get<std::string>();
  expected += fixedTokens ? " y" : " y m";
  for (const json &parameter : launch.at("parameters"))
    found += (found.empty() ? "" : " ") + parameter.at("name").get<std::string>();
  return found == expected ? Status() : fail("takes the parameters {}; {} are known here", found, expected);
}

Status LinearKernel::loadModule(const std::string &ptx, const std::string &name) {
  const cuda::Driver &d = device->driver();
  QUANTC_ASSIGN(const cuda::Device::Current current, device->makeCurrent());
  std::string log(4096, '\0');
  int options[] = {cuda::JitErrorLog, cuda::JitErrorLogBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size() - 1)};
  const Status loaded = d.check(d.moduleLoad(&module, ptx.c_str(), 2, options, values), "loading the PTX");
  if (!loaded) {
    module = nullptr;
    return fail("{}: {}", loaded.error().message, log.c_str());
  }
  QUANTC_TRY(d.check(d.moduleGetFunction(&function, module, name.c_str()), "finding the kernel"));
  return d.check(d.functionSetAttribute(function, cuda::DynamicSharedBytes, static_cast<int>(sharedBytes)),
                 "its shared memory");
}

Result<LinearKernel> LinearKernel::load(std::shared_ptr<const cuda::Device> device,
                                        const std::filesystem::path &description) {
  LinearKernel kernel(std::move(device));
  QUANTC_ASSIGN(const std::string text, readText(description));
  const json launch = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (launch.is_discarded())
    return fail("{}: is no JSON", description.string());
  if (const Status known = kernel.describe(launch); !known)
    return failAt(description.string(), known.error());
  QUANTC_ASSIGN(const std::string ptx, readText(std::filesystem::path(description).replace_extension(".ptx")));
  if (const Status loaded = kernel.loadModule(ptx, launch.at("kernel")); !loaded)
    return failAt(description.string(), loaded.error());
  return kernel;
}

LinearKernel::LinearKernel(LinearKernel &&other) noexcept
    : device(std::move(other.device)), spec(std::move(other.spec)), kind(std::move(other.kind)), N(other.N), K(other.K),
      fixedTokens(other.fixedTokens), gridX(other.gridX), gridY(other.gridY), tokensOfBlock(other.tokensOfBlock),
      threads(other.threads), sharedBytes(other.sharedBytes), planes(std::move(other.planes)),
      module(std::exchange(other.module, nullptr)), function(other.function) {}

LinearKernel::~LinearKernel() {
  if (!module)
    return;
  const auto current = device->makeCurrent();
  device->driver().moduleUnload(module);
}

std::string LinearKernel::title() const {
  return fmt::format("{} {}x{} {}", spec, N, K, kind);
}

Status LinearKernel::launch(cuda::Stream stream, cuda::Address x, cuda::Address w, cuda::Address y,
                            int64_t tokens) const {
  std::vector<int64_t> values = {static_cast<int64_t>(x)};
  for (const uint64_t plane : planes)
    values.push_back(static_cast<int64_t>(w + plane));
  values.push_back(static_cast<int64_t>(y));
  if (!fixedTokens)
    values.push_back(tokens);
  std::vector<void *> parameters;
  for (int64_t &value : values)
    parameters.push_back(&value);
  const unsigned blocks = tokensOfBlock ? (static_cast<unsigned>(tokens) + tokensOfBlock - 1) / tokensOfBlock : gridY;
  const cuda::Driver &d = device->driver();
  return d.check(d.launch(function, gridX, blocks, 1, threads, 1, 1, sharedBytes, stream, parameters.data(), nullptr),
                 title().c_str());
}

//===- Operands ------------------------------------------------------------------------------------------------===//

Result<cuda::DeviceMemory> gpu::upload(const std::shared_ptr<const cuda::Device> &device, const StripWeight &weight,
                                       uint64_t copies) {
  constexpr size_t batch = 32 << 20;
  const cuda::Driver &d = device->driver();
  QUANTC_ASSIGN(cuda::DeviceMemory memory, cuda::DeviceMemory::allocate(device, weight.bytes() * copies));
  QUANTC_ASSIGN(const cuda::Device::Current current, device->makeCurrent());
  std::vector<std::byte> waiting;
  uint64_t at = memory.address();
  const auto flush = [&]() -> Status {
    if (!waiting.empty())
      QUANTC_TRY(d.check(d.copyToDevice(at, waiting.data(), waiting.size()), "copying a weight"));
    at += waiting.size();
    waiting.clear();
    return {};
  };
  QUANTC_TRY(weight.write([&](std::span<const std::byte> bytes) {
    waiting.insert(waiting.end(), bytes.begin(), bytes.end());
    return waiting.size() < batch ? Status() : flush();
  }));
  QUANTC_TRY(flush());
  for (uint64_t copy = 1; copy < copies; copy++)
    QUANTC_TRY(d.check(d.copyOnDeviceAsync(memory.address() + copy * weight.bytes(), memory.address(), weight.bytes(),
                                           /*stream=*/nullptr),
                       "copying a weight"));
  QUANTC_TRY(d.check(d.contextSynchronize(), "copying a weight"));
  return memory;
}

static constexpr int64_t differentTokens = 61; // a prime: no tile repeats itself

Activations::Activations(int64_t columns) : columns(columns) {
  for (float number : randomNumbers(static_cast<size_t>(differentTokens * columns), 99, 1)) {
    halves.push_back(toF16(number));
    numbers.push_back(fromF16(halves.back()));
  }
}

Result<cuda::DeviceMemory> Activations::upload(const std::shared_ptr<const cuda::Device> &device,
                                               int64_t tokens) const {
  const cuda::Driver &d = device->driver();
  const uint64_t row = static_cast<uint64_t>(columns) * sizeof(uint16_t);
  QUANTC_ASSIGN(cuda::DeviceMemory memory, cuda::DeviceMemory::allocate(device, row * static_cast<uint64_t>(tokens)));
  QUANTC_ASSIGN(const cuda::Device::Current current, device->makeCurrent());
  for (int64_t token = 0; token < tokens; token += differentTokens)
    QUANTC_TRY(d.check(d.copyToDevice(memory.address() + row * static_cast<uint64_t>(token), halves.data(),
                                      row * static_cast<uint64_t>(std::min(differentTokens, tokens - token))),
                       "copying activations"));
  QUANTC_TRY(d.check(d.contextSynchronize(), "copying activations"));
  return memory;
}

std::span<const float> Activations::row(int64_t token) const {
  return std::span(numbers).subspan(static_cast<size_t>(token % differentTokens * columns),
                                    static_cast<size_t>(columns));
}
