//===- LayerCase.h - what tests of layers on a GPU share ----------------------------------------------------------===//
#pragma once

#include "GPULayer.h"
#include "LayerKernels.h"
#include <gtest/gtest.h>

namespace quantc::test {

inline mlir::MLIRContext &context() {
  static std::unique_ptr<mlir::MLIRContext> shared = createContext();
  return *shared;
}

template <typename T> emulator::Buffer readable(Buffer<T> &buffer) {
  return {buffer.begin(), buffer.size() * sizeof(T)};
}
template <typename T> emulator::Buffer writable(Buffer<T> &buffer) {
  return {buffer.begin(), buffer.size() * sizeof(T), true};
}

inline GPULayer compiled(const std::string &text) {
  auto layer = GPULayer::create(context(), text);
  EXPECT_TRUE(layer) << layer.error().message;
  return std::move(*layer);
}

} // namespace quantc::test
