//===- StaleFiles.h - what killed processes left ----------------------------------------------------------------===//
#pragma once

#include <filesystem>

namespace quantc {

/// Temporary files and folders of an output are called `<path>.tmp-…`, and locked as long as their process lives.
/// Removes those that nobody locks.
void removeStale(const std::filesystem::path &path);

} // namespace quantc
