//===- Kernels.cpp - quantc kernels: one kernel by itself ---------------------------------------------------------===//

#include "Command.h"
#include "quantc/Driver/Kernel.h"
#include "quantc/Support/Files.h"

using namespace quantc;

namespace {
struct Options {
  KernelOptions kernel;
  int64_t m = 0;
  std::filesystem::path output;
};

Status run(const Globals &globals, const Options &options) {
  KernelOptions kernel = options.kernel;
  if (options.m)
    kernel.m = options.m;
  const bool toStdout = options.output == "-";
  if (toStdout && globals.json)
    return fail("-o - and --json both write to stdout: name a file, or leave --json out");
  QUANTC_ASSIGN(const KernelCode code, compileKernel(kernel));
  if (toStdout) {
    const auto written = std::fwrite(code.bytes.data(), 1, code.bytes.size(), stdout);
    return written == code.bytes.size() && std::fflush(stdout) == 0 ? Status() : fail("stdout cannot be written");
  }
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(options.output));
  QUANTC_TRY(file.write(code.bytes));
  QUANTC_TRY(file.commit());
  Json json = {{"output", options.output.string()}, {"emit", kernel.emit}, {"bytes", code.bytes.size()}};
  if (!code.description.is_null())
    json["launch"] = code.description;
  printResult(
      globals, json,
      fmt::format("{}: {} bytes of {} for {}", options.output.string(), code.bytes.size(), kernel.emit, kernel.target));
  return {};
}
} // namespace

void quantc::addKernels(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "kernels", "one matrix product by itself: as IR, PTX, object code or a C header",
      "  quantc kernels --format int:4:g128 --n 4096 --k 4096 --m 1 --target sm_90a --emit ptx -o linear.ptx\n"
      "  quantc kernels --format int:4:g128 --n 4096 --k 4096 --target sm_90a --emit weights --weights w.f32 -o w.bin\n"
      "  quantc kernels --format int:4:g128 --n 4096 --k 4096 --target x86-64-v3 --emit obj -o linear.o --json",
      [&globals, options] { return run(globals, *options); }, chosen);
  KernelOptions &k = options->kernel;
  c->add_option("--format", k.format, "the format of the weight, as in formats/: NAME[:parameter…]")->required();
  c->add_option("--format-file", k.formatFiles, "a description of a format beyond the shipped ones");
  c->add_option("--n", k.n, "rows of the weight: output features")->required()->check(CLI::Range(1, 1 << 24));
  c->add_option("--k", k.k, "columns of the weight: input features")->required()->check(CLI::Range(1, 1 << 24));
  c->add_option("--m", options->m, "GPUs: tokens; up to 8 stream the weight; default: a kernel for any number")
      ->check(CLI::Range(1, 1 << 20));
  c->add_option("--target", k.target, "a processor or GPU in targets/, or host: this machine's best processor")
      ->required();
  c->add_option("--emit", k.emit, "mlir, llvm, header, weights, decoded; for processors asm, obj; for GPUs ptx, cubin")
      ->required()
      ->check(CLI::IsMember({"mlir", "llvm", "header", "weights", "decoded", "asm", "obj", "ptx", "cubin"}));
  c->add_option(
      "--weights", k.weights,
      "weights, decoded: a file of n x k f32, row-major, which is encoded (to nearest), and packed for the kernel, or "
      "written as f32 again");
  c->add_option("--level", k.level, "mlir: at which level of the code generation")->capture_default_str();
  c->add_option("--activations", k.activations, "GPUs: the type of x, bias, residual and y")
      ->capture_default_str()
      ->check(CLI::IsMember({"f16", "bf16"}));
  c->add_flag("--bias", k.bias, "GPUs: add a vector");
  c->add_flag("--residual", k.residual, "GPUs: add a matrix");
  c->add_flag("--no-warp-groups", k.noWarpGroups, "GPUs: mma.sync where wgmma would be taken");
  c->add_option("-o,--output", options->output, "the file to write; -: stdout")->required();
}
