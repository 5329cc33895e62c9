#!/usr/bin/env python3
"""The quality of checkpoints: those of GPTQModel and bitsandbytes, and ours of the same kind, on the same weights and tokens.

    test/oracle/checkpoint_quality.py BIN TEXT… [--model DIRECTORY] [--group 128]

Each checkpoint is evaluated by quantc (kernels with f32 activations) on each text, in chunks of 256 tokens: perplexity, KL divergence
from the model as it is, and how often the most likely token is the same. Learned from 64 x 256 tokens of stories (quantized.py).
Required: a KL divergence of ours that is no higher than that of the library's checkpoint of the same kind, on each text.
"""
import os
import pathlib
import tempfile

import common
import quantized


def kinds(group):
    """Name, container, format, methods of ours (each with its options), and how to make theirs."""
    for bits in (8, 4, 3, 2):
        yield f"GPTQ {bits} bits", "gptq", f"int:{bits}:g{group}", [("gptq",), ("gptq", "--gptq-plain")], {"bits": bits, "sym": True}
    yield ("GPTQ 4 bits act-order", "gptq", f"int:4:g{group}", [("gptq", "--gptq-act-order")],
           {"bits": 4, "sym": True, "desc_act": True, "static_groups": True})
    yield "GPTQ 4 bits zero points", "gptq_v2", f"int:4:g{group}:asym", [("gptq",)], {"bits": 4, "sym": False, "format": "gptq_v2"}
    awq = {"bits": 4, "sym": False, "method": "awq", "format": "gemm"}
    yield "AWQ 4 bits zero points", "awq", f"int:4:g{group}:asym", [("awq",), ("awq+gptq",)], awq
    yield "NF4", "bnb", "nf4", [("rtn",), ("gptq",)], "nf4"
    yield "NF4 double-quantized", "bnb", "nf4:dq", [("rtn",), ("gptq",)], "nf4 nested"
    yield "FP4", "bnb", "fp4", [("rtn",), ("gptq",)], "fp4"


def compare(c, report, texts, group, kind, container, spec, methods, theirs):
    def line(maker, directory, limits=None):
        found = c.evaluate(directory, *texts)
        for at, (text, f) in enumerate(zip(texts, found)):
            good = not limits or f["kl_divergence"] <= limits[at]["kl_divergence"]
            report.line(f"{kind}, {maker}", f"perplexity {f['perplexity']:.4f}, KL divergence {f['kl_divergence']:.3e}, top-1 {f['top1']:.2%}  "
                        f"{text.name}", good)
        return found

    if isinstance(theirs, dict):
        other = line("GPTQModel", c.gptqmodel(group_size=group, **theirs))
    else:
        name, _, nested = theirs.partition(" ")
        other = line("bitsandbytes", c.bitsandbytes_directory(name, bool(nested)))
    for method, *options in methods:
        # As others do it, GPTQ is to be as good, not better: its f32 and our f64 differ in ties.
        line(" ".join((method, *options)), c.quantized(container, spec, method, *options), None if "--gptq-plain" in options else other)


def main():
    parser = common.parser(__doc__)
    parser.add_argument("texts", nargs="+", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=common.DEMO_MODEL)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--only", default="", help="kinds whose name has this")
    options, report = parser.parse_args(), common.Report()
    texts, model = [t.resolve() for t in options.texts], options.model.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # GPTQModel writes logs where it runs
        c = quantized.Comparison(options.bin, pathlib.Path(folder), model)
        for kind, *arguments in kinds(options.group):
            if options.only in kind:
                try:
                    compare(c, report, texts, options.group, kind, *arguments)
                except Exception as error:  # noqa: BLE001 - any failure is this kind's
                    report.line(kind, f"{type(error).__name__}: {error}", False)
    report.finish()


if __name__ == "__main__":
    main()
