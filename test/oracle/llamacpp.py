#!/usr/bin/env python3
"""Compares GGUF files and predictions with llama.cpp's.

    test/oracle/llamacpp.py BIN [--model DIRECTORY] [--chunks N] [--chunk TOKENS]

The truth for predictions is what transformers makes in f32 of the weights that gguf-py decodes from the same file.
 1. Files that `quantc quantize` writes load in llama.cpp. Ours in exact precision predicts the truth, and ours in fast precision is
    as close to it as llama.cpp is.
 2. From the same f16 file, `quantc quantize` and llama-quantize write the same bytes and the same metadata.
 3. `quantc convert` and llama.cpp's converter make the same file of a directory with a SentencePiece tokenizer.
 4. Files of every type that llama-quantize writes are read: ours in exact precision predicts the truth.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
import transformers

import common
import libllama
from common import kl_divergence, top1

WRITTEN = ("q4_0", "q4_k", "q6_k", "q8_0")
# quantc's arguments, and the kind of llama-quantize that means the same (--pure or not)
SAME_BYTES = [(["--policy", "q4_0"], "Q4_0", False), (["--policy", "q8_0"], "Q8_0", False), (["--policy", "q6_k"], "Q6_K", False),
              (["--policy", "q4_1"], "Q4_1", False), (["--policy", "q5_0"], "Q5_0", False), (["--policy", "q5_1"], "Q5_1", False),
              (["--policy", "q2_k"], "Q2_K", False), (["--policy", "q3_k_m"], "Q3_K_M", False), (["--policy", "q4_k_m"], "Q4_K_M", False),
              (["--policy", "q5_k_m"], "Q5_K_M", False), (["--format", "q4_k"], "Q4_K_S", True)]
READ = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "F16", "BF16")
# Keys that say how a file was made, not what the model is.
OF_THE_FILE = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}


def truth(path, chunks):
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    with torch.no_grad():
        return numpy.stack([model(input_ids=torch.tensor(chunk)[None]).logits[0].numpy() for chunk in chunks])


def predicts_like_llamacpp(program, model, directory, name, chunks):
    path = directory / f"{name}.gguf"
    program("quantize", model, "-o", path, "--format", name)
    want = truth(path, chunks)
    peer = libllama.Model(path).logits(chunks)
    exact, fast = (program.logits(path, chunks, "--precision", precision) for precision in ("exact", "fast"))
    of_exact, of_fast, of_peer = (kl_divergence(want, got) for got in (exact, fast, peer))
    good = of_exact <= 1e-6 and of_fast <= 1.1 * of_peer + 1e-5
    return (f"KLD from f32: exact {of_exact:.2e}, fast {of_fast:.2e}, llama.cpp {of_peer:.2e}; fast from llama.cpp "
            f"{kl_divergence(peer, fast):.2e}, same top token {top1(peer, fast):.2%}"), good


def reads(program, f16, directory, kind, chunks):
    path = f16 if kind == "F16" else libllama.quantize(f16, directory / f"read-{kind}.gguf", kind)
    want = truth(path, chunks)
    of_exact = kl_divergence(want, program.logits(path, chunks, "--precision", "exact"))
    return f"KLD from f32 {of_exact:.2e}", of_exact <= 1e-6


def writes_the_same(program, f16, directory, arguments, kind, pure):
    theirs = gguf.GGUFReader(libllama.quantize(f16, directory / "theirs.gguf", kind, pure))
    program("quantize", f16, "-o", directory / "ours.gguf", *arguments)
    ours = gguf.GGUFReader(directory / "ours.gguf")
    tensors = {t.name: t for t in ours.tensors}
    different = [t.name for t in theirs.tensors
                 if t.name not in tensors or tensors[t.name].tensor_type != t.tensor_type
                 or list(tensors[t.name].shape) != list(t.shape) or tensors[t.name].data.tobytes() != t.data.tobytes()]
    different += sorted(set(tensors) - {t.name for t in theirs.tensors})
    keys = [key for key, field in theirs.fields.items() if key not in OF_THE_FILE
            and (key not in ours.fields or ours.fields[key].contents() != field.contents())]
    order = [t.name for t in theirs.tensors] == [t.name for t in ours.tensors]
    text = f"{len(theirs.tensors) - len(different)} of {len(theirs.tensors)} tensors byte-identical, order {'same' if order else 'DIFFERS'}"
    text += f", {len(theirs.fields) - len(OF_THE_FILE) - len(keys)} keys of llama.cpp equal"
    if different or keys:
        text += f"; different: {', '.join(different[:4] + keys[:4])}"
    return text, not different and not keys and order


def converts_the_same(program, directory):
    model, ours, theirs = (directory / name for name in ("model", "ours.gguf", "theirs.gguf"))
    size = json.loads((common.GOLDEN / "tokenizer" / "small.json").read_text())["pieces"]
    subprocess.run([sys.executable, common.ROOT / "test" / "Import" / "Inputs" / "make_model.py", model, "--set", f"vocab_size={size}",
                    "--shape", f"model.embed_tokens.weight={size}x64", "--shape", f"lm_head.weight={size}x64"], check=True)
    shutil.copy(common.GOLDEN / "tokenizer" / "small.model", model / "tokenizer.model")
    (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                                                             "add_bos_token": True, "add_eos_token": False}))
    subprocess.run([sys.executable, libllama.source() / "convert_hf_to_gguf.py", model, "--outtype", "f16", "--outfile", theirs], check=True,
                   capture_output=True)
    program("convert", model, "-o", ours, "--dequantize", "f16")
    want, got = (gguf.GGUFReader(path).fields for path in (theirs, ours))
    # Its name is spelled another way, and the label says the size in words.
    keys = [key for key in want if key not in OF_THE_FILE | {"general.name", "general.size_label"}]
    different = [key for key in keys if key not in got or got[key].contents() != want[key].contents()]
    same = common.tensors_of(ours) == common.tensors_of(theirs)
    return f"tensors {'byte-identical' if same else 'DIFFER'}, {len(keys) - len(different)} of {len(keys)} keys equal {different}", same and not different


def main():
    parser = common.parser(__doc__)
    parser.add_argument("--model", type=pathlib.Path, default=common.DEMO_MODEL)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--chunk", type=int, default=256)
    options = parser.parse_args()
    program, report = options.bin, common.Report()
    if (options.model / "heldout.txt").exists():
        ids = program("tokenize", options.model, "--file", options.model / "heldout.txt", "--plain", as_json=True)["ids"]
    else:  # a model without a tokenizer
        vocabulary = transformers.AutoConfig.from_pretrained(options.model).vocab_size
        ids = numpy.random.default_rng(1).integers(3, vocabulary, options.chunks * options.chunk)
    chunks = numpy.array(ids[: options.chunks * options.chunk]).reshape(options.chunks, options.chunk)
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        for name in WRITTEN:
            report.run(f"ours, {name}", predicts_like_llamacpp, program, options.model, directory, name, chunks)
        f16 = directory / "f16.gguf"
        program("convert", options.model, "-o", f16, "--dequantize", "f16")
        for arguments, kind, pure in SAME_BYTES:
            report.run(f"{' '.join(arguments)} = {kind}", writes_the_same, program, f16, directory, arguments, kind, pure)
        report.run("convert", converts_the_same, program, directory)
        for kind in READ:
            report.run(f"theirs, {kind}", reads, program, f16, directory, kind, chunks[:2])
    report.finish()


if __name__ == "__main__":
    main()
