#!/usr/bin/env python3
"""Importance matrices, and what is quantized by them, beside llama.cpp's.

    test/oracle/imatrix.py BIN

 1. `quantc calibrate` and llama-imatrix, on the same tokens of the demo model: every mean square within 1e-3.
 2. By the matrix of llama-imatrix, `quantc quantize --method imatrix` and llama-quantize write the same bytes.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy

import common
import libllama
from common import Failure

SEQUENCE, SEQUENCES = 512, 16
# quantc's policies, and the kinds of llama-quantize that mean the same
KINDS = ("q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "q8_0")


def tool(name, *arguments):
    done = subprocess.run([str(libllama.BUILD / "bin" / name), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{name}: {done.stderr.strip()[-400:]}")


def entries(path):
    return {t.name: numpy.array(t.data, dtype=numpy.float64).reshape(-1) for t in gguf.GGUFReader(path).tensors}


def same_matrix(program, model, folder):
    """llama-imatrix puts BOS over the first token of each chunk: ours reads those ids."""
    ids = [int(i) for i in libllama.Model(model, vocabulary_only=True).tokenize((folder / "text.txt").read_text(), True)]
    if len(ids) < SEQUENCE * SEQUENCES:
        raise Failure(f"only {len(ids)} tokens of text")
    chunks = [[ids[0], *ids[at + 1 : at + SEQUENCE]] for at in range(0, SEQUENCE * SEQUENCES, SEQUENCE)]
    (folder / "ids.jsonl").write_text("".join(json.dumps({"input_ids": c}) + "\n" for c in chunks))
    tool("llama-imatrix", "-m", model, "-f", folder / "text.txt", "-o", folder / "theirs.gguf", "-c", SEQUENCE, "--chunks", SEQUENCES, "-t", 2,
         "--no-ppl", "--parse-special")
    program("calibrate", common.DEMO_MODEL, "--calib", folder / "ids.jsonl", "-o", folder / "ours.gguf")
    theirs, ours = entries(folder / "theirs.gguf"), entries(folder / "ours.gguf")
    missing = sorted(set(theirs) - set(ours))
    if missing:
        raise Failure(f"ours has no {', '.join(missing[:4])}")
    worst = max(float((abs(ours[n] - t) / t).max()) for n, t in theirs.items())
    return f"{len(theirs) // 2} weights, {SEQUENCE * SEQUENCES} tokens, largest relative difference {worst:.1e}", worst <= 1e-3


def same_bytes(program, model, folder, kind):
    theirs, ours = folder / "theirs-model.gguf", folder / "ours-model.gguf"
    tool("llama-quantize", "--imatrix", folder / "theirs.gguf", model, theirs, kind.upper(), 2)
    program("quantize", model, "-o", ours, "--policy", kind, "--method", "imatrix", "--calib", folder / "theirs.gguf")
    want, got = common.tensors_of(theirs), common.tensors_of(ours)
    different = [name for name in want if got.get(name) != want[name]]
    text = f"{len(want) - len(different)} of {len(want)} tensors byte-identical"
    return text + (f"; different: {', '.join(different[:4])}" if different else ""), not different and set(want) == set(got)


def main():
    program, report = common.parser(__doc__).parse_args().bin, common.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "f16.gguf"
        program("convert", common.DEMO_MODEL, "-o", model, "--dequantize", "f16")
        stories = [sys.executable, common.ROOT / "scripts" / "demo-model" / "stories.py", "--seed", "20000000", "--count", "60"]
        (folder / "text.txt").write_text(subprocess.run(stories, capture_output=True, text=True, check=True).stdout)
        report.run("matrix", same_matrix, program, model, folder)
        for kind in KINDS:
            report.run(kind, same_bytes, program, model, folder, kind)
    report.finish()


if __name__ == "__main__":
    main()
