//===- CheckKernels.h - kernels on a GPU against f64 --------------------------------------------------------------===//
#pragma once

#include "LinearKernel.h"

namespace quantc::gpu {

/// What a result differs by from the f64 product beyond its rounding to f16, as a root of a mean of squares, relative
/// to that of the product: over a sample of rows, the first and last among them, and of tokens. Fails where a number is
/// not finite, and where something is written behind the last token.
Result<double> errorOf(const std::shared_ptr<const cuda::Device> &device, const LinearKernel &kernel,
                       const StripWeight &weight, cuda::Address packed, int64_t tokens);

/// What that may be. Sums of f32 in tensor cores align and truncate: some 2^-23 of each step of 16 columns, which add
/// up over a warp's part of the sum. Codes that are no integers are rounded to f16, too.
double limitOf(const StripWeight &weight);

} // namespace quantc::gpu
