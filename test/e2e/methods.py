#!/usr/bin/env python3
"""Methods on the demo model: calibration, quality, files, and what is refused.

    test/e2e/methods.py BIN
"""
import json
import shutil
import signal
import struct
import subprocess
import sys
import time

from harness import BIN, DEMO, QUICK, ROOT, Case, main


def tensors(path):
    """Names, types, shapes of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: (t["dtype"], t["shape"]) for name, t in header.items() if name != "__metadata__"}


class Methods(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Stories that neither training nor the held-out text has.
        cls.text = cls.folder / "calibration.txt"
        with open(cls.text, "w") as out:
            subprocess.run([sys.executable, ROOT / "scripts/demo-model/stories.py", "--seed", "20000000", "--count", "60"],
                           stdout=out, check=True)
        # Only the linears of the blocks are quantized.
        cls.policy = cls.folder / "policy.json"
        cls.calibration = ["--calib", cls.text, "--calib-sequences", "24", "--calib-length", "256"]

    def policy_of(self, spec):
        kept = [{"tensor": role, "format": "f16"} for role in ("output", "token_embd")]
        self.policy.write_text(json.dumps({"about": "test", "format": spec, "rules": kept}))
        return self.policy

    def divergence(self, model, *options):
        """From the model in bf16, in nats for each token."""
        plain = self.folder / "plain.qm"
        if not plain.exists():
            self.done("compile", DEMO, "-o", plain, "--precision", "float", *QUICK)
        self.done("compile", model, "-o", "made.qm", "--precision", "float", *QUICK, *options)
        return self.result("perplexity", "made.qm", "--text", DEMO / "heldout.txt", "--ctx", "256", "--chunks", "16",
                           "--reference", plain)["kl_divergence"]

    def test_statistics(self):
        report = self.result("calibrate", DEMO, *self.calibration, "-o", "statistics.safetensors",
                             keys=["output", "sequences", "tokens", "inputs"])
        self.assertEqual((report["sequences"], report["tokens"], report["inputs"]), (24, 24 * 256, 21))
        found = tensors(self.folder / "statistics.safetensors")
        self.assertEqual(found["columns.blk.4.ffn_down"], ("F32", [3, 768]))
        self.assertEqual(found["hessian.blk.0.attn_q"], ("F32", [256, 256]))
        self.done("calibrate", DEMO, *self.calibration, "-o", "again.safetensors", "--threads", "1")
        self.assertEqual((self.folder / "statistics.safetensors").read_bytes(),
                         (self.folder / "again.safetensors").read_bytes(), "whatever the number of threads")
        # The method imatrix needs no more than these, and gets the same from the text.
        self.done("quantize", DEMO, "-o", "a.gguf", "--policy", "q4_k_m", "--method", "imatrix", *self.calibration)
        self.done("quantize", DEMO, "-o", "b.gguf", "--policy", "q4_k_m", "--method", "imatrix", "--calib",
                  "statistics.safetensors", "--threads", "1")
        self.assertEqual((self.folder / "a.gguf").read_bytes(), (self.folder / "b.gguf").read_bytes())

    def test_importance_matrices(self):
        try:
            import gguf
        except ImportError:
            self.skipTest("gguf-py is not installed")
        calibrate = ["calibrate", DEMO, *self.calibration, "-o"]
        for name in ("columns.safetensors", "matrix.gguf", "matrix.dat"):
            self.done(*calibrate, name)
        found = {t.name: t.data.reshape(-1) for t in gguf.GGUFReader(self.folder / "matrix.gguf").tensors}
        # Every weight has an entry, those of one input the same.
        columns = self.values(self.folder / "columns.safetensors", "columns.blk.2.ffn_gate")
        squares = struct.unpack("<768f", columns)[256:512]
        for weight in ("blk.2.ffn_gate.weight", "blk.2.ffn_up.weight"):
            self.assertEqual(list(found[weight + ".counts"]), [24 * 256])
            for sum_, mean in zip(found[weight + ".in_sum2"], squares):
                self.assertAlmostEqual(sum_ / (24 * 256), mean, delta=1e-6 * mean)
        for name in ("columns.safetensors", "matrix.gguf", "matrix.dat"):
            self.done("quantize", DEMO, "-o", f"{name}.gguf", "--policy", "q4_k_m", "--method", "imatrix", "--calib", name)
        made = [(self.folder / f"{name}.gguf").read_bytes() for name in ("matrix.gguf", "matrix.dat")]
        self.assertEqual(*made, "the older kind says the same")

    def test_threads_change_nothing(self):
        for method in ("awq+gptq", "imatrix"):
            for threads in ("1", "2"):
                self.done("quantize", self.shallow(), "-o", f"{threads}.gguf", "--policy", "q4_k_m", "--method", method,
                          *self.calibration[:2], "--calib-sequences", "4", "--calib-length", "256", "--threads", threads)
            self.assertEqual((self.folder / "1.gguf").read_bytes(), (self.folder / "2.gguf").read_bytes(), method)

    def test_goes_on_where_it_was_killed(self):
        command = ["quantize", self.shallow(), "-o", "on.gguf", "--policy", "q4_k_m", "--method", "gptq", "--calib", self.text,
                   "--calib-sequences", "8", "--calib-length", "128"]
        spool = self.folder / "on.gguf.resume"

        def kill(*options):
            """Once three weights are finished."""
            process = self.start(*command, *options)
            while len(list(spool.glob("*.part"))) < 3 and process.poll() is None:
                time.sleep(0.01)
            self.assertIsNone(process.poll(), "ended before it could be killed")
            process.send_signal(signal.SIGSTOP)
            status, _, error = self.run_quantc(*command)
            self.assertEqual((status, "another process works on this output" in error), (1, True), error)
            process.kill()
            process.communicate()

        self.done(*command, "--gptq-damp", "0.02")
        self.assertFalse(spool.exists())
        other = (self.folder / "on.gguf").read_bytes()
        self.done(*command)
        expected = (self.folder / "on.gguf").read_bytes()
        self.assertNotEqual(expected, other)
        for options, says, result in (([], "goes on from", expected), (["--fresh"], None, expected),
                                      (["--gptq-damp", "0.02"], None, other)):
            kill()
            status, _, error = self.run_quantc(*command, *options)
            self.assertEqual(status, 0, error)
            self.assertEqual("goes on from" in error, says is not None, error)
            self.assertEqual((self.folder / "on.gguf").read_bytes(), result)
            self.assertFalse(spool.exists())

    def kill_at(self, spool, parts, command):
        """Once so many parts are finished."""
        process = self.start(*command)
        while len(list(spool.glob("*.part"))) < parts and process.poll() is None:
            time.sleep(0.005)
        self.assertIsNone(process.poll(), "ended before it could be killed")
        process.kill()
        process.communicate()

    def test_another_program_begins_anew(self):
        """What a build with other methods has finished is no part of this work."""
        command = ["quantize", DEMO, "-o", "built.gguf", "--policy", "q4_k_m", "--method", "gptq", "--calib", self.text,
                   "--calib-sequences", "8", "--calib-length", "128"]
        other = self.folder / "other"
        (other / "bin").mkdir(parents=True)
        (other / "share").mkdir()
        (other / "share" / "quantc").symlink_to(BIN.parent / "share" / "quantc")
        (other / "bin" / "quantc").write_bytes((BIN / "quantc").read_bytes() + b"another build")
        (other / "bin" / "quantc").chmod(0o755)
        for program, goes_on in ((other / "bin" / "quantc", False), (BIN / "quantc", True)):
            self.kill_at(self.folder / "built.gguf.resume", 3, command)
            run = subprocess.run([program, *command], cwd=self.folder, env=self.environment, capture_output=True, text=True)
            self.assertEqual((run.returncode, "goes on from" in run.stderr), (0, goes_on), run.stderr)

    def test_calibration_goes_on(self):
        spool = self.folder / "on.safetensors.resume"
        command = ["calibrate", DEMO, *self.calibration, "-o", "on.safetensors"]
        self.done(*command)
        self.assertFalse(spool.exists())
        expected = (self.folder / "on.safetensors").read_bytes()
        for parts in (3, 12, 30):  # of 21 inputs two parts each, and activations
            self.kill_at(spool, parts, command)
            status, _, error = self.run_quantc(*command)
            self.assertEqual((status, "goes on from" in error), (0, True), error)
            self.assertEqual((self.folder / "on.safetensors").read_bytes(), expected)
            self.assertFalse(spool.exists())
        self.kill_at(spool, 3, command)
        status, _, error = self.run_quantc(*command, "--fresh")
        self.assertEqual((status, "goes on from" in error), (0, False), error)
        self.kill_at(spool, 3, command)
        status, _, error = self.run_quantc(*command[:-1], "on.gguf")
        self.assertEqual((status, "goes on from" in error), (0, False), "that is another output")

    def test_budget_goes_on(self):
        spool = self.folder / "b.gguf.budget.resume"
        command = ["quantize", DEMO, "-o", "b.gguf", "--budget", "5bpw", "--candidates", "q4_0,q8_0", "--calib", self.text,
                   "--calib-length", "64", "--budget-tokens", "256"]
        expected = self.result(*command)
        self.kill_at(spool, 20, command)
        status, out, error = self.run_quantc(*command, "--json")
        self.assertEqual((status, "goes on from" in error), (0, True), error)
        self.assertEqual(json.loads(out), expected)
        self.assertFalse(spool.exists())
        self.assertEqual(list(self.temporary.iterdir()), [], "a kill leaves nothing elsewhere")

    def test_calibration_is_planned(self):
        plan = self.result("calibrate", DEMO, *self.calibration, "-o", "plan.safetensors", "--dry-run",
                           keys=["memory_bytes", "least_memory_bytes", "scratch_bytes", "seconds", "phases"])
        self.assertFalse(any(self.folder.glob("plan.*")), "a dry run writes nothing")
        self.done("calibrate", DEMO, *self.calibration, "-o", "plan.safetensors")
        written = (self.folder / "plan.safetensors").stat().st_size
        self.assertTrue(0.95 < plan["output_bytes"] / written <= 1, (plan, written))

    def test_inputs_of_the_original_model(self):
        """GPTQ of a file of statistics, which are those of the original model, gives the same."""
        gptq = ["quantize", DEMO, "--policy", "q4_k_m", "--method", "gptq"]
        self.done("calibrate", DEMO, *self.calibration, "-o", "original.safetensors")
        self.done(*gptq, "-o", "file.gguf", "--calib", "original.safetensors")
        self.done(*gptq, "-o", "original.gguf", *self.calibration, "--gptq-inputs", "original")
        self.done(*gptq, "-o", "quantized.gguf", *self.calibration)
        file, original, quantized = ((self.folder / f"{name}.gguf").read_bytes() for name in ("file", "original", "quantized"))
        self.assertEqual(file, original)
        self.assertNotEqual(original, quantized)

    def test_groups_of_an_order(self):
        """Dynamic groups: the columns with the largest inputs share one, and the file says which."""
        quantize = ["quantize", DEMO, "--container", "gptq", "--format", "int:3:g64:asym", "--method", "gptq",
                    *self.calibration, "--gptq-act-order", "-o"]
        self.done("calibrate", DEMO, *self.calibration, "-o", "squares.safetensors")
        self.done(*quantize, "static")
        made = self.result(*quantize, "dynamic", "--gptq-groups", "dynamic")
        configs = [json.loads((self.folder / name / "config.json").read_text())["quantization_config"] for name in ("static", "dynamic")]
        self.assertEqual([config["desc_act"] for config in configs], [False, True])
        columns = struct.unpack("<768f", self.values(self.folder / "squares.safetensors", "columns.blk.0.attn_q"))
        # Queries of the first block read what no quantized weight has changed.
        by_size = sorted(range(256), key=lambda k: -columns[256 + k])
        expected = [0] * 256
        for place, column in enumerate(by_size):
            expected[column] = place // 64
        found = self.values(self.folder / "dynamic" / "model.safetensors", "model.layers.0.self_attn.q_proj.g_idx")
        self.assertEqual(list(struct.unpack("<256i", found)), expected)
        # The error that is stated is that of the file, read back; the loss is that of a model, not of shuffled columns.
        dynamic, static, nearest = (self.divergence(self.folder / name) for name in ("dynamic", "static", self.nearest()))
        self.assertLess(dynamic, 0.5 * nearest)
        self.assertLess(dynamic, 1.5 * static)
        self.assertTrue(all(t["method"] == "gptq" for t in made["tensors"] if "blk" in t["name"] or "layers" in t["name"] and "proj" in t["name"]))
        for options, says in ((["--gptq-groups", "dynamic", "-o", "x.gguf"], "--gptq-act-order"),
                              (["--gptq-groups", "dynamic", "--gptq-act-order", "-o", "x.gguf"], "--container that can"),
                              (["--gptq-groups", "dynamic", "--gptq-act-order", "-o", "x", "--container", "awq"], "--container that can"),
                              (["--gptq-groups", "dynamic", "--gptq-act-order", "--held-out", "-o", "x", "--container", "gptq"], "alone")):
            for dry in ([], ["--dry-run"]):
                self.refused("quantize", DEMO, "--format", "int:4:g64", "--method", "gptq", *self.calibration, *options, *dry, says=says)
        self.refused("compile", DEMO, "-o", "x.qm", "--format", "int:4:g64", "--method", "gptq", *self.calibration,
                     "--gptq-act-order", "--gptq-groups", "dynamic", says="--container that can")

    def nearest(self):
        self.done("quantize", DEMO, "--container", "gptq", "--format", "int:3:g64:asym", "-o", "nearest")
        return "nearest"

    def test_tokens_as_lines_of_json(self):
        ids = self.result("tokenize", DEMO, "--file", self.text)["ids"][:512]
        lines = self.folder / "ids.jsonl"
        lines.write_text("".join(json.dumps({"input_ids": ids[i : i + 256]}) + "\n" for i in (0, 256)))
        report = self.result("calibrate", DEMO, "--calib", lines, "-o", "ids.safetensors", "--no-hessian")
        self.assertEqual((report["sequences"], report["tokens"]), (2, 512))
        self.assertFalse(any(name.startswith("hessian") for name in tensors(self.folder / "ids.safetensors")))

    def test_text_of_its_own_and_sampling(self):
        def statistics(name, *options):
            report = self.result("calibrate", DEMO, *options, "--calib-sequences", "3", "--calib-length", "64", "--no-hessian", "-o", name)
            return report, (self.folder / name).read_bytes()

        report, shipped = statistics("default.safetensors")
        self.assertEqual((report["sequences"], report["tokens"], report["vocabulary"]), (3, 192, 1024))
        self.assertGreater(report["available_tokens"], 65536)
        self.assertTrue(0 < report["distinct_tokens"] <= 192, report)
        self.assertEqual((report["features"], report["silent_features"]), (5 * (3 * 256 + 768) + 256, 0))
        self.assertEqual(shipped, statistics("same.safetensors", "--calib", ROOT / "calibration/default.txt")[1])
        # The same seed, the same sequences.
        first, second, again = (statistics("seed.safetensors", "--calib-seed", seed)[1] for seed in "121")
        self.assertEqual(first, again)
        self.assertEqual(len({shipped, first, second}), 3)
        status, _, error = self.run_quantc("quantize", DEMO, "-o", "own.gguf", "--policy", "q4_k_m", "--method", "imatrix",
                                           "--calib-sequences", "3", "--calib-length", "64")
        self.assertEqual((status, "learns from the text that comes with quantc" in error), (0, True), error)

    def test_sequences_fit_the_model(self):
        """A model of 256 positions: the default length is not more; a longer one that is asked for is an error."""
        short = self.folder / "short"
        shutil.copytree(DEMO, short)
        config = json.loads((short / "config.json").read_text())
        (short / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 256}))
        text = ["--calib", ROOT / "calibration/default.txt", "--calib-sequences", "2"]
        report = self.result("calibrate", short, *text, "-o", "short.safetensors")
        self.assertEqual((report["sequences"], report["tokens"]), (2, 512))
        for command in (["calibrate", "-o", "x.safetensors"], ["quantize", "-o", "x.gguf", "--policy", "q4_k_m", "--method", "imatrix"]):
            self.refused(*command, short, *text, "--calib-length", "300", says="--calib-length is 300, but the model computes 256 tokens at most")

    def test_methods_beat_rounding(self):
        for spec, bounds in (("int:3:g64:asym", {"imatrix": 0.95, "awq": 1, "awq+gptq": 0.5}),
                             ("int:4:g64:asym", {"imatrix": 0.8}), ("q3_k", {"imatrix": 1, "gptq": 0.5})):
            policy = self.policy_of(spec)
            rounded = self.divergence(DEMO, "--policy", policy)
            for method, bound in bounds.items():
                found = self.divergence(DEMO, "--policy", policy, "--method", method, *self.calibration)
                self.assertLess(found, bound * rounded, (spec, method))

    def test_files_for_other_programs(self):
        rounded = self.divergence(DEMO, "--policy", self.policy_of("int:4:g64"))
        self.done("quantize", DEMO, "-o", "gptq", "--container", "gptq", "--format", "int:4:g64", "--method", "gptq",
                  *self.calibration)
        self.assertLess(self.divergence("gptq"), 0.8 * rounded)
        # Factors lie in the norms and in the rows before: the directory is a whole model.
        self.done("quantize", DEMO, "-o", "awq", "--container", "awq", "--format", "int:4:g64:asym", "--method", "awq",
                  *self.calibration)
        self.assertLess(self.divergence("awq"), rounded)
        norm = "model.layers.0.input_layernorm.weight"
        self.assertNotEqual(self.values(self.folder / "awq/model.safetensors", norm), self.values(DEMO / "model.safetensors", norm))
        # Rows of queries and keys have another order in GGUF files.
        self.done("quantize", DEMO, "-o", "plain.gguf", "--policy", "q4_k_m")
        self.done("quantize", DEMO, "-o", "made.gguf", "--policy", "q4_k_m", "--method", "gptq", *self.calibration)
        self.assertLess(self.divergence("made.gguf"), 0.8 * self.divergence("plain.gguf"))

    @staticmethod
    def values(path, name):
        with open(path, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            begin, end = json.loads(file.read(size))[name]["data_offsets"]
            file.seek(8 + size + begin)
            return file.read(end - begin)

    def test_run_keeps_models_by_method(self):
        ask = ["perplexity", DEMO, "--text", DEMO / "heldout.txt", "--ctx", "256", "--chunks", "2", "--format", "int:3:g64"]
        plain, found = (self.result(*ask, *more)["perplexity"] for more in ([], ["--method", "gptq", *self.calibration]))
        self.assertNotEqual(plain, found)
        self.assertEqual(found, self.result(*ask, "--method", "gptq", *self.calibration)["perplexity"])

    def test_refused(self):
        quantize = ["quantize", DEMO, "-o", "x.gguf", "--policy", "q4_k_m"]
        self.refused(*quantize, "--calib", self.text, says="learns nothing from a text")
        self.refused(*quantize, "--method", "guess", says="there is no method 'guess'")
        self.refused(*quantize, "--method", "gptq+imatrix", says="one method can quantize weights")
        self.refused(*quantize, "--method", "gptq", "--calib", "nothing.txt", says="nothing.txt")
        empty = self.folder / "empty.txt"
        empty.write_text("")
        self.refused(*quantize, "--method", "gptq", "--calib", empty, says="has no text")
        lines = self.folder / "lines.jsonl"
        for line, says in (('{"messages": []}', "need a chat template"), ('{"dialog": []}', "neither"), ("[1]", "no JSON object"), ('{"input_ids": [1.5]}', "no token id"),
                           ('{"input_ids": [99999]}', "outside the vocabulary"), ("{", "line 2")):
            lines.write_text('{"text": "Once upon a time"}\n' + line + "\n")
            self.refused(*quantize, "--method", "imatrix", "--calib", lines, says=says)
        # Statistics of another model: features differ, or there are none of its inputs.
        other = self.model("other", "--arch", "llama")
        lines.write_text('{"input_ids": [1, 2, 3]}\n')
        self.refused("calibrate", other, "--calib", self.text, "-o", "o.safetensors", says="tokenizer")
        self.done("calibrate", other, "--calib", lines, "-o", "ids.safetensors")  # token ids need none
        notes = self.folder / "notes.safetensors"
        notes.write_bytes(struct.pack("<Q", 2) + b"{}")
        self.refused(*quantize, "--method", "imatrix", "--calib", notes, says="no statistics of calibration")


if __name__ == "__main__":
    main()
