/*===- linear.c - y = x wᵀ on a processor, by a kernel of quantc alone ----------------------------------------------===
 *
 * Nothing of quantc is linked but the object file that it made. w.f32 has 1000 x 512 numbers, x.f32 7 x 512.
 *
 *   k="quantc kernels --format int:4:g128 --n 1000 --k 512 --target x86-64-v3"
 *   $k --emit obj -o linear.o && $k --emit header -o linear.h && $k --emit weights --weights w.f32 -o w.bin
 *   cc -std=c11 linear.c linear.o -I. -o linear && ./linear w.bin x.f32 y.f32
 *
 *===----------------------------------------------------------------------------------------------------------------===*/

#include "linear.h" /* the kernel, and how many bytes it reads */
#include <stdio.h>
#include <stdlib.h>

enum { M = 7, N = 1000, K = 512 };

/* Kernels take buffers that are aligned to 64 bytes. */
static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!memory) {
    fprintf(stderr, "no memory for %zu bytes\n", bytes);
    exit(1);
  }
  return memory;
}

static void *contents(const char *path, size_t bytes) {
  void *memory = allocate(bytes);
  FILE *file = fopen(path, "rb");
  if (!file || fread(memory, 1, bytes, file) != bytes) {
    fprintf(stderr, "%s: cannot be read, or has not %zu bytes\n", path, bytes);
    exit(1);
  }
  fclose(file);
  return memory;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return fprintf(stderr, "usage: %s w.bin x.f32 y.f32\n", argv[0]), 2;
  const void *w = contents(argv[1], LINEAR_WEIGHT_BYTES);
  const float *x = contents(argv[2], M * K * sizeof(float));
  void *codes = allocate(M * LINEAR_ACTIVATION_BYTES);
  float *y = allocate(M * N * sizeof(float));

  /* int8 activations: once for all products with the same x. */
  const int64_t encoding[] = {(int64_t)x, M, (int64_t)codes, M};
  encode(encoding, 0, encode_tasks(encoding));

  /* Tasks may run in any order, on any threads: here in two halves. */
  const int64_t product[] = {(int64_t)codes, M, (int64_t)w, (int64_t)y, M};
  const int64_t tasks = linear_tasks(product);
  linear(product, tasks / 2, tasks);
  linear(product, 0, tasks / 2);

  FILE *file = fopen(argv[3], "wb");
  if (!file || fwrite(y, sizeof(float), M * N, file) != M * N || fclose(file) != 0)
    return fprintf(stderr, "%s: cannot be written\n", argv[3]), 1;
  return 0;
}
