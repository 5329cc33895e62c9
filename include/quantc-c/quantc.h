/*===- quantc.h - C API of the runtime ------------------------------------------------------------------------===*\
 *
 * Loads a `.qm` artifact and runs it. Text stays outside: tokens are ids.
 *
 * Objects are opaque and freed by their `_free` function (NULL is allowed). Every function that can fail returns a
 * status and, where `error` is not NULL, writes one line there that says what is wrong and what to do. Structs begin
 * with their size, so that fields can be added: fill them by their `_default` function, then set what you need.
 *
 * There is no global state. A model may be used by any number of threads at a time, a session by one; a session keeps
 * its model alive.
 *
\*============================================================================================================*/
#ifndef QUANTC_C_QUANTC_H
#define QUANTC_C_QUANTC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QUANTC_API __attribute__((visibility("default")))
#else
#define QUANTC_API
#endif

#define QUANTC_API_VERSION 1

typedef struct quantc_model quantc_model;
typedef struct quantc_session quantc_session;

typedef enum quantc_status {
  QUANTC_OK = 0,
  QUANTC_INVALID_ARGUMENT = 1, /* a NULL pointer or a struct of unknown size */
  QUANTC_FAILED = 2            /* the message says why */
} quantc_status;

/* One line, NUL-terminated; longer messages are cut. */
typedef struct quantc_error {
  char message[512];
} quantc_error;

/* QUANTC_API_VERSION of the library. */
QUANTC_API uint32_t quantc_api_version(void);

/*===- Models --------------------------------------------------------------------------------------------------===*/

/* `target`: a target of the artifact by name, NULL or "": the best one that this processor can execute. */
QUANTC_API quantc_status quantc_model_load(const char *path, const char *target, quantc_model **model,
                                           quantc_error *error);
QUANTC_API void quantc_model_free(quantc_model *model);

typedef enum quantc_device {
  QUANTC_DEVICE_CPU = 0,
  QUANTC_DEVICE_CUDA = 1 /* an NVIDIA GPU: code and weights are copied there */
} quantc_device;

typedef struct quantc_load_options {
  size_t size;
  const char *target;       /* of the artifact, by name; NULL or "": the best one that the device can execute */
  int32_t device;           /* a quantc_device: a number, since a struct from outside can hold any */
  const char *cuda_library; /* the CUDA driver, by path or name; NULL or "": the system's */
  int64_t gpu_layers;       /* on an NVIDIA GPU: the last so many layers there, the rest on the processor; negative, or
                               more than the model has: everything there */
} quantc_load_options;

QUANTC_API quantc_load_options quantc_load_options_default(void);

/* The same as quantc_model_load, on any device. `options` may be NULL: the defaults. */
QUANTC_API quantc_status quantc_model_load_with(const char *path, const quantc_load_options *options,
                                                quantc_model **model, quantc_error *error);

QUANTC_API int64_t quantc_model_context(const quantc_model *model); /* positions it was compiled for */
QUANTC_API int64_t quantc_model_vocab(const quantc_model *model);
/* The target whose code runs; lives as long as the model. */
QUANTC_API const char *quantc_model_target(const quantc_model *model);
/* The manifest, JSON text; lives as long as the model. */
QUANTC_API const char *quantc_model_manifest(const quantc_model *model);

/*===- Sessions ------------------------------------------------------------------------------------------------===*/

typedef struct quantc_session_options {
  size_t size;
  int64_t context;       /* positions of the KV cache; 0: the model's */
  int64_t chunk;         /* the most tokens of one pass */
  uint32_t threads;      /* the caller's included; 0: one for each processor */
  uint64_t memory_limit; /* bytes of all buffers; 0: what the machine, or the GPU, has available */
  int64_t sequences;     /* each with a KV cache of its own; the functions without a sequence mean sequence 0 */
} quantc_session_options;

QUANTC_API quantc_session_options quantc_session_options_default(void);

/* `options` may be NULL: the defaults. */
QUANTC_API quantc_status quantc_session_create(quantc_model *model, const quantc_session_options *options,
                                               quantc_session **session, quantc_error *error);
QUANTC_API void quantc_session_free(quantc_session *session);

QUANTC_API int64_t quantc_session_context(const quantc_session *session);
QUANTC_API int64_t quantc_session_chunk(const quantc_session *session);
/* Positions computed so far. */
QUANTC_API int64_t quantc_session_past(const quantc_session *session);

/* One pass over 1 to `chunk` tokens. `*logits` points to [rows][vocab] floats until the session's next call: the last
   token's row, or a row for each token where `all_rows`. */
QUANTC_API quantc_status quantc_session_step(quantc_session *session, const int32_t *tokens, size_t count,
                                             bool all_rows, const float **logits, quantc_error *error);
/* Any number of tokens, in passes of at most `chunk`. `*logits` is the last token's row. */
QUANTC_API quantc_status quantc_session_prefill(quantc_session *session, const int32_t *tokens, size_t count,
                                                const float **logits, quantc_error *error);
/* Forgets all tokens from position `length` on. */
QUANTC_API quantc_status quantc_session_rewind(quantc_session *session, int64_t length, quantc_error *error);

/* Tokens that follow in one sequence. */
typedef struct quantc_sequence_tokens {
  int64_t sequence;
  const int32_t *tokens;
  size_t count;
} quantc_sequence_tokens;

/* One pass over tokens of several sequences, each at most once: weights are read once for all of them. `*logits` are
   the last token's rows of each, or all tokens', in the order given. A token's logits do not depend on what is computed
   with it. */
QUANTC_API quantc_status quantc_session_step_sequences(quantc_session *session, const quantc_sequence_tokens *parts,
                                                       size_t count, bool all_rows, const float **logits,
                                                       quantc_error *error);
/* Forgets all tokens of a sequence from position `length` on. */
QUANTC_API quantc_status quantc_session_rewind_sequence(quantc_session *session, int64_t sequence, int64_t length,
                                                        quantc_error *error);

/*===- Generation ----------------------------------------------------------------------------------------------===*/

typedef struct quantc_generate_options {
  size_t size;
  int64_t max_tokens;        /* 0: as many as the context holds */
  double temperature;        /* 0: the most likely token */
  int64_t top_k;             /* 0: all */
  double top_p;              /* 1: all */
  double min_p;              /* 0: all */
  double repetition_penalty; /* 1: none */
  int64_t penalty_window;
  uint64_t seed;
  const int32_t *stop_tokens;
  size_t stop_count;
  bool ignore_end; /* go on after the model's own end tokens */
} quantc_generate_options;

QUANTC_API quantc_generate_options quantc_generate_options_default(void);

/* Called with each token as it is drawn; false ends the output after it. */
typedef bool (*quantc_token_callback)(void *user, int32_t token);

typedef enum quantc_stop_reason {
  QUANTC_STOP_MAX_TOKENS = 0,
  QUANTC_STOP_TOKEN = 1,
  QUANTC_STOP_CONTEXT_FULL = 2,
  QUANTC_STOP_CANCELLED = 3
} quantc_stop_reason;

typedef struct quantc_generation {
  size_t size;
  int64_t tokens; /* drawn, without the stop token */
  quantc_stop_reason reason;
  double prefill_tokens_per_second;
  double decode_tokens_per_second;
} quantc_generation;

/* Continues `prompt`, all tokens from position 0 on; what the session holds in common with it is not computed again.
   Tokens go to `on_token`. `options` and `result` may be NULL; where given, their `size` is set by the caller. */
QUANTC_API quantc_status quantc_generate(quantc_session *session, const int32_t *prompt, size_t count,
                                         const quantc_generate_options *options, quantc_token_callback on_token,
                                         void *user, quantc_generation *result, quantc_error *error);

#ifdef __cplusplus
}
#endif
#endif
