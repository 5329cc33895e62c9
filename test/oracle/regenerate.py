#!/usr/bin/env python3
"""Rewrites the results of other people's programs that `make test` compares with.

    test/oracle/regenerate.py BIN

    test/golden/demo-model/logits.f32       transformers' logits of the demo model after each of the first tokens of a text (f32),
                                            with keys and values rounded to f16 as quantc keeps them
    test/golden/demo-model/expected.json    its perplexity and greedy tokens; hashes of what llama-quantize makes of its f16 file
    test/golden/tokenizer/small.model       a small SentencePiece tokenizer, trained here; small.json: the ids it gives
    test/golden/tokenizer/variants.json     by tokenizer_variants.py: ids of small tokenizers with every component of tokenizer.json
    test/golden/format/gguf-blocks.bin      by format_blocks.py: what gguf-py decodes
    test/unit/Encode/golden/ggml_variants.txt   by ggml_encode.py: hashes of what ggml encodes
"""
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import sentencepiece
import torch
import transformers

import common
import demo_model
import libllama
from architectures import HalfCache
from llamacpp import SAME_BYTES

TEXTS = ["Once upon a time", " two  spaces, and one at the end ", "Ünïcödé: 雪 🌨", "line\nbreak\ttab", "The girl's 3.14 dogs"]


def write_demo_model(program):
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(common.DEMO_MODEL), demo_model.load()
    text = (common.DEMO_MODEL / "heldout.txt").read_text()
    prompt = tokenizer(text).input_ids[:16]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(prompt)[None], past_key_values=HalfCache(), use_cache=True).logits[0].numpy()
    logits.astype("<f4").tofile(common.GOLDEN / "demo-model" / "logits.f32")
    expected = {"prompt": prompt, "greedy": demo_model.greedy(model, tokenizer), "perplexity": demo_model.perplexity(model, tokenizer, text),
                "quantized": []}
    with tempfile.TemporaryDirectory() as folder:
        f16, theirs = pathlib.Path(folder) / "f16.gguf", pathlib.Path(folder) / "theirs.gguf"
        program("convert", common.DEMO_MODEL, "-o", f16, "--dequantize", "f16")
        expected["f16"] = common.tensors_of(f16)
        for arguments, kind, pure in SAME_BYTES:
            tensors = common.tensors_of(libllama.quantize(f16, theirs, kind, pure))
            expected["quantized"].append({"arguments": arguments, "peer": kind + (" --pure" if pure else ""), "tensors": tensors})
    (common.GOLDEN / "demo-model" / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def write_tokenizer():
    stories = (common.DEMO_MODEL / "heldout.txt").read_text().splitlines()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(stories), model_writer=model, model_type="bpe", vocab_size=400, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=1.0, num_threads=1, minloglevel=1)
    (common.GOLDEN / "tokenizer" / "small.model").write_bytes(model.getvalue())
    peer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    cases = [{"text": text, "ids": peer.encode(text)} for text in TEXTS]
    (common.GOLDEN / "tokenizer" / "small.json").write_text(json.dumps({"pieces": peer.get_piece_size(), "cases": cases}, indent=1) + "\n")


def main():
    program = common.parser(__doc__).parse_args().bin
    for folder in ("demo-model", "tokenizer"):
        (common.GOLDEN / folder).mkdir(parents=True, exist_ok=True)
    write_demo_model(program)
    write_tokenizer()
    here = pathlib.Path(__file__).parent
    subprocess.run([sys.executable, here / "tokenizer_variants.py"], check=True)
    # The gguf-py of llama.cpp knows more types than the package.
    newest = {**os.environ, "PYTHONPATH": str(libllama.source() / "gguf-py")}
    subprocess.run([sys.executable, here / "format_blocks.py"], check=True, env=newest)
    hashes = subprocess.run([sys.executable, here / "ggml_encode.py", libllama.BUILD / "bin" / "libggml-base.so"], check=True, capture_output=True)
    (common.ROOT / "test" / "unit" / "Encode" / "golden" / "ggml_variants.txt").write_bytes(hashes.stdout)


if __name__ == "__main__":
    main()
