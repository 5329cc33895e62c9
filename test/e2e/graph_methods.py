#!/usr/bin/env python3
"""Methods that rewrite the graph: rotations, and outliers that stay floats.

    test/e2e/graph_methods.py BIN
"""
import json
import shutil
import struct

import numpy
from harness import DEMO, Case, main
from numpy_llama import Llama

TEXT = DEMO / "heldout.txt"


class GraphMethods(Case):
    def divergence(self, model, *options, reference=DEMO):
        """Of the compiled model from the reference in f32, in nats for each token."""
        truth = self.folder / f"{reference.name}.qm"
        if not truth.exists():
            self.done("compile", reference, "-o", truth, "--precision", "float")
        self.done("compile", model, "-o", "made.qm", *options)
        return self.result("perplexity", "made.qm", "--text", TEXT, "--ctx", "256", "--chunks", "8", "--reference", truth)["kl_divergence"]

    def formats(self, artifact):
        return {t["name"]: (t["format"], t["shape"]) for t in self.result("inspect", artifact)["tensors"]}


class Rotation(GraphMethods):
    def test_same_function(self):
        """By the files alone: a model in numpy, f64, of the weights of both; keys and values are not rounded."""
        self.done("quantize", DEMO, "-o", "rotated.gguf", "--format", "f32", "--method", "rotate", "--rotate-seed", "3")
        model = Llama(DEMO, cache="f8")
        rotated = model.stored(self.folder / "rotated.gguf", everything=True)
        self.assertIn("output", rotated, "embeddings are the head no longer")
        for name, weight in rotated.items():
            if name.endswith("norm"):
                self.assertTrue((weight == 1).all(), name)
        ids = self.result("tokenize", DEMO, "--file", TEXT)["ids"][:96]
        truth = model.logits(ids)
        self.assertLess(abs(model.logits(ids, rotated) - truth).max(), 1e-4)
        # Half of the change alone is another model.
        rotated["blk.2.ffn_down"] = model.weights["model.layers.2.mlp.down_proj.weight"]
        self.assertGreater(abs(model.logits(ids, rotated) - truth).max(), 1)

    def test_runs(self):
        self.assertLess(self.divergence(DEMO, "--method", "rotate", "--precision", "float"), 1e-6)
        found = self.formats("made.qm")
        self.assertEqual(found["output"], ("f32", [1024, 256]))

    def test_with_formats_and_methods(self):
        calibration = ["--calib-sequences", "4", "--calib-length", "128"]
        options = ["--format", "int:4:g64", "--precision", "float", "--method"]
        rounded = self.divergence(DEMO, *options, "rotate")
        for method in ("rotate+gptq", "rotate+awq", "rotate+imatrix"):
            self.assertLess(self.divergence(DEMO, *options, method, *calibration), rounded, method)
        # A stock file, which any program reads; threads change nothing.
        command = ["quantize", DEMO, "--policy", "q4_k_m", "--method", "rotate+gptq", *calibration, "-o"]
        self.done(*command, "a.gguf", "--threads", "1")
        self.done(*command, "b.gguf", "--threads", "2")
        self.assertEqual((self.folder / "a.gguf").read_bytes(), (self.folder / "b.gguf").read_bytes())
        self.assertLess(self.divergence(self.folder / "a.gguf"), 0.01)

    def test_certificate(self):
        self.done("compile", DEMO, "-o", "c.qm", "--format", "q4_0", "--method", "rotate", "--rotate-seed", "9")
        report = self.result("verify", "c.qm", "--source", DEMO)
        self.assertGreater(report["identical"], 40)

    def test_refused(self):
        self.refused("quantize", DEMO, "-o", "x", "--container", "gptq", "--format", "int:4:g64", "--method", "rotate",
                     says="container gptq leaves embeddings and norms as they are")
        self.refused("quantize", DEMO, "-o", "x.gguf", "--format", "q4_0", "--method", "rotate+rotate", says="each can be used once")


def with_outliers(source, target, columns, factor):
    """The same model, with large inputs: norms times a power of two in some features, the linears behind divided by it."""
    shutil.copytree(source, target)
    data = bytearray((source / "model.safetensors").read_bytes())
    size = struct.unpack("<Q", data[:8])[0]
    for name, entry in json.loads(data[8 : 8 + size]).items():
        kind = name.removesuffix(".weight").split(".")[-1]
        scale = {"input_layernorm": factor, "q_proj": 1 / factor, "k_proj": 1 / factor, "v_proj": 1 / factor}.get(kind)
        if scale:
            begin, end = (8 + size + at for at in entry["data_offsets"])
            bits = numpy.frombuffer(bytes(data[begin:end]), "<u2").astype("<u4") << 16
            values = bits.view("<f4").reshape(entry["shape"]).copy()
            values[..., columns] *= scale
            data[begin:end] = (values.view("<u4") >> 16).astype("<u2").tobytes()
    (target / "model.safetensors").write_bytes(data)
    return target


class Outliers(GraphMethods):
    OPTIONS = ["--format", "int8_row", "--calib-sequences", "4", "--calib-length", "128"]

    def test_planted_outliers(self):
        model = with_outliers(DEMO, self.folder / "outliers", [7, 100], 64)
        self.assertLess(self.divergence(model, "--precision", "float"), 1e-9, "the same function")
        rounded = self.divergence(model, "--format", "int8_row")
        split = self.divergence(model, "--method", "llm-int8", "--outlier-threshold", "40", *self.OPTIONS)
        self.assertLess(split, 0.2 * rounded, "int8 activations no longer span the outliers")
        found = self.formats("made.qm")
        self.assertEqual(found["blk.3.attn_q.outliers"], ("bf16", [256, 2]))
        self.assertEqual(found["blk.3.attn_q"], ("int8_row", [256, 256]))
        self.assertNotIn("blk.3.ffn_up.outliers", found)
        # Any format and method.
        self.done("compile", model, "-o", "made.qm", "--method", "llm-int8+gptq", "--outlier-threshold", "40", "--format", "q4_k", *self.OPTIONS[2:])
        report = self.result("verify", "made.qm", "--source", model)
        self.assertGreater(report["identical"], 40)

    def test_refused(self):
        self.refused("quantize", DEMO, "-o", "x.gguf", "--format", "q8_0", "--method", "llm-int8", says="splits linears")
        statistics = self.folder / "statistics.safetensors"
        self.done("calibrate", DEMO, "-o", statistics, "--calib-sequences", "2", "--calib-length", "64")
        self.refused("compile", DEMO, "-o", "x.qm", "--format", "q8_0", "--method", "llm-int8+gptq", "--calib", statistics,
                     says="learns from inputs without their outliers")
        self.done("compile", DEMO, "-o", "x.qm", "--method", "llm-int8", "--outlier-threshold", "4", "--format", "q8_0", "--calib", statistics)
        self.assertIn("blk.0.ffn_down.outliers", self.formats("x.qm"))


if __name__ == "__main__":
    main()
