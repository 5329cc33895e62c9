#!/usr/bin/env python3
"""The demo model against results of transformers and llama.cpp, which test/oracle/regenerate.py wrote.

    test/e2e/demo_model.py BIN
"""
import json
import pathlib
import tempfile

import numpy

import common

GOLDEN = common.GOLDEN / "demo-model"


def logits(program, expected):
    prompt = expected["prompt"]
    want = numpy.fromfile(GOLDEN / "logits.f32", "<f4").reshape(len(prompt), -1)
    got = program.logits(common.DEMO_MODEL, [prompt], "--precision", "exact")[0]
    top = numpy.sort(want, axis=1)
    clear = top[:, -1] - top[:, -2] > 2e-3
    worst = abs(got - want).max()
    return f"largest difference {worst:.1e}", worst < 1e-3 and (got.argmax(1) == want.argmax(1))[clear].all()


def text(program, expected, artifact):
    program("compile", common.DEMO_MODEL, "-o", artifact, "--precision", "exact")
    want = expected["greedy"]
    got = program("run", artifact, "-p", "Once upon a time", "-n", len(want), as_json=True)
    return repr(got["text"]), got["tokens"] == want


def perplexity(program, expected, artifact):
    got = program("perplexity", artifact, "--text", common.DEMO_MODEL / "heldout.txt", "--ctx", 256, as_json=True)["perplexity"]
    return f"{got:.4f}, transformers {expected['perplexity']:.4f}", abs(got / expected["perplexity"] - 1) < 1e-3


def quantized(program, entry, f16, output):
    program("quantize", f16, "-o", output, *entry["arguments"])
    got, want = common.tensors_of(output), entry["tensors"]
    equal = sum(got.get(name) == tensor for name, tensor in want.items())
    return f"{equal} of {len(want)} tensors as llama-quantize {entry['peer']}", got == want


def main():
    program, report = common.parser(__doc__).parse_args().bin, common.Report()
    expected = json.loads((GOLDEN / "expected.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        report.run("logits", logits, program, expected)
        report.run("text", text, program, expected, directory / "exact.qm")
        report.run("perplexity", perplexity, program, expected, directory / "exact.qm")
        f16 = directory / "f16.gguf"
        program("convert", common.DEMO_MODEL, "-o", f16, "--dequantize", "f16")
        report.line("f16 file", "the same tensors", common.tensors_of(f16) == expected["f16"])
        for entry in expected["quantized"]:
            report.run(" ".join(entry["arguments"]), quantized, program, entry, f16, directory / "ours.gguf")
    report.finish()


if __name__ == "__main__":
    main()
