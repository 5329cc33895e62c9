"""Artifacts for 64-bit Arm, run by the runtime for it in QEMU's emulation of its processors.

The expected tokens are those of the same artifact's code for x86-64 in the runtime for it: exact kernels promise the same bits on
every processor, fast ones of codes have integer sums, and here also the same tokens. What QEMU executes is what a processor
would; nothing is said of speed.

    python3 test/e2e/arm.py BIN ARM-BUILD      ARM-BUILD: of the preset aarch64
"""
import pathlib
import shutil
import subprocess
import sys
import unittest

ARM = pathlib.Path(sys.argv.pop(2) if len(sys.argv) > 2 else "build/aarch64").resolve()

from harness import BIN, DEMO, Case, main

QEMU = shutil.which("qemu-aarch64-static")
PROCESSORS = {"max": "aarch64-i8mm", "cortex-a76": "aarch64-dotprod"}  # of QEMU, and the level that fits
PROMPTS = ["0 427 428 260 373", "0", "0 " + " ".join(str(5 + 37 * i % 900) for i in range(70))]


@unittest.skipUnless(QEMU and (ARM / "bin/example-generate").exists(),
                     "needs qemu-user-static and `cmake --preset aarch64 && cmake --build --preset aarch64`")
class Arm(Case):
    def tokens(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split(), done.stderr

    def both(self, *options):
        """Each level in QEMU beside x86-64, for each prompt."""
        self.done("compile", DEMO, *options, "-o", "model.qm", "--target", "x86-64-v3",
                  *(argument for level in PROCESSORS.values() for argument in ("--target", level)))
        for prompt in PROMPTS:
            expected, _ = self.tokens(BIN / "example-generate", "model.qm", "12", *prompt.split())
            self.assertEqual(len(expected), 12)
            for processor, level in PROCESSORS.items():
                with self.subTest(options=options, prompt=prompt[:20], level=level):
                    found, said = self.tokens(QEMU, "-cpu", processor, "-L", "/usr/aarch64-linux-gnu",
                                              ARM / "bin/example-generate", "model.qm", "12", *prompt.split())
                    self.assertIn(f"code of {level}", said)
                    self.assertEqual(found, expected)

    def test_fast(self):
        for spec in ("int:4:g128:asym", "q4_k", "q6_k", "q3_k", "q8_0", "iq4_nl", "nf4"):
            self.both("--format", spec)

    def test_exact(self):
        for spec in ("int:3:g64", "q5_k", "mxfp4", "f16"):
            self.both("--format", spec, "--precision", "exact")

    def test_quantized_cache(self):
        self.both("--format", "q4_0", "--kv", "q8_0")


if __name__ == "__main__":
    main()
