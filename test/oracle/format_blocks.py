#!/usr/bin/env python3
"""Writes test/golden/format/gguf-blocks.bin: random blocks of every type of ggml and the values that gguf-py decodes from them.

For each type: u32 length of the format's name, the name, u32 bytes, the blocks, u32 values, f32 values (little-endian).
Scales are drawn so that most of them are finite; some blocks are plain random bits, with infinities and NaN.
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

# gguf-py's names of the types are the upper case of our formats' names.
LEFT_OUT = {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}  # activations of kernels, and no weights
WEIGHTS = 1536


def scale_bytes(name, blocks):
    """Makes f16 scales small: the byte with a f16's exponent, where a type has such scales at a fixed place."""
    at = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
          "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64]}.get(name, [])
    for offset in at:
        blocks[: len(blocks) * 3 // 4, offset + 1] = blocks[: len(blocks) * 3 // 4, offset + 1] & 0x83 | 0x28


def main():
    rng = np.random.default_rng(20240229)
    out = bytearray()
    for kind in GGMLQuantizationType:
        if kind.name in LEFT_OUT:
            continue
        weights, size = GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (WEIGHTS // weights if weights > 1 else 64, size), np.uint8)
        scale_bytes(kind.name, blocks)
        try:
            with np.errstate(all="ignore"):
                values = quants.dequantize(blocks.reshape(1, -1), kind).astype("<f4").ravel()
        except NotImplementedError:
            print(f"gguf-py does not decode {kind.name}", file=sys.stderr)
            continue
        for part in (kind.name.lower().encode(), blocks.tobytes(), values):
            out += struct.pack("<I", len(part)) + bytes(part)
    path = Path(__file__).parents[1] / "golden/format/gguf-blocks.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)
    print(f"{path}: {len(out)} bytes")


if __name__ == "__main__":
    main()
