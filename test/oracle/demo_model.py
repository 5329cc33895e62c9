#!/usr/bin/env python3
"""The demo model's text and held-out perplexity in several formats, beside transformers'.

    test/oracle/demo_model.py BIN

In bf16 the perplexity must be that of transformers on the same chunks (f32, the same weights) within 0.1 %, and the greedy text
in exact precision the same. For the other formats a table: perplexity, KL divergence from bf16, text.
"""
import pathlib
import tempfile

import numpy
import torch
import transformers

import common

FORMATS = ("bf16", "q8_0", "q4_k", "int:4:g128:asym", "nf4")
PROMPT, LENGTH, CONTEXT = "Once upon a time", 40, 256


def load():
    return transformers.AutoModelForCausalLM.from_pretrained(common.DEMO_MODEL, dtype=torch.float32).eval()


def greedy(model, tokenizer):
    ids = torch.tensor(tokenizer(PROMPT).input_ids)[None]
    with torch.no_grad():
        made = model.generate(ids, max_new_tokens=LENGTH, do_sample=False)
    return made[0, ids.shape[1]:].tolist()


def perplexity(model, tokenizer, text):
    """llama.cpp's convention: chunks on end, each after BOS where the tokenizer adds one; their second halves are scored."""
    ids = numpy.array(tokenizer(text).input_ids)
    chunks = ids[: len(ids) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)
    starts_with_bos = tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    total, first = 0.0, CONTEXT // 2
    for chunk in chunks:
        inputs = chunk.copy()
        if starts_with_bos:
            inputs[0] = tokenizer.bos_token_id
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(inputs)[None]).logits[0].numpy()
        rows = common.log_softmax(logits)[first:-1]
        total -= rows[numpy.arange(len(rows)), chunk[first + 1:]].sum()
    return float(numpy.exp(total / (len(chunks) * (CONTEXT - first - 1))))


def main():
    program, report = common.parser(__doc__).parse_args().bin, common.Report()
    heldout = common.DEMO_MODEL / "heldout.txt"
    tokenizer, model = transformers.AutoTokenizer.from_pretrained(common.DEMO_MODEL), load()
    want_text, want = greedy(model, tokenizer), perplexity(model, tokenizer, heldout.read_text())
    report.line("transformers, f32", f"perplexity {want:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)

        def text_is_the_same():
            program("compile", common.DEMO_MODEL, "-o", directory / "exact.qm", "--precision", "exact")
            got = program("run", directory / "exact.qm", "-p", PROMPT, "-n", LENGTH, as_json=True)["tokens"]
            same = sum(1 for a, b in zip(got, want_text) if a == b)
            return f"{same} of {len(want_text)} greedy tokens as transformers", got == want_text

        def in_format(name):
            artifact = directory / f"{name.replace(':', '-')}.qm"
            program("compile", common.DEMO_MODEL, "-o", artifact, *([] if name == "bf16" else ["--format", name]))
            options = [] if name == "bf16" else ["--reference", directory / "bf16.qm"]
            measured = program("perplexity", artifact, "--text", heldout, "--ctx", CONTEXT, *options, as_json=True)
            made = program("run", artifact, "-p", PROMPT, "-n", LENGTH, as_json=True)["text"]
            text = f"perplexity {measured['perplexity']:.4f}"
            if name == "bf16":
                off = measured["perplexity"] / want - 1
                return f"{text} ({off:+.4%} from transformers)  {made!r}", abs(off) < 1e-3
            return (f"{text}, KLD {measured['kl_divergence']:.2e}, same top token {measured['top1']:.2%}  {made!r}",
                    measured["perplexity"] < 1.5 * want)

        report.run("exact, bf16", text_is_the_same)
        for name in FORMATS:
            report.run(f"fast, {name}", in_format, name)
    report.finish()


if __name__ == "__main__":
    main()
