//===- Resume.cpp - what tells one quantization from another -----------------------------------------------------===//

#include "Resume.h"
#include "quantc/Support/Files.h"
#include <algorithm>

using namespace mlir;
using namespace quantc;
namespace fs = std::filesystem;

void Digest::add(std::span<const std::byte> bytes) {
  const uint64_t size = bytes.size();
  hash.add(std::as_bytes(std::span(&size, 1)));
  hash.add(bytes);
}

/// The texts of all formats: a weight names only the format that it has.
static Status addFormats(Digest &digest, const fs::path &folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto &entry : fs::recursive_directory_iterator(folder, error))
    if (entry.is_regular_file())
      files.push_back(entry.path());
  if (error)
    return fail("{}: {}", folder.string(), error.message());
  std::ranges::sort(files);
  for (const fs::path &file : files) {
    QUANTC_ASSIGN(const auto mapped, MappedFile::open(file));
    digest.add(mapped->bytes());
  }
  return {};
}

Result<std::unique_ptr<Spool>> quantc::openSpool(const KeptWork &work) {
  Digest digest;
  std::string graph;
  llvm::raw_string_ostream stream(graph);
  ModuleOp(work.module).print(stream);
  digest.add(graph);
  for (const CheckpointTensor &tensor : work.opened.checkpoint->tensors()) {
    digest.add(tensor.name);
    digest.add(tensor.format);
    for (const auto part : tensor.parts())
      digest.add(part);
  }
  // Methods change with the program, its version does not.
  QUANTC_ASSIGN(const ContentHash program, ContentHash::ofFile("/proc/self/exe"));
  digest.add(program.text());
  QUANTC_TRY(addFormats(digest, work.opened.data / "formats"));
  for (const fs::path &file : work.formatFiles) {
    QUANTC_ASSIGN(const auto mapped, MappedFile::open(file));
    digest.add(mapped->bytes());
  }
  digest.add(work.options);
  fs::path folder = work.output.has_filename() ? work.output : work.output.parent_path();
  folder += ".resume";
  QUANTC_ASSIGN(auto spool, Spool::open(folder, digest.text() + "\n", work.fresh));
  if (spool->found() && work.note)
    work.note(
        fmt::format("goes on from {} finished parts in {}; --fresh starts over", spool->found(), folder.string()));
  return spool;
}

Result<std::unique_ptr<Spool>> quantc::openSpool(const MethodInput &input, const MethodChoices &choices,
                                                 const std::string &data) {
  return openSpool({.opened = input.opened,
                    .module = input.module,
                    .formatFiles = input.formatFiles,
                    .output = input.output,
                    .options = fmt::format("{} {} {} {}", choices.names, choices.heldOut, describe(choices.gptq), data),
                    .fresh = choices.fresh,
                    .note = choices.note});
}
