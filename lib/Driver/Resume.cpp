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

Result<std::unique_ptr<Spool>> quantc::openSpool(const MethodInput &input, const MethodChoices &choices,
                                                 const std::string &data) {
  Digest digest;
  std::string graph;
  llvm::raw_string_ostream stream(graph);
  ModuleOp(input.module).print(stream);
  digest.add(graph);
  for (const CheckpointTensor &tensor : input.opened.checkpoint->tensors()) {
    digest.add(tensor.name);
    digest.add(tensor.format);
    for (const auto part : tensor.parts())
      digest.add(part);
  }
  QUANTC_TRY(addFormats(digest, input.opened.data / "formats"));
  for (const fs::path &file : input.formatFiles) {
    QUANTC_ASSIGN(const auto mapped, MappedFile::open(file));
    digest.add(mapped->bytes());
  }
  const GptqChoices &gptq = choices.gptq;
  digest.add(fmt::format("{} {} {} {} {} {} {} {}", QUANTC_VERSION, choices.names, choices.heldOut, gptq.damp,
                         gptq.actOrder, gptq.plain, gptq.scales, data));
  fs::path folder = input.output.has_filename() ? input.output : input.output.parent_path();
  folder += ".resume";
  QUANTC_ASSIGN(auto spool, Spool::open(folder, digest.text() + "\n", choices.fresh));
  if (spool->found() && choices.note)
    choices.note(
        fmt::format("goes on from {} finished weights in {}; --fresh starts over", spool->found(), folder.string()));
  return spool;
}
