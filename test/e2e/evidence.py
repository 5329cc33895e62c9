#!/usr/bin/env python3
"""Evidence: budgets, reports, certificates, recommendations, and the method that chooses methods. Expected values come from
numpy and the package gguf (numpy_llama.py).

    test/e2e/evidence.py BIN
"""
import html.parser
import json
import shutil
import struct
import subprocess
import sys

import gguf
import numpy

from harness import BIN, DEMO, QUICK, ROOT, Case, main
from numpy_llama import Llama, file_name, gguf_order

BLOCK_BYTES = {"f32": (1, 4), "bf16": (1, 2), "f16": (1, 2), "q4_0": (32, 18), "q5_0": (32, 22), "q8_0": (32, 34), "q2_k": (256, 84),
               "q3_k": (256, 110), "q4_k": (256, 144), "q5_k": (256, 176), "q6_k": (256, 210), "iq4_xs": (256, 136), "iq4_nl": (32, 18)}


def stories(path, seed, count):
    with open(path, "w") as out:
        subprocess.run([sys.executable, ROOT / "scripts/demo-model/stories.py", "--seed", str(seed), "--count", str(count)],
                       stdout=out, check=True)
    return path


def write_sequences(path, sequences):
    path.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in sequences))


class Budgets(Case):
    CANDIDATES = ["q4_0", "q5_0", "q8_0"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.llama = Llama(DEMO)
        text = stories(cls.folder / "text.txt", 20000000, 8)
        ids = json.loads(subprocess.run([BIN / "quantc", "tokenize", DEMO, "--file", text, "--json"], capture_output=True,
                                        check=True).stdout)["ids"]
        cls.sequences = [ids[i * 48 : i * 48 + 48] for i in range(2)]
        cls.calibration = cls.folder / "ids.jsonl"
        write_sequences(cls.calibration, cls.sequences)
        # Whatever quantizes: what is stored is decoded by the package gguf.
        cls.rounded = {}
        for spec in cls.CANDIDATES:
            subprocess.run([BIN / "quantc", "quantize", DEMO, "-o", cls.folder / "one.gguf", "--format", spec], capture_output=True, check=True)
            cls.rounded[spec] = cls.llama.stored(cls.folder / "one.gguf")
        cls.quantize = ["quantize", DEMO, "--calib", cls.calibration, "--budget-tokens", "96", "--calib-length", "48",
                        "--candidates", ",".join(cls.CANDIDATES)]

    def changed(self, formats):
        return {name: self.rounded[spec][name] for name, spec in formats.items()}

    @staticmethod
    def optimum(tensors, limit):
        """The least sum of divergences within the bytes: every sum of bytes with its best."""
        sums = {0: 0.0}
        for tensor in tensors:
            after = {}
            for size, harm in sums.items():
                for one in tensor["candidates"]:
                    key = size + int(one["bytes"])
                    if key <= limit:
                        after[key] = min(after.get(key, numpy.inf), harm + one["kl_divergence"])
            sums = after
        return min(sums.values())

    def test_size(self):
        made = self.result(*self.quantize, "-o", "made.gguf", "--budget", "5.5bpw", "--save-policy", "policy.json", "--report", "r.json",
                           keys=["budget", "report"])
        report = json.loads((self.folder / "r.json").read_text())
        budget = report["budget"]
        self.assertEqual(budget["tokens"], 96)
        self.assertEqual([t["name"] for t in budget["tensors"]], self.llama.matrices)
        weights = {name: self.llama.weights[file_name(name)].size for name in self.llama.matrices}
        # Sizes by the layout of the blocks; divergences by the model in numpy.
        for tensor in budget["tensors"]:
            self.assertEqual([one["format"] for one in tensor["candidates"]], self.CANDIDATES)
            for one in tensor["candidates"]:
                count, size = BLOCK_BYTES[one["format"]]
                self.assertEqual(one["bytes"], weights[tensor["name"]] // count * size)
        sensitivity = {t["name"]: {one["format"]: one["kl_divergence"] for one in t["candidates"]} for t in budget["tensors"]}
        for name, spec in (("token_embd", "q4_0"), ("blk.0.ffn_down", "q4_0"), ("blk.2.attn_k", "q5_0"), ("blk.4.attn_q", "q4_0")):
            expected = self.llama.divergence(self.sequences, self.changed({name: spec}))
            self.assertLess(abs(sensitivity[name][spec] / expected - 1), 0.01, (name, spec))
        # The allocation is the best of all within the budget.
        limit = int(5.5 * sum(weights.values()) / 8)
        chosen = {t["name"]: t["chosen"] for t in budget["tensors"]}
        size = sum(weights[name] // BLOCK_BYTES[spec][0] * BLOCK_BYTES[spec][1] for name, spec in chosen.items())
        self.assertLessEqual(size, limit)
        best = self.optimum(budget["tensors"], limit)
        self.assertAlmostEqual(budget["predicted_kl_divergence"] / best, 1, delta=1e-12)
        self.assertAlmostEqual(sum(sensitivity[name][spec] for name, spec in chosen.items()) / best, 1, delta=1e-12)
        vectors = 4 * sum(w.size for w in self.llama.weights.values() if w.ndim == 1)
        self.assertEqual((budget["bytes"], made["bytes"]), (size + vectors, size + vectors))
        # What was measured as a whole; formats for all.
        self.assertLess(abs(budget["rounded_kl_divergence"] / self.llama.divergence(self.sequences, self.changed(chosen)) - 1), 0.01)
        self.assertEqual(budget["measured_kl_divergence"], budget["rounded_kl_divergence"], "rounding is what was written")
        uniform = {point["format"]: point["kl_divergence"] for point in budget["uniform"]}
        expected = self.llama.divergence(self.sequences, self.changed(dict.fromkeys(chosen, "q5_0")))
        self.assertLess(abs(uniform["q5_0"] / expected - 1), 0.01)
        self.assertLess(budget["rounded_kl_divergence"], uniform["q5_0"], "5.5 bits are those of q5_0")
        # The policy says the same, and an edited one is followed.
        self.done("quantize", DEMO, "-o", "again.gguf", "--policy", "./policy.json")
        self.assertEqual((self.folder / "made.gguf").read_bytes(), (self.folder / "again.gguf").read_bytes())
        policy = json.loads((self.folder / "policy.json").read_text())
        policy["rules"] = [{"name": "blk.1.attn_q", "format": "q8_0"}] + policy["rules"]
        (self.folder / "policy.json").write_text(json.dumps(policy))
        edited = self.result("quantize", DEMO, "-o", "edited.gguf", "--policy", "./policy.json")
        self.assertEqual({t["name"]: t["format"] for t in edited["tensors"]}["blk.1.attn_q.weight"], "q8_0")

    def test_other_methods_are_measured_as_written(self):
        for method in ("gptq", "awq+gptq"):
            made = self.result(*self.quantize, "-o", "learned.gguf", "--budget", "5.5bpw", "--method", method)["budget"]
            written = self.llama.stored(self.folder / "learned.gguf", everything=True)
            expected = self.llama.divergence(self.sequences, written)
            self.assertLess(abs(made["measured_kl_divergence"] / expected - 1), 0.01, method)
            self.assertGreater(abs(made["rounded_kl_divergence"] / expected - 1), 0.1, method)
        artifact = self.result("compile", *self.quantize[1:], "-o", "learned.qm", "--budget", "5.5bpw", "--method", "gptq")["budget"]
        self.assertIsNone(artifact["measured_kl_divergence"], "kernels round activations too")

    def test_candidates_that_not_all_can_hold(self):
        """Rows of 320 hold no blocks of 256: there the next size is taken."""
        model = self.model("few.gguf", "--arch", "llama", "--hidden", "256", "--ffn", "320")
        ids = self.folder / "few.jsonl"
        write_sequences(ids, [[i * 7 % 48 for i in range(48)]])
        self.done("quantize", model, "--calib", ids, "--calib-length", "48", "--budget-tokens", "48", "--candidates", "q4_k,q5_k,q8_0",
                  "-o", "uneven.gguf", "--budget", "7bpw", "--report", "uneven.json")
        budget = json.loads((self.folder / "uneven.json").read_text())["budget"]
        uniform = {point["format"]: point["bytes"] for point in budget["uniform"]}
        self.assertEqual(list(uniform), ["q4_k", "q5_k", "q8_0"])
        bytes_of = [{one["format"]: one["bytes"] for one in t["candidates"]} for t in budget["tensors"]]
        self.assertEqual(sum("q4_k" not in one for one in bytes_of), 2, "ffn_down of two layers")
        for spec in ("q4_k", "q5_k"):
            less = sum(one["q8_0"] - one.get(spec, one["q8_0"]) for one in bytes_of)
            self.assertEqual(uniform["q8_0"] - uniform[spec], less)

    def test_bytes_and_divergence(self):
        threads = [self.result(*self.quantize, "-o", f"t{n}.gguf", "--budget", "2.8MB", "--threads", str(n)) for n in (1, 2)]
        self.assertEqual(threads[0]["budget"], threads[1]["budget"], "whatever the number of threads")
        self.assertLessEqual(threads[0]["bytes"], 2.8e6)
        self.assertGreater(threads[0]["bytes"], 2.7e6)
        made = self.result(*self.quantize, "-o", "d.gguf", "--budget", "kld=0.0005", "--report", "d.json")
        chosen = {t["name"]: t["chosen"] for t in json.loads((self.folder / "d.json").read_text())["budget"]["tensors"]}
        measured = self.llama.divergence(self.sequences, self.changed(chosen))
        self.assertLessEqual(measured, 0.0005 * 1.02)
        self.assertLess(made["bytes"], 34 / 32 * sum(w.size for w in self.llama.weights.values()))
        artifact = self.result("compile", *self.quantize[1:], "-o", "d.qm", "--budget", "6bpw")
        self.assertLessEqual(artifact["budget"]["bits_per_weight"], 6)

    def test_default_text(self):
        status, _, error = self.run_quantc("quantize", DEMO, "-o", "default.gguf", "--budget", "6bpw", "--candidates", "q4_0,q8_0",
                                           "--budget-tokens", "64")
        self.assertEqual((status, "text that comes with quantc" in error), (0, True), error)

    def test_refused(self):
        plain = ["quantize", DEMO, "-o", "x.gguf"]
        for wrong in ("4", "bpw", "-1bpw", "4 bpw", "kld=", "kld=0", "nanbpw", "1e999GB", "4GBB"):
            self.refused(*plain, "--budget", wrong, "--calib", self.calibration, status=2, says="expected bits per weight")
        self.refused(*plain, "--budget", "4bpw", "--format", "q8_0", status=2, says="--format")
        self.refused(*self.quantize, "-o", "x.gguf", "--budget", "4bpw", says=["smallest that the candidates allow", "4.5000 bits"])
        self.refused(*self.quantize, "-o", "x.gguf", "--budget", "kld=1e-9", says=["do not allow it", "least that was measured"])
        self.refused(*plain, "--budget", "4bpw", "--calib", self.calibration, "--candidates", "ghost", says="ghost")
        self.refused(*plain, "--budget", "4bpw", "--calib", "none.txt", says="none.txt")
        self.refused(*plain, "--budget", "4bpw", "--calib", "s.safetensors", says="give the text by --calib")
        self.refused(*plain, "--format", "q8_0", "--save-policy", "p.json", says="--budget")
        self.refused("quantize", DEMO, "-o", "x", "--container", "gptq", "--budget", "4bpw", "--calib", self.calibration, says="holds one format")
        bad = self.folder / "bad.jsonl"
        write_sequences(bad, [[1, 2, 99999]])
        self.refused(*plain, "--budget", "4bpw", "--calib", bad, says="outside the vocabulary")
        bad.unlink()


class Page(html.parser.HTMLParser):
    """Whether tags match, and what a page would fetch."""
    EMPTY = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.fetched = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for key, value in attributes if key in ("src", "href", "xlink:href", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


class Reports(Case):
    def test_quantize(self):
        llama = Llama(DEMO)
        text = self.folder / "text.txt"
        text.write_text((DEMO / "heldout.txt").read_text()[:4000])
        self.done("quantize", DEMO, "-o", "made.gguf", "--policy", "q4_0", "--report", "report.html", "--report-text", text, "--report-ctx", "128")
        report = json.loads((self.folder / "report.json").read_text())
        stored = {t.name: t for t in gguf.GGUFReader(self.folder / "made.gguf").tensors}
        self.assertEqual({t["name"] for t in report["tensors"]}, set(stored))
        for tensor in report["tensors"]:
            found = stored[tensor["name"]]
            self.assertEqual(tensor["bytes"], found.n_bytes, tensor["name"])
            name = tensor["name"].removesuffix(".weight")
            if len(tensor["shape"]) < 2:
                self.assertEqual((tensor["method"], tensor["nmse"]), ("", 0))
                continue
            source = llama.weights[file_name(name)].astype("f8")
            if heads := llama.heads_of(name):
                source = gguf_order(source, heads)
            made = gguf.quants.dequantize(found.data, found.tensor_type).astype("f8").reshape(source.shape)
            self.assertAlmostEqual(tensor["nmse"] / (((made - source) ** 2).sum() / (source**2).sum()), 1, delta=1e-9)
            self.assertEqual(tensor["method"], "rtn")
            self.assertAlmostEqual(tensor["bits_per_weight"], found.n_bytes * 8 / source.size, delta=1e-12)
            rms = numpy.sqrt((source**2).mean())
            self.assertAlmostEqual(tensor["rms"] / rms, 1, delta=1e-9)
            self.assertAlmostEqual(tensor["largest"], abs(source).max())
            self.assertAlmostEqual(tensor["kurtosis"] / ((source**4).mean() / rms**4), 1, delta=1e-9)
            self.assertEqual(tensor["outliers"], int((abs(source) > 6 * rms).sum()))
            places = numpy.clip(numpy.floor((source / rms + 4) * 5), 0, 39).astype(int).ravel()
            off = numpy.abs(numpy.bincount(places, minlength=40) - numpy.array(tensor["histogram"])).sum()
            self.assertLessEqual(off, 4, "but for numbers at the edge of a bin")
        evaluation = report["evaluation"]
        before = self.result("perplexity", DEMO, "--precision", "float", "--text", text, "--ctx", "128")
        self.assertEqual((evaluation["tokens"], evaluation["before"]["perplexity"]), (before["tokens"], before["perplexity"]))
        self.done("compile", DEMO, "-o", "plain.qm", "--precision", "float", *QUICK)
        after = self.result("perplexity", "made.gguf", "--precision", "float", "--text", text, "--ctx", "128", "--reference", "plain.qm")
        self.assertEqual(evaluation["after"], {key: after[key] for key in ("perplexity", "kl_divergence", "top1")})
        page, parser = (self.folder / "report.html").read_text(), Page()
        parser.feed(page)
        parser.close()
        self.assertEqual((parser.open, parser.fetched), ([], []))
        self.assertNotIn("script", parser.tags)
        self.assertNotIn("url(", page)
        self.assertNotIn("@import", page)
        self.assertGreater(parser.tags.count("svg"), 36)
        for part in ("blk.4.ffn_down", f"{evaluation['after']['perplexity']:.4f}"):
            self.assertIn(part, page)

    def test_compile_and_directory(self):
        self.done("compile", DEMO, "-o", "made.qm", "--format", "int:4:g64", "--report", "c.json")
        report = json.loads((self.folder / "c.json").read_text())
        tensors = {t["name"]: t for t in report["tensors"]}
        inspected = self.result("inspect", "made.qm")
        for t in inspected["tensors"]:
            self.assertEqual((tensors[t["name"]]["bytes"], tensors[t["name"]]["format"]), (t["bytes"], t["format"]))
        self.assertEqual(tensors["blk.0.attn_q"]["nmse"], inspected["certificate"]["weights"]["blk.0.attn_q"]["nmse"])
        self.assertGreater(tensors["blk.0.attn_q"]["rms"], 0)
        self.done("quantize", DEMO, "-o", "folder", "--container", "gptq", "--format", "int:4:g64", "--report", "f.json")
        folder = {t["name"]: t for t in json.loads((self.folder / "f.json").read_text())["tensors"]}
        self.assertAlmostEqual(folder["model.layers.0.self_attn.q_proj.weight"]["nmse"] / tensors["blk.0.attn_q"]["nmse"], 1, delta=1e-12)
        self.assertEqual(folder["model.norm.weight"]["method"], "")

    def test_refused(self):
        quantize = ["quantize", DEMO, "-o", "x.gguf", "--format", "q8_0"]
        self.refused(*quantize, "--report", "r.pdf", says="a page (.html)")
        self.refused(*quantize, "--report", "none/r.html", says="none/r.html")
        self.refused(*quantize, "--report-text", DEMO / "heldout.txt", says="--report")
        self.refused(*quantize, "--report", "r.html", "--report-text", "none.txt", says="none.txt")


class Certificates(Case):
    def compiled(self, name, *options):
        self.done("compile", DEMO, "-o", name, *options)
        return self.folder / name

    def refused_with(self, content, *arguments, says):
        damaged = self.folder / "damaged.qm"
        damaged.write_bytes(content)
        self.refused("verify", damaged, *arguments, says=says)
        damaged.unlink()

    @staticmethod
    def place(content, tensor):
        size = struct.unpack("<Q", content[:8])[0]
        return 8 + size + json.loads(content[8 : 8 + size])[tensor]["data_offsets"][0]

    def test_rounding(self):
        path = self.compiled("made.qm", "--policy", "q4_k_m")
        alone = self.result("verify", path)
        self.assertEqual((alone["verified"], alone["sources"], alone["identical"]), (True, 0, 0))
        self.assertEqual(len(alone["not_checked"]), 1)
        whole = self.result("verify", path, "--source", DEMO)
        self.assertEqual((whole["tensors"], whole["identical"], whole["not_checked"]), (alone["tensors"], alone["tensors"], []))
        self.assertEqual((whole["sources"], whole["errors"]), (47, 36))
        # Another directory with the same content is the same source.
        content = path.read_bytes()
        for tensor in ("weight.blk.2.ffn_up", "tokenizer", "code." + next(iter(self.manifest(content)["targets"]))):
            at = self.place(content, tensor) + 100
            self.refused_with(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], says=["damaged.qm", tensor, "hash differs"])
        at = content.index(b"rtn")
        self.refused_with(content[:at] + b"rtm" + content[at + 3 :], says="manifest is not what was written")
        # Hashes that were made to fit: what the source says is another thing.
        self.refused("verify", path, "--source", "none", says="none")
        self.refused("verify", path, "--source", DEMO, "--calib", DEMO / "heldout.txt", says="learned from no text")
        self.refused("verify", DEMO / "config.json", says="config.json")
        self.refused("verify", DEMO / "model.safetensors", says="no manifest")

    @staticmethod
    def manifest(content):
        size = struct.unpack("<Q", content[:8])[0]
        return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["quantc"])

    def test_changed_source(self):
        path = self.compiled("made.qm", "--format", "int:4:g64")
        copy = self.folder / "copy"
        shutil.copytree(DEMO, copy)
        self.done("verify", path, "--source", copy)
        weights = bytearray((copy / "model.safetensors").read_bytes())
        at = self.place(bytes(weights), "model.layers.3.mlp.up_proj.weight")
        weights[at] ^= 1
        (copy / "model.safetensors").write_bytes(weights)
        self.refused("verify", path, "--source", copy, says=["blk.3.ffn_up", "other numbers"])
        shutil.rmtree(copy)
        other = self.model("other", "--arch", "llama")
        self.refused("verify", path, "--source", other, says="other")
        shutil.rmtree(other)

    def test_learned(self):
        text = stories(self.folder / "text.txt", 20000000, 20)
        path = self.compiled("made.qm", "--format", "int:4:g64", "--method", "gptq", "--calib", text, "--calib-sequences", "4",
                             "--calib-length", "128", "--gptq-act-order")
        recipe = self.result("verify", path)["recipe"]
        self.assertEqual((recipe["method"], recipe["gptq"]["act_order"], recipe["calibration"]["sequences"]), ("gptq", True, 4))
        without = self.result("verify", path, "--source", DEMO)
        self.assertEqual((without["errors"], without["identical"]), (36, 0))
        self.assertIn("text.txt", without["not_checked"][0])
        whole = self.result("verify", path, "--source", DEMO, "--calib", text)
        self.assertEqual((whole["identical"], whole["not_checked"]), (whole["tensors"], []))
        self.refused("verify", path, "--source", DEMO, "--calib", DEMO / "heldout.txt", says="not what the recipe learned from")
        # Another --method gives other bytes than the certificate's, though each artifact fits itself.
        scaled = self.compiled("awq.qm", "--format", "int:4:g64", "--method", "awq", "--calib", text, "--calib-sequences", "4",
                               "--calib-length", "128")
        whole = self.result("verify", scaled, "--source", DEMO, "--calib", text)
        self.assertEqual((whole["identical"], whole["errors"]), (whole["tensors"], 0))

    def test_edited_phase(self):
        options = ["--format", "q8_0", "--dump-phases=phases"]
        self.done("compile", DEMO, "-o", "first.qm", *options)
        graph = self.folder / "phases" / "4-graph.mlir"
        text = graph.read_text()
        self.assertIn("eps 9.99999974E-6", text)
        graph.write_text(text.replace("eps 9.99999974E-6", "eps 1.000000e-03"))
        self.done("compile", DEMO, "-o", "edited.qm", *options, "--from", "graph")
        self.done("verify", "edited.qm")
        self.refused("verify", "edited.qm", "--source", DEMO, says="not what the recipe gives")


class Recommendations(Case):
    SEVEN_B = {"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008,
               "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "model_type": "llama"}

    def test_configuration_alone(self):
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.SEVEN_B))
        found = self.result("recommend", config, "--memory", "6G")
        self.assertEqual(found["parameters"], 6738415616)
        self.assertEqual(found["kv_cache_bytes"], 2 * 32 * 4096 * 4096 * 2)
        vectors = 65 * 4096
        matrices = 6738415616 - vectors
        for row in found["bits"]:
            self.assertEqual(row["file_bytes"], matrices * row["bits_per_weight"] / 8 + 4 * vectors)
        self.assertEqual([row["bits_per_weight"] for row in found["bits"]], [16, 8, 4, 3, 2])
        formats = {row["format"]: row for row in found["formats"]}
        for spec, (count, size) in BLOCK_BYTES.items():
            self.assertEqual(formats[spec]["file_bytes"], matrices / count * size + 4 * vectors, spec)
        names = {path.stem for path in (ROOT / "formats").glob("*.qf")}
        self.assertEqual({spec.split(":")[0] for spec in formats}, names)
        self.assertGreater(found["read_bandwidth_bytes_s"], 1e8)
        candidates = {spec for row in json.loads((ROOT / "formats/candidates.json").read_text())["rows"] for spec in row}
        fitting = [row for row in found["formats"] if row["fits"] and row["format"] in candidates]
        self.assertEqual(formats[found["recommended"]["format"]]["bits_per_weight"], max(row["bits_per_weight"] for row in fitting))
        self.assertIn("not measured", found["why"])
        for row in found["formats"]:
            self.assertEqual(row["fits"], row["memory_bytes"] is not None and row["memory_bytes"] <= 6e9)
        # Blocks of kernel storage are those of the files, which hold whole blocks of 16 rows and 256 columns here.
        self.assertEqual(formats["q8_0"]["memory_bytes"], matrices / 32 * 34 + 4 * vectors + found["kv_cache_bytes"])
        none = self.result("recommend", config, "--memory", "1G")
        self.assertIsNone(none["recommended"])
        text = self.done("recommend", config, "--memory", "6G")
        self.assertIn("q4_k", text)
        self.refused("recommend", config, "--text", DEMO / "heldout.txt", says="no weights whose quality")
        config.unlink()

    def test_configuration_agrees_with_the_model(self):
        ask = ["--memory", "1G", "--ctx", "512"]
        config, model = self.result("recommend", DEMO / "config.json", *ask), self.result("recommend", DEMO, *ask)
        for key in ("parameters", "kv_cache_bytes", "context"):
            self.assertEqual(config[key], model[key])
        self.assertEqual([(r["format"], r["file_bytes"], r["memory_bytes"]) for r in config["formats"]],
                         [(r["format"], r["file_bytes"], r["memory_bytes"]) for r in model["formats"]])

    def test_quality(self):
        text = self.folder / "text.txt"
        text.write_text((DEMO / "heldout.txt").read_text()[:3000])
        found = self.result("recommend", DEMO, "--memory", "20M", "--text", text, "--text-ctx", "128", "--formats", "q4_0,q8_0,f16",
                            "--ctx", "512")
        self.assertEqual([(row["format"], row["method"]) for row in found["quality"]], [(f, "rtn") for f in ("q4_0", "q8_0", "f16")])
        best = min(found["quality"], key=lambda row: row["kl_divergence"])
        self.assertEqual(found["recommended"], {"format": best["format"], "method": "rtn"})
        # Less memory: the best of those that fit.
        formats = {row["format"]: row for row in found["formats"]}
        found = self.result("recommend", DEMO, "--memory", str(int(formats["q8_0"]["memory_bytes"])), "--text", text, "--text-ctx", "128",
                            "--formats", "q4_0,q8_0,f16", "--ctx", "512")
        self.assertEqual(found["recommended"]["format"], "q8_0")
        self.done("compile", DEMO, "-o", "plain.qm", "--precision", "float", *QUICK)
        one = self.result("perplexity", DEMO, "--format", "q4_0", "--precision", "float", "--text", text, "--ctx", "128", "--reference", "plain.qm")
        self.assertEqual(found["quality"][0]["kl_divergence"], one["kl_divergence"])

    def test_refused(self):
        config = self.folder / "wrong.json"
        for content, says in (("{", "wrong.json"), ("{}", "names no architecture"), ({**self.SEVEN_B, "architectures": ["Ghost"]}, "Ghost"),
                              ({k: v for k, v in self.SEVEN_B.items() if k != "vocab_size"}, "vocab_size"),
                              ({**self.SEVEN_B, "hidden_size": -1}, "wrong.json")):
            config.write_text(content if isinstance(content, str) else json.dumps(content))
            self.refused("recommend", config, says=says)
        self.refused("recommend", "none", says="none")
        self.refused("recommend", DEMO, "--memory", "much", status=2, says="memory")
        self.refused("recommend", DEMO, "--calib", DEMO / "heldout.txt", status=2, says="--text")
        config.unlink()


class Auto(Case):
    def test_chooses(self):
        text = stories(self.folder / "text.txt", 20000000, 40)
        policy = self.folder / "policy.json"
        policy.write_text(json.dumps({"format": "int:3:g64", "rules": [{"tensor": "output", "format": "f16"}]}))
        calibration = ["--calib", text, "--calib-sequences", "16", "--calib-length", "256"]
        self.done("compile", DEMO, "-o", "plain.qm", "--precision", "float", *QUICK)

        def divergence(*options):
            self.done("compile", DEMO, "-o", "made.qm", "--precision", "float", *QUICK, "--policy", policy, *options)
            return self.result("perplexity", "made.qm", "--text", DEMO / "heldout.txt", "--ctx", "256", "--chunks", "16", "--reference",
                               "plain.qm")["kl_divergence"]
        chosen = divergence("--method", "auto", *calibration)
        methods = {name: w["method"] for name, w in self.result("inspect", "made.qm")["certificate"]["weights"].items()}
        self.assertEqual(len(methods), 36)
        self.assertLessEqual(set(methods.values()), {"rtn", "imatrix", "gptq", "gptq:act-order"})
        self.assertEqual(methods["token_embd"], "rtn", "a table has no input")
        self.assertIn("gptq:act-order", methods.values())
        self.assertLess(chosen, 0.5 * divergence())
        # It has learned from three of four sequences only.
        self.assertLess(chosen, 1.5 * divergence("--method", "gptq", *calibration))
        self.done("verify", "made.qm", "--source", DEMO)

    def test_refused(self):
        text = self.folder / "ids.jsonl"
        write_sequences(text, [[1, 2, 3]])
        quantize = ["quantize", DEMO, "-o", "x.gguf", "--format", "q8_0", "--method", "auto"]
        self.refused(*quantize, "--calib", text, says="one sequence")
        self.refused(*quantize, "--calib", "s.safetensors", says="sequences that it does not learn from")


if __name__ == "__main__":
    main()
