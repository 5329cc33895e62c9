/* The C API, from C, as installed. */
#include "quantc-c/quantc.h"
#include <stdio.h>
#include <string.h>

int main(void) {
  quantc_model *model = NULL;
  quantc_error error;
  if (quantc_api_version() != QUANTC_API_VERSION)
    return 1;
  if (quantc_model_load("absent.qm", NULL, &model, &error) != QUANTC_FAILED || !strstr(error.message, "absent.qm"))
    return 1;
  puts(error.message);
  return 0;
}
