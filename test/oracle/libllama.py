"""llama.cpp as test/oracle/build-llama-cpp builds it: predictions, token ids, and the files that it quantizes.

Only the declarations of llama-cpp-python's source package are used, which fit the llama.cpp that comes with it.
"""
import functools
import importlib
import os
import sys
import types

import numpy

from common import ROOT, Failure

BUILD = ROOT / "build" / "llama.cpp"


_callbacks = []


@functools.cache
def declarations():
    """The module llama_cpp.llama_cpp, without the rest of its package and what that needs."""
    folders = sorted(BUILD.glob("llama_cpp_python-*/llama_cpp"))
    if not folders or not (BUILD / "bin" / "libllama.so").exists():
        raise Failure("llama.cpp is not built: run test/oracle/build-llama-cpp")
    package = types.ModuleType("llama_cpp")
    package.__path__ = [str(folders[-1])]
    sys.modules["llama_cpp"] = package
    os.environ["LLAMA_CPP_LIB_PATH"] = str(BUILD / "bin")
    return importlib.import_module("llama_cpp.llama_cpp")


def source():
    """The folder of llama.cpp's source."""
    return sorted(BUILD.glob("llama_cpp_python-*/vendor/llama.cpp"))[-1]


def collect_messages(api):
    """What llama.cpp says from now on, instead of on the terminal."""
    messages = []
    callback = api.llama_log_callback(lambda level, text, data: messages.append(text.decode(errors="replace")))
    api.llama_log_set(callback, None)
    _callbacks.append(callback)  # llama.cpp keeps only its address
    return messages


def quantize(model, output, kind, pure=False):
    """Writes what llama-quantize writes for a kind such as "Q4_K_S": the tool calls the same function with the same parameters."""
    api = declarations()
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype, parameters.pure, parameters.nthread = getattr(api, f"LLAMA_FTYPE_MOSTLY_{kind}"), pure, 2
    messages = collect_messages(api)
    if api.llama_model_quantize(str(model).encode(), str(output).encode(), parameters):
        raise Failure(f"llama.cpp does not quantize {model} to {kind}: {''.join(messages)[-400:].strip()}")
    return output


class Model:
    """A GGUF file, as llama.cpp runs it with its default settings on two threads."""

    def __init__(self, path, vocabulary_only=False):
        self.api = api = declarations()
        self.messages = collect_messages(api)
        parameters = api.llama_model_default_params()
        parameters.vocab_only = vocabulary_only
        self.handle = api.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.handle:
            raise Failure(f"llama.cpp does not load {path}: {''.join(self.messages)[-400:].strip()}")
        self.vocabulary = api.llama_model_get_vocab(self.handle)

    def __del__(self):
        if getattr(self, "handle", None):
            self.api.llama_model_free(self.handle)

    def logits(self, chunks):
        """Logits of each chunk of ids, [chunks, tokens, vocabulary]."""
        api, longest = self.api, max(map(len, chunks))
        parameters = api.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = longest, longest, longest
        parameters.n_threads = parameters.n_threads_batch = 2
        context = api.llama_init_from_model(self.handle, parameters)
        if not context:
            raise Failure(f"llama.cpp makes no context: {''.join(self.messages)[-400:].strip()}")
        size = api.llama_vocab_n_tokens(self.vocabulary)
        batch = api.llama_batch_init(longest, 0, 1)
        rows = []
        for chunk in chunks:
            api.llama_memory_clear(api.llama_get_memory(context), True)
            batch.n_tokens = len(chunk)
            for i, token in enumerate(chunk):
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = int(token), i, 1
                batch.seq_id[i][0], batch.logits[i] = 0, True
            if api.llama_decode(context, batch):
                raise Failure("llama_decode failed")
            rows.append(numpy.ctypeslib.as_array(api.llama_get_logits(context), (len(chunk), size)).copy())
        api.llama_batch_free(batch)
        api.llama_free(context)
        return numpy.stack(rows)

    def tokenize(self, text, special):
        data = text.encode()
        ids = (self.api.llama_token * (len(data) + 8))()
        count = self.api.llama_tokenize(self.vocabulary, data, len(data), ids, len(ids), special, special)
        if count < 0:
            raise Failure("llama_tokenize failed")
        return list(ids[:count])


