"""The contract of the command line (docs/CommandLine.md): every command on the demo model."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import time

from harness import DEMO, Case, main

COMMANDS = ["quantize", "compile", "convert", "run", "tokenize", "perplexity", "bench", "compare", "inspect", "calibrate", "kernels", "verify",
            "recommend", "doctor"]
NOT_YET = ["chat", "serve", "exec"]
PROMPT = "Once upon a time"


class Usage(Case):
    def test_help(self):
        overview = self.done("--help")
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", overview)
            text = self.done(command, "--help")
            for part in ["Examples:", f"quantc {command}", "--json", "--threads", "-t,", "-v,"]:
                self.assertIn(part, text, command)
            if command not in ("compare", "kernels", "verify", "recommend", "doctor"):
                self.assertIn("-m,", text, command)
        for command in NOT_YET:
            self.assertNotIn(f"\n  {command} ", overview)
        self.assertRegex(self.done("--version"), r"^quantc \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        for arguments in ([], ["frobnicate"], ["run"], ["run", DEMO], ["run", DEMO, "-p", "x", "--prompt-ids", "1"],
                          ["run", DEMO, "--prompt-ids", "1,x"], ["run", DEMO, "-p", "x", "-t", "0"], ["doctor", "-n", "3"],
                          ["quantize", DEMO], ["quantize", DEMO, "-o", "x.gguf", "--format", "f16", "--policy", "f16"],
                          ["compile", DEMO, "-o", "x.qm", "--precision", "most"], ["tokenize", DEMO],
                          ["convert", DEMO, "-o", "x.gguf"], ["convert", DEMO, "-o", "x.gguf", "--dequantize", "int"]):
            self.refused(*arguments, says="", status=2)

    def test_what_is_not_yet_there(self):
        for command in NOT_YET:
            self.refused(command, "--model", DEMO, says="not yet available", status=2)
        quantize = ["quantize", DEMO, "-o", "x.gguf", "--format", "f16"]
        self.refused(*quantize, "--container", "awq", says="does not carry f16")
        self.refused("bench", DEMO, "--draft", DEMO, says="not yet available", status=2)

    def test_help_names_what_a_command_takes(self):
        for command in ("quantize", "compile", "convert", "calibrate"):
            self.assertIn("a Hugging Face directory or a .gguf file", " ".join(self.done(command, "--help").split()))
        for command in ("run", "bench", "perplexity", "inspect", "tokenize"):
            self.assertIn(".qm file", " ".join(self.done(command, "--help").split()))

    def test_targets(self):
        self.refused("compile", DEMO, "-o", "x.qm", "--dry-run", "--target", "x86-64-v2", says=["x86-64-v2", "x86-64-v3", "sm_80"])
        kernel = ["kernels", "--format", "int:4:g32", "--n", "64", "--k", "64", "--emit", "llvm"]
        self.done(*kernel, "--target", "host", "-o", "host.ll")
        best = [name for name, runs in self.result("doctor")["targets"].items() if runs is True and not name.startswith("sm_")][-1]
        self.done(*kernel, "--target", best, "-o", "best.ll")
        self.assertEqual((self.folder / "host.ll").read_bytes(), (self.folder / "best.ll").read_bytes())


class Checkpoints(Case):
    """What needs no code generation."""

    def test_doctor(self):
        report = self.result("doctor", keys=["processor", "targets", "formats", "cache", "ptxas"])
        self.assertIn("\nptxas ", self.done("doctor"))
        self.assertIn(True, report["targets"].values())
        self.assertGreater(report["formats"], 30)
        self.assertIn("runs here", self.done("doctor", "-v"))

    def test_kernels(self):
        kernel = ["kernels", "--format", "int:4:g32", "--n", "64", "--k", "64", "--target", "sm_80", "--emit", "ptx"]
        self.done(*kernel, "-o", "linear.ptx")
        self.assertEqual(self.done(*kernel, "-o", "-"), (self.folder / "linear.ptx").read_text())
        self.refused(*kernel, "-o", "-", "--json", says="both write to stdout")
        self.assertFalse((self.folder / "-").exists())

    def test_tokenize(self):
        ids = self.result("tokenize", DEMO, "--text", PROMPT, "--plain")["ids"]
        self.assertEqual(self.done("tokenize", "-m", DEMO, "--text", PROMPT, "--plain").split(), [str(i) for i in ids])
        (self.folder / "prompt").write_text(PROMPT)
        self.assertEqual(self.result("tokenize", DEMO, "--file", "prompt", "--plain")["ids"], ids)
        decode = ["tokenize", DEMO, "--decode", ",".join(map(str, ids))]
        self.assertEqual(self.result(*decode)["text"], PROMPT)
        self.assertEqual(self.done(*decode), PROMPT + "\n")

    def test_quantize_and_convert(self):
        report = self.result("quantize", DEMO, "-o", "q8.gguf", "--format", "q8_0", keys=["output", "bytes", "tensors"])
        first = (self.folder / "q8.gguf").read_bytes()
        self.assertEqual({t["format"] for t in report["tensors"]}, {"q8_0", "f32"})
        self.done("quantize", "-m", DEMO, "-o", "again.gguf", "--format", "q8_0", "-t", "1")
        self.assertEqual((self.folder / "again.gguf").read_bytes(), first, "the same bytes with one thread")

        listed = self.result("inspect", "q8.gguf", keys=["tensors", "kernels"])["tensors"]
        self.assertEqual(len(listed), len(report["tensors"]))
        self.assertEqual(set(listed[0]), {"name", "format", "shape", "bytes"})

        self.result("convert", "q8.gguf", "-o", "f32.gguf", "--dequantize", "f32", keys=["output", "bytes"])
        self.assertEqual({t["format"] for t in self.result("inspect", "f32.gguf")["tensors"]}, {"f32"})
        self.assertTrue(self.result("compare", "q8.gguf", "f32.gguf", keys=["equal", "tensors"])["equal"])
        different = self.result("compare", DEMO, "q8.gguf")
        self.assertFalse(different["equal"])
        errors = [t["nmse"] for t in different["tensors"]]
        self.assertEqual(errors, sorted(errors, reverse=True), "worst first")
        self.assertEqual(set(different["tensors"][0]), {"name", "max_abs", "nmse"})
        self.refused("quantize", "q8.gguf", "-o", "x.gguf", "--format", "q4_0", says=["is quantized already", "--allow-requantize"])

    def test_progress(self):
        _, out, err = self.run_quantc("quantize", DEMO, "-o", "p.gguf", "--format", "f16")
        self.assertRegex(err, r"quantize: 100 %")
        self.assertNotIn("\r", err)
        _, out, err = self.run_quantc("quantize", DEMO, "-o", "p.gguf", "--format", "f16", "--json")
        lines = [json.loads(line) for line in err.splitlines()]
        self.assertTrue(lines and all({"phase", "done", "total"} <= set(line) for line in lines), err)
        self.assertEqual(lines[-1]["done"], lines[-1]["total"])
        master, slave = pty.openpty()
        process = self.start("quantize", DEMO, "-o", "p.gguf", "--format", "f16", stderr=slave)
        process.communicate()
        os.close(slave)
        shown = os.read(master, 1 << 16).decode()
        os.close(master)
        self.assertIn("\r", shown)
        self.assertIn("s left", shown)

    def test_ctrl_c(self):
        before = self.files()
        for delay in (0.02, 0.1, 0.3):
            process = self.start("quantize", DEMO, "-o", "interrupted.gguf", "--format", "q4_k")
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.communicate()
            if process.returncode == 0:  # it was faster
                (self.folder / "interrupted.gguf").unlink()
            else:
                self.assertEqual(process.returncode, -signal.SIGINT)
            self.assertEqual(self.files(), before)

    def test_stdout_that_takes_nothing(self):
        with open("/dev/full", "w") as full:
            status, _, err = self.run_quantc("inspect", DEMO, stdout=full)
        self.assertEqual((status, err), (1, "quantc: error: the result cannot be written to the standard output\n"))
        process = self.start("inspect", DEMO, "--json")
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        self.assertIn(process.wait(), (-signal.SIGPIPE, 0))
        self.assertEqual(err, b"")


class Artifacts(Case):
    """Compiles once, by two processes at the same time that share the cache."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls()
        command = ["run", DEMO, "--format", "q4_k", "-p", PROMPT, "-n", "16", "--json"]
        both = [case.start(*command), case.start(*command)]
        cls.runs = [process.communicate() + (process.returncode,) for process in both]
        cls.cached = list((cls.folder / "cache" / "quantc").iterdir())
        cls.qm = cls.cached[0] if cls.cached else None

    def test_cache(self):
        for _, err, status in self.runs:
            self.assertEqual((status, [line for line in err.splitlines() if b'"phase"' not in line]), (0, []))
        texts = [json.loads(out)["text"] for out, _, _ in self.runs]
        self.assertEqual(texts[0], texts[1])
        self.assertEqual([path.suffix for path in self.cached], [".qm"], "one file for both")
        written = self.qm.stat().st_mtime_ns
        again = self.result("run", DEMO, "--format", "q4_k", "-p", PROMPT, "-n", "16")
        self.assertEqual(again["text"], texts[0])
        self.assertEqual(self.qm.stat().st_mtime_ns, written, "nothing was compiled again")

    def test_run(self):
        keys = ["text", "tokens", "prompt_tokens", "prefill_tps", "decode_tps"]
        greedy = self.result("run", self.qm, "-p", PROMPT, "-n", "24", "-c", "64", "-ngl", "0", "--kv", "f16", keys=keys)
        self.assertEqual(len(greedy["tokens"]), 24)
        for threads in ("1", "2", "3"):
            self.assertEqual(self.result("run", self.qm, "-p", PROMPT, "-n", "24", "-t", threads)["tokens"], greedy["tokens"])
        self.assertEqual(self.done("run", "-m", self.qm, "--prompt", PROMPT, "-n", "24"), greedy["text"] + "\n")
        ids = self.result("tokenize", self.qm, "--text", PROMPT)["ids"]
        by_ids = self.result("run", self.qm, "--prompt-ids", ",".join(map(str, ids)), "-n", "24")
        self.assertEqual(by_ids["tokens"], greedy["tokens"])
        self.assertEqual(self.result("tokenize", self.qm, "--decode", ",".join(map(str, greedy["tokens"])))["text"], greedy["text"])

    def test_batches(self):
        rows = self.result("bench", self.qm, "-p", "8", "-n", "4", "-r", "1", "--batch", "1,3,8", keys=["batches", "target"])["batches"]
        self.assertEqual([row["sequences"] for row in rows], [1, 3, 8])
        self.assertTrue(all(row["decode_tps"] > 0 for row in rows))
        self.refused("bench", self.qm, "-n", "0", "--batch", "2", says="--batch times decoding; -n 0 leaves nothing of it")

    def test_cache_formats(self):
        for kv, says in (("q4_k", "the KV cache cannot be q4_k: q4_k.qf"), ("aqlm", "has no kernel storage"), ("q9_9", "there is no format 'q9_9'")):
            self.refused("compile", DEMO, "-o", "x.qm", "--kv", kv, says=says)
        self.refused("run", self.qm, "-p", PROMPT, "--kv", "q8_0", says="was compiled with a KV cache of f16; compile it with --kv q8_0")
        text = pathlib.Path(DEMO) / "heldout.txt"
        for kv, most in (("q8_0", 3e-4), ("q4_0", 0.05)):
            self.done("compile", DEMO, "-o", f"{kv}.qm", "--format", "q4_k", "--kv", kv)
            divergence = self.result("perplexity", f"{kv}.qm", "--text", text, "--reference", self.qm, "--kv", kv)["kl_divergence"]
            self.assertTrue(0 < divergence < most, divergence)
            command = ["run", f"{kv}.qm", "-p", PROMPT, "-n", "40", "--ignore-eos"]
            tokens = self.result(*command, "-t", "1")["tokens"]
            # Rolling back what was guessed wrongly leaves nothing in blocks that positions share.
            for more in (["-t", "2"], ["--lookup"], ["--draft", self.qm]):
                self.assertEqual(self.result(*command, *more)["tokens"], tokens, more)
            self.done("verify", f"{kv}.qm", "--source", DEMO)

    def test_sampling(self):
        command = ["run", self.qm, "-p", PROMPT, "-n", "24", "--temp", "1.2", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.01",
                   "--repeat-penalty", "1.1", "--ignore-eos"]
        drawn = [self.result(*command, "--seed", seed)["tokens"] for seed in ("1", "1", "2", "3")]
        self.assertEqual(drawn[0], drawn[1])
        self.assertGreater(len({tuple(tokens) for tokens in drawn}), 1)
        self.assertTrue(all(len(tokens) == 24 for tokens in drawn))
        self.assertEqual(self.result(*command[:6], "--temp", "1", "--top-k", "1")["tokens"],
                         self.result(*command[:6])["tokens"], "the best of one is the most likely one")
        for option in (["--temp", "-1"], ["--top-p", "-0.5"], ["--min-p", "2"], ["--repeat-penalty", "0"], ["--temp", "nan"]):
            self.refused("run", self.qm, "-p", PROMPT, *option, says="")

    def test_guessed_tokens(self):
        """Whoever guesses and however tokens are drawn, the text is that of decoding token by token."""
        self.done("compile", DEMO, "-o", "draft.qm", "--format", "int:3:g64")
        for sampling in ([], ["--temp", "0.8", "--top-p", "0.95", "--seed", "3"]):
            command = ["run", self.qm, "-p", PROMPT, "-n", "80", "--ignore-eos", *sampling]
            plain = self.result(*command)["tokens"]
            for guesser in (["--lookup"], ["--draft", "draft.qm"], ["--draft", "draft.qm", "--draft-tokens", "1"]):
                guessed = self.result(*command, *guesser, keys=["drafted", "accepted", "passes"])
                self.assertEqual(guessed["tokens"], plain, (sampling, guesser))
                self.assertEqual(guessed["passes"] + guessed["accepted"], 79)
                if guesser != ["--lookup"] or not sampling:  # nothing may have stood there before
                    self.assertLess(guessed["passes"], 79, (sampling, guesser))
        self.refused("run", self.qm, "-p", PROMPT, "--lookup", "--draft", "draft.qm", says="--draft", status=2)
        self.refused("run", self.qm, "-p", PROMPT, "--draft", "nothing.qm", says="nothing.qm")
        self.refused("run", self.qm, "-p", PROMPT, "--draft", self.model("other", "--arch", "llama"), says="tokens")

    def test_stop(self):
        text = self.result("run", self.qm, "-p", PROMPT, "-n", "24")["text"]
        word = text.split()[3]
        stopped = self.result("run", self.qm, "-p", PROMPT, "-n", "24", "--stop", word, "--stop", "not there")["text"]
        self.assertEqual(stopped, text[:text.index(word)])
        self.assertEqual(self.done("run", self.qm, "-p", PROMPT, "-n", "24", "--stop", word), stopped + "\n")

    def test_measures(self):
        (self.folder / "text").write_text((DEMO / "heldout.txt").read_text()[:3000])
        measure = ["perplexity", self.qm, "--text", "text", "--ctx", "128"]
        alone = self.result(*measure, keys=["perplexity", "tokens"])
        self.assertGreater(alone["perplexity"], 1)
        self.assertNotIn("kl_divergence", alone)
        same = self.result(*measure, "--reference", self.qm, keys=["kl_divergence", "top1"])
        self.assertAlmostEqual(same["kl_divergence"], 0, places=9)
        self.assertEqual(same["top1"], 1)
        bench = self.result("bench", self.qm, "-p", "32", "-n", "8", "-r", "1", "-t", "1", "-c", "64",
                            keys=["prefill_tps", "decode_tps", "bytes_per_token"])
        self.assertEqual(bench["threads"], 1)

    def test_precisions(self):
        """Against f32 activations of the same weights: bf16 ones lose far less than int8 ones, with minima and without."""
        def divergence(made):
            return self.result("perplexity", made, "--text", DEMO / "heldout.txt", "--ctx", "128", "--chunks", "2",
                               "--reference", "float.qm")["kl_divergence"]

        for spec in ("q4_k", "q8_0"):
            for precision in ("float", "high", "fast"):
                self.done("compile", DEMO, "-o", f"{precision}.qm", "--format", spec, "--precision", precision)
            self.assertTrue(0 < divergence("high.qm") < divergence("fast.qm") / 4, spec)

    def test_inspect_and_compare(self):
        found = self.result("inspect", self.qm)
        self.assertEqual(set(found["kernels"][0]), {"name", "target", "calls", "why"})
        self.assertIn("q4_k", {t["format"] for t in found["tensors"]})
        self.assertTrue(self.result("compare", self.qm, self.qm)["equal"])
        # An artifact beside its source: what is stored there is what a GGUF file of the same format holds.
        self.done("quantize", DEMO, "-o", "same.gguf", "--format", "q4_k")
        self.assertTrue(self.result("compare", self.qm, "same.gguf")["equal"])
        report = self.result("compare", DEMO, self.qm)
        self.assertEqual((report["equal"], report["only_in_one"]), (False, []))
        errors = {t["name"]: t["nmse"] for t in report["tensors"]}
        self.assertEqual(errors["output_norm.weight"], 0)
        self.assertTrue(0 < errors["blk.0.ffn_up.weight"] < 0.02)

    def test_bad_prompts(self):
        self.refused("run", self.qm, "-p", PROMPT * 20, "-c", "16", says=["context"])
        self.refused("run", self.qm, "-p", b"caf\xe9", says=["not UTF-8", "0xe9"])
        self.refused("tokenize", self.qm, "--text", b"\xff\xfe", says="not UTF-8")
        self.refused("run", self.qm, "--prompt-ids", "5,1024", says="1024")
        self.refused("run", self.qm, "--prompt-ids=-1", says="-1")
        self.refused("tokenize", self.qm, "--decode", "99999", says="outside the vocabulary")
        self.refused("run", self.qm, "-p", PROMPT, "-c", "1000000000", says="compiled for at most 1024")
        self.refused("run", self.qm, "-p", PROMPT, "--format", "q8_0", says="compiled already")
        self.refused("run", self.qm, "-p", PROMPT, "--target", "ghost", says="ghost")
        self.refused("compile", self.qm, "-o", "x.qm", says="compiled already")
        (self.folder / "empty").write_text("")
        self.refused("perplexity", self.qm, "--text", "empty", says="")
        empty = self.run_quantc("run", self.qm, "-p", "", "-n", "4")
        self.assertIn(empty[0], (0, 1))
        self.assertEqual(empty[2].count("\n"), empty[0], empty)

    def test_damaged_artifacts(self):
        whole = self.qm.read_bytes()
        path = self.folder / "damaged.qm"

        def damaged(content, says=""):
            path.write_bytes(content)
            for command in (["run", path, "-p", "x"], ["inspect", path], ["tokenize", path, "--text", "x"]):
                self.refused(*command, says=[str(path), says])

        for size in (0, 1, 8, 9, 100, 5000, len(whole) // 2, len(whole) - 1):
            damaged(whole[:size])
        damaged(whole + b"x")
        damaged(whole[:8] + b"[" + whole[9:])
        damaged((1 << 40).to_bytes(8, "little") + whole[8:])
        damaged(whole.replace(b'\\"version\\":2', b'\\"version\\":9', 1), "version")
        damaged(b"GGUF" + whole[4:])
        self.assertEqual(subprocess.run(["cmp", self.qm, self.cached[0]]).returncode, 0)


if __name__ == "__main__":
    main()
