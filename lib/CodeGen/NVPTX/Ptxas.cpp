//===- Ptxas.cpp - from PTX to machine code of a GPU --------------------------------------------------------------===//

#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace quantc;
namespace fs = std::filesystem;

std::optional<fs::path> quantc::findPtxas() {
  for (auto paths : {std::vector<llvm::StringRef>(), std::vector<llvm::StringRef>{"/usr/local/cuda/bin"}})
    if (auto found = llvm::sys::findProgramByName("ptxas", paths))
      return fs::path(*found);
  return {};
}

static Result<std::string> contents(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return fail("{}: {}", path.str(), buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

Result<Assembled> quantc::assemblePTX(const fs::path &ptxas, const std::string &ptx, const std::string &chip) {
  llvm::SmallString<64> folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("quantc-ptx", folder))
    return fail("cannot make a temporary folder: {}", error.message());
  auto remove = llvm::make_scope_exit([&] { llvm::sys::fs::remove_directories(folder); });
  const std::string source = (folder + "/k.ptx").str(), cubin = (folder + "/k.cubin").str(),
                    report = (folder + "/report").str();
  std::error_code error;
  {
    llvm::raw_fd_ostream file(source, error);
    file << ptx;
    file.flush();
    if (error || file.has_error())
      return fail("{}: cannot be written", source);
  }
  const std::string arch = "-arch=" + chip, program = ptxas.string();
  std::optional<llvm::StringRef> streams[] = {"", report, report};
  std::string problem;
  const int status = llvm::sys::ExecuteAndWait(program, {program, "-v", arch, source, "-o", cubin}, std::nullopt,
                                               streams, /*SecondsToWait=*/300, /*MemoryLimit=*/0, &problem);
  QUANTC_ASSIGN(std::string said, problem.empty() ? contents(report) : Result<std::string>(problem));
  if (status != 0)
    return fail("{} for {}: {}", program, chip, llvm::StringRef(said).trim().split('\n').first.str());
  QUANTC_ASSIGN(std::string bytes, contents(cubin));
  return Assembled{std::move(bytes), std::move(said)};
}
