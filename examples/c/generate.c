/* Continues a sequence of tokens with the C API of the runtime.
 *
 *   cc generate.c -lquantc-runtime -o generate
 *   ./generate MODEL.qm COUNT ID...          for example: ./generate tiny.qm 16 1 450 7483
 *
 * Ids come from `quantc tokenize MODEL --text ...`; `quantc tokenize MODEL --decode IDS` turns the output into text. */

#include <quantc-c/quantc.h>
#include <stdio.h>
#include <stdlib.h>

static bool print_token(void *user, int32_t token) {
  (void)user;
  printf("%d ", (int)token);
  fflush(stdout);
  return true; /* go on */
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s MODEL.qm COUNT ID...\n", argv[0]);
    return 2;
  }
  const size_t count = (size_t)argc - 3;
  int32_t *prompt = malloc(count * sizeof *prompt);
  if (!prompt)
    return 1;
  for (size_t i = 0; i < count; ++i)
    prompt[i] = (int32_t)strtol(argv[i + 3], NULL, 10);

  quantc_error error;
  quantc_model *model = NULL;
  quantc_session *session = NULL;
  quantc_generate_options options = quantc_generate_options_default();
  options.max_tokens = strtoll(argv[2], NULL, 10);
  quantc_generation result = {.size = sizeof result};

  quantc_status status = quantc_model_load(argv[1], NULL, &model, &error);
  if (status == QUANTC_OK)
    status = quantc_session_create(model, NULL, &session, &error);
  if (status == QUANTC_OK)
    status = quantc_generate(session, prompt, count, &options, print_token, NULL, &result, &error);

  if (status == QUANTC_OK) {
    printf("\n");
    fflush(stdout);
    fprintf(stderr, "code of %s; prompt %.1f tokens/s, output %.1f tokens/s\n", quantc_model_target(model),
            result.prefill_tokens_per_second, result.decode_tokens_per_second);
  } else {
    fprintf(stderr, "%s\n", error.message);
  }
  quantc_session_free(session);
  quantc_model_free(model);
  free(prompt);
  return status == QUANTC_OK ? 0 : 1;
}
