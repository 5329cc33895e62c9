/* Kernels of a toy language model, after the kernel ABI of docs/Architecture.md, compiled to a flat image by CMake.
 *
 * The model remembers each token's embedding in its KV cache; its hidden state at a position is the sum over all
 * positions p up to it of (p * p mod 7 - 3) * embedding, and its logits are the products with the embeddings. With
 * small whole numbers in the embeddings all of this is exact in f32, so a test computes the same with integers. */

#include <stdint.h>

enum { HIDDEN = 16, VOCAB = 32 };

static const float *row(int64_t table, int64_t index) {
  return (const float *)table + index * HIDDEN;
}
static float *rowToWrite(int64_t table, int64_t index) {
  return (float *)table + index * HIDDEN;
}

/* tokens: i32[tokens], table: f32[VOCAB][HIDDEN], x: f32[tokens][HIDDEN], tokens. A task is a token. */
void embed(const int64_t *args, int64_t begin, int64_t end) {
  const int32_t *ids = (const int32_t *)args[0];
  for (int64_t t = begin; t < end; ++t)
    for (int h = 0; h < HIDDEN; ++h)
      rowToWrite(args[2], t)[h] = row(args[1], ids[t])[h];
}
int64_t embed_tasks(const int64_t *args) {
  return args[3];
}

/* x: f32[tokens][HIDDEN], cache: f32[context][HIDDEN], context, past, tokens. */
void append(const int64_t *args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int h = 0; h < HIDDEN; ++h)
      rowToWrite(args[1], args[3] + t)[h] = row(args[0], t)[h];
}
int64_t append_tasks(const int64_t *args) {
  return args[4];
}

/* y: f32[tokens][HIDDEN], cache: f32[context][HIDDEN], context, past, tokens. */
void attend(const int64_t *args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int h = 0; h < HIDDEN; ++h) {
      float sum = 0;
      for (int64_t p = 0; p <= args[3] + t; ++p)
        sum += (float)(p * p % 7 - 3) * row(args[1], p)[h];
      rowToWrite(args[0], t)[h] = sum;
    }
}
int64_t attend_tasks(const int64_t *args) {
  return args[4];
}

/* y: f32[tokens][HIDDEN], tokens, table: f32[VOCAB][HIDDEN], logits: f32[rows][VOCAB], rows. A task is one logit. */
void head(const int64_t *args, int64_t begin, int64_t end) {
  const int64_t first = args[1] - args[4];
  for (int64_t task = begin; task < end; ++task) {
    float sum = 0;
    for (int h = 0; h < HIDDEN; ++h)
      sum += row(args[0], first + task / VOCAB)[h] * row(args[2], task % VOCAB)[h];
    ((float *)args[3])[task] = sum;
  }
}
int64_t head_tasks(const int64_t *args) {
  return args[4] * VOCAB;
}

/* logits: f32[rows][VOCAB], rows. Spoils the last logit of each row. */
void spoil(const int64_t *args, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r)
    ((uint32_t *)args[0])[r * VOCAB + VOCAB - 1] = 0x7fc00000; /* NaN */
}
int64_t spoil_tasks(const int64_t *args) {
  return args[1];
}

/* logits: f32[rows][VOCAB], rows. Divides by 64, so that a softmax has more than one token. */
void soften(const int64_t *args, int64_t begin, int64_t end) {
  for (int64_t i = begin * VOCAB; i < end * VOCAB; ++i)
    ((float *)args[0])[i] /= 64;
}
int64_t soften_tasks(const int64_t *args) {
  return args[1];
}

/* Counts of tasks that no kernel can mean. */
int64_t negative_tasks(const int64_t *args) {
  return -1;
}
int64_t enormous_tasks(const int64_t *args) {
  return INT64_MAX;
}
