"""quantc in Python: runs compiled artifacts (`.qm`) through the C API.

    import quantc
    session = quantc.Model("model.qm").session()
    logits = session.step([1, 2, 3], all_rows=True)      # numpy float32 [3, vocabulary]

The library libquantc-runtime.so is looked for beside this package's `quantc` program, or given by `library=`.
"""
import ctypes
import json
import pathlib
import shutil

import numpy

__all__ = ["Error", "Model", "Session"]


class Error(RuntimeError):
    """What the library says is wrong."""


class _Error(ctypes.Structure):
    _fields_ = [("message", ctypes.c_char * 512)]


class _SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("context", ctypes.c_int64), ("chunk", ctypes.c_int64), ("threads", ctypes.c_uint32), ("memory_limit", ctypes.c_uint64),
                ("sequences", ctypes.c_int64)]


def _find_library():
    here = pathlib.Path(__file__).resolve()
    candidates = [root / "lib" / "libquantc-runtime.so" for root in (here.parents[2] / "build" / "release", here.parents[2] / "build" / "dev")]
    if program := shutil.which("quantc"):
        candidates.insert(0, pathlib.Path(program).resolve().parents[1] / "lib" / "libquantc-runtime.so")
    for path in candidates:
        if path.exists():
            return path
    raise Error("libquantc-runtime.so was not found; build the project, or give its path by library=")


def _load(path):
    library = ctypes.CDLL(str(path or _find_library()))
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    library.quantc_session_options_default.restype = _SessionOptions
    for name in ("quantc_model_context", "quantc_model_vocab", "quantc_session_chunk", "quantc_session_context", "quantc_session_past"):
        function = getattr(library, name)
        function.argtypes, function.restype = [pointer], int64
    for name in ("quantc_model_target", "quantc_model_manifest"):
        function = getattr(library, name)
        function.argtypes, function.restype = [pointer], ctypes.c_char_p
    for name in ("quantc_model_free", "quantc_session_free"):
        function = getattr(library, name)
        function.argtypes, function.restype = [pointer], None
    return library


def _check(status, error):
    if status:
        raise Error(error.message.decode(errors="replace") or "invalid argument")


class Model:
    """A compiled model, mapped into memory. `target`: one of the artifact's by name; default: the best for this processor."""

    def __init__(self, path, target="", library=None):
        self._library, self._handle = _load(library), ctypes.c_void_p()
        error = _Error()
        _check(self._library.quantc_model_load(str(path).encode(), target.encode(), ctypes.byref(self._handle), ctypes.byref(error)), error)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.quantc_model_free(self._handle)

    @property
    def manifest(self):
        return json.loads(self._library.quantc_model_manifest(self._handle))

    @property
    def target(self):
        return self._library.quantc_model_target(self._handle).decode()

    @property
    def vocabulary(self):
        return self._library.quantc_model_vocab(self._handle)

    @property
    def context(self):
        return self._library.quantc_model_context(self._handle)

    def session(self, context=0, threads=0, chunk=512):
        """A KV cache of `context` positions (0: the model's) and what runs on it."""
        return Session(self, context, threads, chunk)


class Session:
    def __init__(self, model, context, threads, chunk):
        self.model, self._library, self._handle = model, model._library, ctypes.c_void_p()
        options, error = self._library.quantc_session_options_default(), _Error()
        options.context, options.threads, options.chunk = context, threads, chunk
        _check(self._library.quantc_session_create(model._handle, ctypes.byref(options), ctypes.byref(self._handle), ctypes.byref(error)), error)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.quantc_session_free(self._handle)

    @property
    def past(self):
        return self._library.quantc_session_past(self._handle)

    def step(self, tokens, all_rows=False):
        """Logits after the last of `tokens`, float32 [vocabulary], or of each, [tokens, vocabulary]."""
        ids = numpy.ascontiguousarray(tokens, numpy.int32)
        logits, error = ctypes.POINTER(ctypes.c_float)(), _Error()
        _check(self._library.quantc_session_step(self._handle, ids.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(ids)), ctypes.c_bool(all_rows), ctypes.byref(logits), ctypes.byref(error)), error)
        shape = (len(ids), self.model.vocabulary) if all_rows else (self.model.vocabulary,)
        return numpy.ctypeslib.as_array(logits, shape).copy()

    def rewind(self, length=0):
        """Forgets all tokens from position `length` on."""
        error = _Error()
        _check(self._library.quantc_session_rewind(self._handle, ctypes.c_int64(length), ctypes.byref(error)), error)
