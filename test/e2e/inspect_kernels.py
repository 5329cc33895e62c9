"""`inspect --kernels`: every kernel of an artifact, what it takes on this machine and at least, and why it is as it is. No test
depends on how fast the machine is."""
import json
import math

from harness import DEMO, Case, main

CONFIG = json.loads((DEMO / "config.json").read_text())
HERE = {"name", "target", "calls", "why", "weights", "computes", "choices", "steps"}


class Kernels(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls().done("compile", DEMO, "-o", "demo.qm", "--format", "q4_k")

    def reasons(self, *options):
        self.done("compile", DEMO, "-o", "other.qm", *options)
        kernels = self.result("inspect", "other.qm", "--kernels", "--no-run")["kernels"]
        return {k["target"]: k["choices"] for k in kernels if k["name"] == "linear_0"}

    def test_every_kernel_is_listed_and_measured(self):
        found = self.result("inspect", "demo.qm", "--kernels", "--tokens", "1,24")
        plain = self.result("inspect", "demo.qm")["kernels"]
        self.assertEqual([{key: k[key] for key in ("name", "target", "calls", "why")} for k in found["kernels"]], plain)
        machine = found["measured"]
        self.assertEqual(set(machine), {"processor", "target", "threads", "read_bandwidth_bytes_s", "operations_s", "steps"})
        self.assertGreater(machine["read_bandwidth_bytes_s"], 0)
        self.assertGreater(machine["operations_s"]["f32"], 0)
        sizes = [(1, 24), (24, 0)]
        self.assertEqual([(s["tokens"], s["past"]) for s in machine["steps"]], sizes)
        for kernel in found["kernels"]:
            self.assertEqual(set(kernel), HERE)
            self.assertEqual([(s["tokens"], s["past"]) for s in kernel["steps"]], sizes)
            multiplies = kernel["name"].startswith(("linear", "attention"))
            for step in kernel["steps"]:
                self.assertGreater(step["seconds"], 0)
                self.assertEqual({"floor_seconds", "bound", "share"} & set(step),
                                 {"floor_seconds", "bound", "share"} if multiplies else set(), kernel["name"])
                if multiplies:
                    self.assertIn(step["bound"], ("memory", "arithmetic"))
                    self.assertAlmostEqual(step["share"], step["floor_seconds"] / step["seconds"])
        for i, step in enumerate(machine["steps"]):
            rows = [(k["calls"], k["steps"][i]) for k in found["kernels"]]
            self.assertAlmostEqual(step["seconds"], sum(calls * row["seconds"] for calls, row in rows))
            self.assertAlmostEqual(step["floor_seconds"], sum(calls * row.get("floor_seconds", 0) for calls, row in rows))
            self.assertAlmostEqual(sum(row["part_of_step"] for _, row in rows), 1)

    def test_what_kernels_compute(self):
        kernels = self.result("inspect", "demo.qm", "--kernels", "--no-run")["kernels"]
        heads = CONFIG["num_attention_heads"] * CONFIG["head_dim"]
        hidden, kv = CONFIG["hidden_size"], CONFIG["num_key_value_heads"] * CONFIG["head_dim"]
        ffn, vocab = CONFIG["intermediate_size"], CONFIG["vocab_size"]
        products = [heads * hidden + 2 * kv * hidden, hidden * heads, 2 * ffn * hidden, hidden * ffn, vocab * hidden]
        linears = [k for k in kernels if k["name"].startswith("linear")]
        self.assertEqual([k["computes"]["multiplications"] for k in linears], products)
        self.assertEqual([sum(math.prod(w["shape"]) for w in k["weights"]) for k in linears], products)
        self.assertEqual({w["format"] for k in linears for w in k["weights"]}, {"q4_k"})
        self.assertEqual([k["computes"]["operations"] for k in linears],
                         [["linear"], ["linear", "residual"], ["linear", "silu"], ["linear", "residual"], ["linear"]])
        attention, = (k["computes"] for k in kernels if k["name"].startswith("attention"))
        self.assertEqual((attention["of_position"], attention["multiplications"], attention["window"]), (2 * heads, 0, 0))
        for kernel in kernels:
            self.assertEqual(bool(kernel["choices"]["tiles"]), kernel["name"].startswith("linear"))

    def test_reasons(self):
        q8 = self.reasons("--format", "q8_0", "--target", "x86-64-v3", "--target", "x86-64-v4-amx")
        why = "int8 activations: q8_0 is integer codes times factors of 32 columns or more"
        self.assertEqual([choice["reasons"][0] for choice in q8.values()], [why, why])
        self.assertIn("no matrix unit: the target has none", q8["x86-64-v3"]["reasons"])
        self.assertIn("matrix unit: register tiles of 16 tokens, of fewer not", q8["x86-64-v4-amx"]["reasons"])
        self.assertEqual(q8["x86-64-v3"]["instructions"][0], "llvm.x86.avx2.pmadd.ub.sw")
        self.assertEqual((q8["x86-64-v4-amx"]["instructions"], q8["x86-64-v4-amx"]["many_tokens"]),
                         (["llvm.x86.avx512.vpdpbusd.512"], ["llvm.x86.tdpbsud.internal"]))
        nf4 = self.reasons("--format", "nf4", "--target", "x86-64-v3", "--target", "x86-64-v4-bf16")
        self.assertEqual((nf4["x86-64-v3"]["instructions"], nf4["x86-64-v4-bf16"]["instructions"]),
                         (["f32"], ["llvm.x86.avx512bf16.dpbf16ps.512"]))
        self.assertIn("weights are decoded to f32: the target multiplies no bf16", nf4["x86-64-v3"]["reasons"])
        exact, = self.reasons("--format", "q8_0", "--target", "x86-64-v3", "--precision", "exact").values()
        self.assertEqual(exact["reasons"][0], "f32 activations: the precision asked for has no others")
        self.assertEqual(exact["instructions"], ["f32"])

    def test_the_same_from_a_level(self):
        compile = ["compile", DEMO, "--format", "q4_k", "--target", "x86-64-v3", "--dump-phases=phases"]
        self.done(*compile, "-o", "whole.qm")
        for level in ("tiled", "llvm"):
            self.done(*compile, "-o", "from.qm", "--from", level)
            self.assertEqual((self.folder / "from.qm").read_bytes(), (self.folder / "whole.qm").read_bytes(), level)

    def test_text(self):
        text = self.done("inspect", "demo.qm", "--kernels", "--tokens", "1,24")
        for part in ("linear_0 ", "    linear, residual\n", "    1 token after 24 ", "    24 tokens ", "% of the step, ", "the floor of ",
                     "    - int8 activations: q4_k is integer codes", "    - tasks of ", "GB/s from memory", "us in kernels"):
            self.assertIn(part, text)
        self.assertIn("not measured: as asked for", self.done("inspect", "demo.qm", "--kernels", "--no-run"))

    def test_what_cannot_be_measured(self):
        self.done("compile", DEMO, "-o", "arm.qm", "--format", "q4_k", "--target", "aarch64-i8mm")
        found = self.result("inspect", "arm.qm", "--kernels")
        self.assertIsNone(found["measured"])
        self.assertNotIn("steps", found["kernels"][0])
        self.assertRegex(self.done("inspect", "arm.qm", "--kernels"), r"not measured: .*arm.qm: .* can execute none of its targets")
        self.refused("inspect", "demo.qm", "--no-run", says="--kernels", status=2)
        self.refused("inspect", "demo.qm", "--kernels", "--tokens", "0", says="--tokens", status=2)


if __name__ == "__main__":
    main()
