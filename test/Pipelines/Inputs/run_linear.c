/* Runs the kernels of linear.mlir, given as an object, on fixed numbers; prints how many tasks they have and a hash of
   the bits of their results, which must not depend on how the kernels were tiled. Tasks run last to first. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { M = 29, N = 200, K = 288 };

typedef void kernel(const int64_t *args, int64_t begin, int64_t end);
typedef int64_t kernel_tasks(const int64_t *args);
extern kernel encode, fast, exact;
extern kernel_tasks encode_tasks, fast_tasks, exact_tasks;

static uint32_t next(void) {
  static uint32_t state = 1;
  return (state = state * 1664525u + 1013904223u) >> 8;
}

static void *aligned(size_t bytes) {
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static int64_t run(kernel *f, kernel_tasks *count, const int64_t *args) {
  const int64_t tasks = count(args);
  for (int64_t task = tasks; task-- > 0;)
    f(args, task, task + 1);
  return tasks;
}

static void report(const char *name, int64_t tasks, const float *y) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < M * N * sizeof(float); ++i)
    hash = (hash ^ ((const unsigned char *)y)[i]) * 1099511628211u;
  printf("%s: %lld tasks\n%s: bits %016llx\n", name, (long long)tasks, name, (unsigned long long)hash);
}

int main(void) {
  float *x = aligned(M * K * sizeof(float)), *residual = aligned(M * N * sizeof(float)),
        *y = aligned(M * N * sizeof(float));
  unsigned char *w = aligned(2 * N * K), *codes = aligned(4 * M * K);
  for (int i = 0; i < M * K; ++i)
    x[i] = (float)(int)(next() % 2001) / 1000 - 1;
  for (int i = 0; i < M * N; ++i)
    residual[i] = (float)(next() % 1000) / 1000;
  /* Two such bytes are an f16 or bf16 between 2^-96 and 1, whatever they mean. */
  for (int i = 0; i < 2 * N * K; ++i)
    w[i] = 0x28 + next() % 0x13;
  const int64_t encodeArgs[] = {(int64_t)x, M, (int64_t)codes, M};
  run(encode, encode_tasks, encodeArgs);
  const int64_t fastArgs[] = {(int64_t)codes, M, (int64_t)w, (int64_t)residual, M, (int64_t)y, M};
  report("fast", run(fast, fast_tasks, fastArgs), y);
  const int64_t exactArgs[] = {(int64_t)x, M, (int64_t)w, (int64_t)residual, M, (int64_t)y, M};
  report("exact", run(exact, exact_tasks, exactArgs), y);
  return 0;
}
