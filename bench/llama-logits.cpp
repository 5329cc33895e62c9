//===- llama-logits.cpp - predictions of a program of llama.cpp's family ----------------------------------------===//
//
// Writes the logits of token ids as float32 [ids, vocabulary], for bench/end-to-end:
//   llama-logits FILE.gguf THREADS ID,ID,… OUT
//
// Not part of the build: it is compiled against the headers and the library of a peer with llama.h, for instance
//   c++ -std=c++20 -O2 -I IK/include -I IK/ggml/include bench/llama-logits.cpp -o llama-logits
//       -L BUILD/src -lllama -Wl,-rpath,BUILD/src:BUILD/ggml/src
//
//===------------------------------------------------------------------------------------------------------------===//

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <llama.h>
#include <sstream>
#include <string>
#include <vector>

static int fail(const char *what) {
  std::fprintf(stderr, "llama-logits: %s\n", what);
  return 1;
}

int main(int count, char **arguments) {
  if (count != 5)
    return fail("usage: llama-logits FILE.gguf THREADS ID,ID,… OUT");
  std::vector<llama_token> ids;
  std::istringstream list(arguments[3]);
  for (std::string id; std::getline(list, id, ',');)
    ids.push_back(std::stoi(id));

  llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model)
    return fail("the file cannot be loaded");
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = ids.size();
  parameters.n_threads = parameters.n_threads_batch = std::atoi(arguments[2]);
  llama_context *context = llama_init_from_model(model, parameters);
  if (!context)
    return fail("no context can be made");

  llama_batch batch = llama_batch_init(ids.size(), 0, 1);
  batch.n_tokens = ids.size();
  for (size_t i = 0; i < ids.size(); i++) {
    batch.token[i] = ids[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = true;
  }
  if (llama_decode(context, batch))
    return fail("llama_decode failed");
  const size_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::ofstream out(arguments[4], std::ios::binary);
  out.write(reinterpret_cast<const char *>(llama_get_logits(context)), ids.size() * vocabulary * sizeof(float));
  return out.flush() ? 0 : fail("the output cannot be written");
}
