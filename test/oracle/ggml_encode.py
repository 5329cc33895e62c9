"""Writes test/unit/Encode/golden/ggml_variants.txt: hashes of what ggml's own quantizers make of variants of the shared test
weights. Run by hand, with a libggml-base.so (x86-64, built without architecture flags, as releases are):

    python test/oracle/ggml_encode.py path/to/libggml-base.so > test/unit/Encode/golden/ggml_variants.txt
"""

import ctypes
import sys

import numpy as np

# ggml_type: id, weights and bytes of a block
TYPES = {
    "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22), "q5_1": (7, 32, 24), "q8_0": (8, 32, 34),
    "q2_k": (10, 256, 84), "q3_k": (11, 256, 110), "q4_k": (12, 256, 144), "q5_k": (13, 256, 176), "q6_k": (14, 256, 210),
    "iq2_xxs": (16, 256, 66), "iq2_xs": (17, 256, 74), "iq3_xxs": (18, 256, 98), "iq1_s": (19, 256, 50), "iq4_nl": (20, 32, 18),
    "iq3_s": (21, 256, 110), "iq2_s": (22, 256, 82), "iq4_xs": (23, 256, 136), "iq1_m": (29, 256, 56),
    "tq1_0": (34, 256, 54), "tq2_0": (35, 256, 66), "mxfp4": (39, 32, 17),
}
# Where a block of 32 weights is zero (or its fit underflows), ggml writes the codes of the blocks after it in the wrong places.
MISPLACED = {("iq3_s", "blocks"), ("iq3_s", "scaled_1e-16")}
NEEDS_IMPORTANCE = {"iq2_xxs", "iq2_xs", "iq1_s"}


def numbers(seed, count, draws, shift):
    state, out = seed, np.zeros(count, np.int64)
    for i in range(count):
        for _ in range(draws):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            out[i] += state >> shift
    return out


WEIGHTS = ((numbers(0x12345678, 16384, 4, 20) - 8190) / 65536).astype(np.float32)
IMPORTANCE = ((1 + numbers(0x9ABCDEF0, 2048, 1, 24)) / 64).astype(np.float32)


def variants():
    x, i, f = WEIGHTS, np.arange(16384), np.float32
    im, j = IMPORTANCE, np.arange(2048)
    zeros = lambda mask: np.where(mask, f(0), x)
    yield "positive", np.abs(x), im
    yield "negative", -np.abs(x), im
    yield "scaled_1e-7", x * f(1e-7), im
    yield "scaled_1e-16", x * f(1e-16), im
    yield "scaled_3e-4", x * f(3e-4), im
    yield "scaled_2e4", x * f(2e4), im
    yield "coarse", np.rint(x * f(64)).astype(f) / f(64), im
    yield "sparse", zeros(i % 7 != 0), im
    yield "blocks", np.where(i // 32 % 4 == 1, f(0), np.where(i // 32 % 4 == 3, f(0.05), x)).astype(f), im
    yield "negative_blocks", np.where(i // 32 % 3 == 1, f(-0.05), x).astype(f), im
    yield "ramp", (i % 509 - 254).astype(f), im
    yield "outliers", np.where(i % 97 == 0, x * f(1000), x).astype(f), im
    yield "zero_super_blocks", zeros(i // 256 % 3 == 1), im
    yield "importance_zeros", x, np.where(j % 5 == 2, f(0), im).astype(f)
    yield "importance_zero_blocks", x, np.where(j // 32 % 3 == 1, f(0), im).astype(f)


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    ggml = ctypes.CDLL(sys.argv[1])
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    floats = ctypes.POINTER(ctypes.c_float)
    print("# What ggml writes for variants of the shared test weights (test/oracle/ggml_encode.py): variant, FNV-1a of the weights,")
    print("# format, statistic, FNV-1a of the bytes.")
    for name, x, im in variants():
        x, im = np.ascontiguousarray(x), np.ascontiguousarray(im)
        for kind, (type_id, size, block) in TYPES.items():
            for statistic in ("ref", "imat"):
                if statistic == "ref" and (kind in NEEDS_IMPORTANCE or name.startswith("importance")):
                    continue
                if (kind, name) in MISPLACED:
                    continue
                out = np.zeros(16384 // size * block, np.uint8)
                ggml.ggml_quantize_init(type_id)
                ggml.ggml_quantize_chunk(type_id, x.ctypes.data_as(floats), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
                                         ctypes.c_int64(8), ctypes.c_int64(2048), im.ctypes.data_as(floats) if statistic == "imat" else None)
                print(f"{name} {fnv(x.tobytes()):016x} {kind} {statistic} {fnv(out.tobytes()):016x}", flush=True)


main()
