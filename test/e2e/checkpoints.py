#!/usr/bin/env python3
"""Models in every kind of file that quantc imports, from the file to text.

    test/e2e/checkpoints.py BIN
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy

import common

MAKE_MODEL = common.ROOT / "test" / "Import" / "Inputs" / "make_model.py"
GOLDEN = common.GOLDEN / "tokenizer"
PROMPT = [[1, 7, 30, 2, 45, 17, 17, 8, 21]]


def make(path, *options):
    subprocess.run([sys.executable, MAKE_MODEL, path, *options], check=True)
    return path


def same_logits(program, first, *others):
    want = program.logits(first, PROMPT, "--precision", "exact")
    for other in others:
        if not program("compare", first, other, as_json=True)["equal"]:
            return f"{other.name} has other weights than {first.name}", False
        if not numpy.array_equal(program.logits(other, PROMPT, "--precision", "exact"), want):
            return f"{other.name} gives other logits than {first.name}", False
    return "the same weights and logits", numpy.isfinite(want).all()


def shards(program, directory, arch):
    options = ["--arch", arch, "--dtype", "BF16"]
    return same_logits(program, make(directory / "whole", *options), make(directory / "two", "--shards", "2", *options),
                       make(directory / "five", "--shards", "5", *options))


def gguf_versions(program, directory, arch):
    return same_logits(program, *(make(directory / f"{arch}-v{version}.gguf", "--arch", arch, "--dtype", "F16", "--gguf-version",
                                       str(version)) for version in (3, 2, 1)))


def to_gguf_and_back(program, directory, arch):
    """Writing GGUF permutes rows of queries and keys where the architecture wants it: the model must stay the same."""
    source = with_tokenizer(directory / f"{arch}-source", "--arch", arch)
    program("convert", source, "-o", directory / f"{arch}.gguf", "--dequantize", "f32")
    want, got = (program.logits(model, PROMPT, "--precision", "exact") for model in (source, directory / f"{arch}.gguf"))
    return f"largest difference of logits {abs(want - got).max():.1e}", numpy.allclose(want, got, rtol=0, atol=1e-5)


def with_tokenizer(directory, *options):
    """A model with a SentencePiece tokenizer as Llama 2 has it, and a vocabulary of its size."""
    size = json.loads((GOLDEN / "small.json").read_text())["pieces"]
    make(directory, "--set", f"vocab_size={size}", "--shape", f"model.embed_tokens.weight={size}x64",
         "--shape", f"lm_head.weight={size}x64", *options)
    shutil.copy(GOLDEN / "small.model", directory / "tokenizer.model")
    (directory / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": False}))
    return directory


def sentencepiece(program, directory):
    cases = json.loads((GOLDEN / "small.json").read_text())
    model = with_tokenizer(directory / "llama2")
    gguf = directory / "llama2.gguf"
    program("convert", model, "-o", gguf, "--dequantize", "f16")
    artifact = directory / "llama2.qm"
    program("compile", model, "-o", artifact)
    wrong = 0
    for case in cases["cases"]:
        for source in (model, gguf, artifact):
            got = program("tokenize", source, "--text", case["text"], "--plain", as_json=True)["ids"]
            wrong += got != case["ids"]
    texts = [program("run", source, "-p", "The girl", "-n", "8", as_json=True)["text"] for source in (model, artifact)]
    return f"{wrong} of {3 * len(cases['cases'])} texts have other ids than SentencePiece gives", not wrong and len(set(texts)) == 1


def stories260k(program):
    """A trained model in GGUF version 1. data/README.md has the text that llama2.c writes."""
    model = common.TEST_DATA / "weights" / "gguf" / "tinyllamas-stories-260k-f32.gguf"
    if not model.exists():
        return f"skipped: {model} is not there", True
    line = next(line for line in (common.TEST_DATA / "README.md").read_text().splitlines() if "stories260K.bin" in line)
    want = re.search(r'Greedy from "(.*?)" .*?: "(.*?)"', line)
    got = program("run", model, "-p", want[1], "-n", "50", "--precision", "exact", as_json=True)["text"]
    return repr(got[: len(want[2])]), got.startswith(want[2])


def main():
    program, report = common.parser(__doc__).parse_args().bin, common.Report()
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        report.run("sharded safetensors", shards, program, directory, "qwen3")
        for arch in ("llama", "qwen2"):
            report.run(f"GGUF v1, v2, v3: {arch}", gguf_versions, program, directory, arch)
            report.run(f"{arch} to GGUF", to_gguf_and_back, program, directory, arch)
        report.run("SentencePiece", sentencepiece, program, directory)
        report.run("stories260K, GGUF v1", stories260k, program)
    report.finish()


if __name__ == "__main__":
    main()
