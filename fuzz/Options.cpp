//===- Options.cpp - how AddressSanitizer runs in fuzzers -------------------------------------------------------===//
//
// Inputs are short: what is freed need not be kept for long, and most of its time would go into stacks of allocations.
// The variable ASAN_OPTIONS overrides these, to look at a finding.
//
//===------------------------------------------------------------------------------------------------------------===//

extern "C" const char *__asan_default_options() {
  return "malloc_context_size=2:quarantine_size_mb=16";
}
