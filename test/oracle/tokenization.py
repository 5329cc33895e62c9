#!/usr/bin/env python3
"""Compares token ids and texts with tokenizers, SentencePiece and llama.cpp, on long texts.

    test/oracle/tokenization.py BIN

The demo model's tokenizer is compared always, and small ones with every component that is supported (tokenizer_variants.py); those in
the folder of test data where it is there, one of them also as newer conversions are.
"""
import json
import pathlib
import random
import shutil
import tempfile

import sentencepiece
import tokenizers

import common
import libllama
import tokenizer_variants

SAMPLE = 60000  # characters of each text


def random_text():
    """Lines of characters of many scripts, white space and joined marks, as no one writes them."""
    source = random.Random(5)
    ranges = [(32, 126), (32, 126), (32, 126), (0xa0, 0x17f), (0x300, 0x36f), (0x370, 0x52f), (0x600, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f),
              (0x2000, 0x206f), (0x3040, 0x30ff), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0x1f300, 0x1f64f)]
    lines = []
    for _ in range(300):
        first, last = source.choice(ranges)
        lines.append("".join(chr(source.randint(first, last)) if source.random() < 0.8 else source.choice(" \t  a1'.") for _ in range(30)))
    return "\n".join(lines)


def texts():
    yield "held-out stories", (common.DEMO_MODEL / "heldout.txt").read_text()[:SAMPLE]
    yield "random characters", random_text()
    for path in ("tokenizers/ggml-vocab/ggml-vocab-llama-bpe.gguf.inp", "text/wikitext-2-raw/wiki.test.official.raw"):
        if (common.TEST_DATA / path).exists():
            yield path.rsplit("/", 1)[1], (common.TEST_DATA / path).read_text(encoding="utf-8")[:SAMPLE]


def compare(program, directory, encode):
    """`encode`: the peer's ids of a text, without special tokens around it."""
    different, count = [], 0
    for name, text in texts():
        (directory / "text.txt").write_text(text, encoding="utf-8", newline="")
        got = program("tokenize", directory, "--file", directory / "text.txt", "--plain", as_json=True)["ids"]
        want = encode(text)
        count += len(want)
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            different.append(f"{name} from token {at}")
    return f"{count} ids{' equal' if not different else '; different: ' + ', '.join(different)}", not different


def with_document(program, directory, document):
    (directory / "tokenizer.json").write_text(json.dumps(document))
    peer = tokenizers.Tokenizer.from_str(json.dumps(document))
    return compare(program, directory, lambda text: peer.encode(text, add_special_tokens=False).ids)


def with_json(program, directory, file):
    return with_document(program, directory, json.loads(file.read_text()))


def with_metaspace(program, directory, file):
    """A tokenizer.json with Prepend and Replace, as newer conversions write it."""
    document = json.loads(file.read_text())
    document["normalizer"] = None
    document["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    return with_document(program, directory, document)


def variants(program, directory):
    bases = {"bytes": tokenizer_variants.train(True), "characters": tokenizer_variants.train(False)}
    failed, count = [], 0
    for variant in tokenizer_variants.variants():
        said, good = with_document(program, directory, tokenizer_variants.document(variant, bases))
        failed += [] if good else [f"{variant['name']}: {said}"]
        count += 1
    return f"{count} variants{' equal' if not failed else '; different: ' + '; '.join(failed)}", not failed


def with_sentencepiece(program, directory, file):
    shutil.copy(file, directory / "tokenizer.model")
    peer = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return compare(program, directory, lambda text: peer.encode(text))


def as_llamacpp(program, directory):
    """The tokenizer of a GGUF file that quantc wrote: llama.cpp must read the same ids from it."""
    path = directory / "demo.gguf"
    program("convert", common.DEMO_MODEL, "-o", path, "--dequantize", "f16")
    peer = libllama.Model(path, vocabulary_only=True)
    count = 0
    for name, text in texts():
        (directory / "text.txt").write_text(text, encoding="utf-8", newline="")
        got = program("tokenize", path, "--file", directory / "text.txt", "--plain", as_json=True)["ids"]
        if got != peer.tokenize(text, special=False):
            return f"different ids of {name}", False
        count += len(got)
    return f"{count} ids equal", True


def main():
    program, report = common.parser(__doc__).parse_args().bin, common.Report()
    data = common.TEST_DATA / "tokenizers"
    cases = [(with_json, common.DEMO_MODEL / "tokenizer.json")]
    if data.is_dir():
        cases += [(with_json, data / name) for name in ("phi2/tokenizer.json", "phi3/tokenizer.json", "gpt-neox/20B_tokenizer.json")]
        cases += [(with_metaspace, data / "phi3/tokenizer.json")]
        cases += [(with_sentencepiece, data / name) for name in ("llama2/tokenizer.model", "mistral/tokenizer.model.v1", "tok4096/tokenizer4096.model",
                                                               "spm-small/test_sentencepiece_with_bytefallback.model")]
    else:
        report.line("other tokenizers", f"skipped: {data} is not there")
    for comparison, file in cases:
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "config.json").write_text(json.dumps({}))
            report.run(f"{file.parent.name}/{file.name}"[-28:], comparison, program, pathlib.Path(folder), file)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps({}))
        report.run("components of tokenizer.json", variants, program, pathlib.Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        report.run("demo model in llama.cpp", as_llamacpp, program, pathlib.Path(folder))
    report.finish()


if __name__ == "__main__":
    main()
