#!/usr/bin/env python3
"""Budgets of memory: what is planned, what is measured, what is refused; and progress that programs read.

    test/e2e/memory.py BIN
"""
import json
import math
import pathlib
import random
import re
import struct
import time

from harness import DEMO, Case, main, safetensors

GPTQ = ["--format", "q4_k", "--method", "gptq", "--calib", DEMO / "heldout.txt", "--calib-sequences", "8",
        "--calib-length", "256"]


def with_factors(options):
    return [{"gptq": "awq+gptq"}.get(option, option) for option in options]


def private_bytes(pid):
    """What no file backs, of a process and those that it started."""
    pids, total = {str(pid)}, 0
    for status in sorted(pathlib.Path("/proc").glob("[0-9]*/status"), key=lambda path: int(path.parent.name)):
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent, anonymous = re.search(r"PPid:\s+(\d+)", text), re.search(r"RssAnon:\s+(\d+) kB", text)
        if status.parent.name in pids or parent[1] in pids:
            pids.add(status.parent.name)
            total += int(anonymous[1]) * 1024 if anonymous else 0
    return total


def write_large(folder):
    """A model of one layer whose linears have 16 million numbers: eight bytes of each are 134 MB."""
    hidden, ffn, vocab = 512, 32768, 64
    source = random.Random(1)
    some = b"".join(struct.pack("<f", source.uniform(-0.1, 0.1))[2:] for _ in range(1 << 16))
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    layer = {"input_layernorm": [hidden], "post_attention_layernorm": [hidden], "mlp.gate_proj": [ffn, hidden],
             "mlp.up_proj": [ffn, hidden], "mlp.down_proj": [hidden, ffn]}
    layer |= {f"self_attn.{name}_proj": [hidden, hidden] for name in "qkvo"}
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(header, (some * (at // len(some) + 1))[:at]))
    (folder / "config.json").write_text(json.dumps(
        {"architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": 1,
         "num_attention_heads": 8, "vocab_size": vocab, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu"}))


class Memory(Case):
    def peak_of(self, *arguments):
        process = self.start(*arguments)
        peak = 0
        while process.poll() is None:
            peak = max(peak, private_bytes(process.pid))
            time.sleep(0.01)
        self.assertEqual(process.returncode, 0, process.stderr.read())
        process.stdout.close()
        process.stderr.close()
        return peak

    def test_plan_is_what_is_measured(self):
        for method in (GPTQ, ["--format", "q4_k"], with_factors(GPTQ)):
            plan = self.result("quantize", DEMO, "-o", "planned.gguf", "--threads", "2", *method, "--dry-run",
                               keys=["memory_bytes", "least_memory_bytes", "scratch_bytes", "output_bytes", "seconds",
                                     "phases"])
            self.assertFalse((self.folder / "planned.gguf").exists(), "a dry run writes nothing")
            self.assertGreater(plan["seconds"], 0)
            peak = self.peak_of("quantize", DEMO, "-o", "measured.gguf", "--threads", "2", *method)
            ratio = plan["memory_bytes"] / peak
            self.assertTrue(0.8 < ratio < 1.8, f"{method}: planned {plan['memory_bytes']}, measured {peak}")
            written = (self.folder / "measured.gguf").stat().st_size
            self.assertTrue(0.8 < plan["output_bytes"] / written <= 1, (plan["output_bytes"], written))

    def check_budget(self, method):
        quantize = ["quantize", self.shallow()]
        plan = self.result(*quantize, "-o", "out.gguf", "--threads", "1", *method, "--dry-run")
        least = plan["least_memory_bytes"]
        self.done(*quantize, "-o", "free.gguf", *method)
        # What a process has before it begins differs by some hundred KB from run to run.
        peak = self.peak_of(*quantize, "-o", "tight.gguf", "--threads", "1", *method, "--memory-budget", str(least + (1 << 21)))
        self.assertEqual((self.folder / "free.gguf").read_bytes(), (self.folder / "tight.gguf").read_bytes())
        self.assertLess(peak, least * 1.1)

    def test_budget_changes_no_byte(self):
        self.check_budget(GPTQ)

    def test_factors_before_feedback_keep_the_budget(self):
        self.check_budget(with_factors(GPTQ))
        self.check_budget(with_factors(GPTQ) + ["--held-out"])

    def test_statistics_of_a_file_keep_the_budget(self):
        self.done("calibrate", self.shallow(), "-o", "statistics.safetensors", *GPTQ[4:])
        self.check_budget([*with_factors(GPTQ[:4]), "--calib", "statistics.safetensors"])

    def test_weights_of_directories_come_in_windows(self):
        write_large(self.folder / "large")
        written = self.peak_of("quantize", "large", "-o", "first", "--container", "gptq", "--format", "int:4:g128")
        self.assertLess(written, 180e6)
        read = self.peak_of("quantize", "first", "-o", "other", "--container", "gptq", "--format", "int:8:g128", "--allow-requantize")
        self.assertLess(read, 180e6)
        # There and back again.
        self.assertLess(self.peak_of("convert", "first", "-o", "second", "--container", "gptq_v2"), 180e6)
        self.done("convert", "second", "-o", "third", "--container", "gptq")
        first, third = (sorted((self.folder / name).glob("*.safetensors")) for name in ("first", "third"))
        self.assertEqual([path.read_bytes() for path in first], [path.read_bytes() for path in third])

    def test_calibrate(self):
        calibrate = ["calibrate", DEMO, *GPTQ[4:]]
        status, _, error = self.run_quantc(*calibrate, "-o", "free.safetensors", "--memory-budget", "10M")
        least = int(re.search(r"a memory budget of 10 MB is too small: this takes at least (\d+) MB", error)[1]) * 10**6
        self.assertEqual(status, 1)
        self.done(*calibrate, "-o", "free.safetensors")
        tight = self.peak_of(*calibrate, "-o", "tight.safetensors", "-t", "1", "--memory-budget", str(least))
        self.assertLess(tight, least * 1.1)
        self.assertEqual((self.folder / "free.safetensors").read_bytes(), (self.folder / "tight.safetensors").read_bytes())

    def test_plan_of_an_artifact(self):
        of_file = self.result("quantize", DEMO, "-o", "x.gguf", *GPTQ, "--dry-run")
        of_artifact = self.result("compile", DEMO, "-o", "x.qm", *GPTQ, "--dry-run", keys=list(of_file))
        for key in ("output_bytes", "scratch_bytes"):
            self.assertEqual(of_artifact[key], of_file[key])
        self.assertFalse((self.folder / "x.gguf").exists() or (self.folder / "x.qm").exists(), "a dry run writes nothing")
        self.refused("compile", DEMO, "-o", "x.qm", "--dry-run", "--method", "llm-int8", says="is known when the model has read")

    def test_plan_of_a_budget(self):
        budget = ["--budget", "5bpw", "--calib", DEMO / "heldout.txt", "--candidates", "q4_0,q8_0", "--threads", "2"]
        plan = self.result("compile", DEMO, "-o", "x.qm", "--dry-run", *budget, "--budget-tokens", "1024")
        of_file = self.result("quantize", DEMO, "-o", "x.gguf", "--dry-run", *budget, "--budget-tokens", "1024")
        for key in ("memory_bytes", "scratch_bytes"):
            self.assertLess(abs(of_file[key] / plan[key] - 1), 0.2, key)
        more = self.result("quantize", DEMO, "-o", "x.gguf", "--dry-run", *budget, "--budget-tokens", "2048")
        run, longer = (one["phases"][0] for one in (of_file, more))
        self.assertEqual((run["name"], 2 * run["operations"]), ("run the model", longer["operations"]), "twice the tokens")
        self.assertFalse([path for path in self.folder.iterdir() if path.name.startswith("x.")], "a dry run writes nothing")
        peak = self.peak_of("quantize", DEMO, "-o", "made.gguf", *budget, "--budget-tokens", "1024")
        self.assertTrue(0.6 < of_file["memory_bytes"] / peak < 1.8, (of_file["memory_bytes"], peak))

    def test_budgets_that_do_not_do(self):
        quantize = ["quantize", DEMO, "-o", "out.gguf", *GPTQ]
        self.refused(*quantize, "--memory-budget", "10M",
                     says=["a memory budget of 10 MB is too small", "at least", "MB"])
        self.refused(*quantize, "--memory-budget", "10M", "--dry-run", says="a memory budget of 10 MB is too small")
        for wrong in ("0", "-1", "much", "3X", ""):
            self.refused(*quantize, "--memory-budget", wrong, says="--memory-budget", status=2)

    def test_progress_lines(self):
        status, out, err = self.run_quantc("quantize", DEMO, "-o", "lines.gguf", *GPTQ, "--json")
        self.assertEqual(status, 0, err)
        lines = [json.loads(line) for line in err.splitlines()]
        of_tensors = {line["note"]: line["nmse"] for line in lines if "nmse" in line}
        for tensor in json.loads(out)["tensors"]:
            if tensor["method"] == "gptq":
                self.assertEqual(of_tensors[tensor["name"].removesuffix(".weight")], tensor["nmse"])
        self.assertTrue(all(0 < line["done"] <= line["total"] and line["seconds_left"] >= 0 for line in lines))
        # Compiling says the same of the weights that it encodes.
        status, _, err = self.run_quantc("compile", DEMO, "-o", "lines.qm", *GPTQ, "--json")
        self.assertEqual(status, 0, err)
        encoded = [line for line in map(json.loads, err.splitlines()) if line["phase"] == "encode"]
        learned = {tensor["name"].removesuffix(".weight") for tensor in json.loads(out)["tensors"] if tensor["method"] == "gptq"}
        self.assertEqual({line["note"]: line["nmse"] for line in encoded if line["note"] in learned},
                         {name: of_tensors[name] for name in learned})


if __name__ == "__main__":
    main()
