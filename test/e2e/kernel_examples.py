"""Examples that call a generated kernel: compiled as their comments say, and their results computed again in Python."""
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest

from harness import BIN, ROOT, Case, main

CUDA = pathlib.Path("/usr/local/cuda/include")
N, K, M, GROUP = 1024, 512, 8, 128


def numbers(count, scale):
    return [random.gauss(0, scale) for _ in range(count)]


class OnProcessor(Case):
    def test_decoded_weights(self):
        random.seed(3)
        n, w = 5, numbers(5 * K, 0.02)
        (self.folder / "some.f32").write_bytes(struct.pack(f"<{n * K}f", *w))
        for target in ("x86-64-v3", "sm_80"):
            self.done("kernels", "--format", f"int:4:g{GROUP}", "--n", str(n), "--k", str(K), "--target", target, "--emit", "decoded",
                      "--weights", "some.f32", "-o", "decoded.f32")
            decoded = struct.unpack(f"<{n * K}f", (self.folder / "decoded.f32").read_bytes())
            for group in range(0, n * K, GROUP):
                values, rounded = w[group:group + GROUP], decoded[group:group + GROUP]
                step = max(abs(a) for a in values) / 7 * (1 + 2**-10)  # scales are f16
                self.assertLessEqual(len(set(rounded)), 16)
                self.assertLessEqual(max(abs(a - b) for a, b in zip(values, rounded)), step / 2)
        self.refused("kernels", "--format", "int:4:g128", "--n", "5", "--k", "512", "--target", "sm_80", "--emit", "decoded", "-o", "d",
                     says="which weights? name a file of 5 x 512 f32")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_linear(self):
        n, m = 1000, 7  # as the example has them
        random.seed(2)
        w, x = numbers(n * K, 0.02), numbers(m * K, 1)
        for name, values in (("w.f32", w), ("x.f32", x)):
            (self.folder / name).write_bytes(struct.pack(f"<{len(values)}f", *values))
        target = next(name for name, runs in self.result("doctor")["targets"].items() if runs is True)
        kernel = ["kernels", "--format", f"int:4:g{GROUP}", "--n", str(n), "--k", str(K), "--target", target]
        for emit in (["obj", "-o", "linear.o"], ["header", "-o", "linear.h"], ["weights", "--weights", "w.f32", "-o", "w.bin"]):
            self.done(*kernel, "--emit", *emit)
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", ROOT / "examples/kernel/linear.c", "linear.o", "-I.",
                        "-o", "linear"], check=True, cwd=self.folder)
        subprocess.run(["./linear", "w.bin", "x.f32", "y.f32"], check=True, cwd=self.folder)
        y = struct.unpack(f"<{m * n}f", (self.folder / "y.f32").read_bytes())
        # Each weight is off by at most half a step of its group, each activation by half a step of int8 in groups of 128 or more.
        error = square = 0
        for row in range(0, n, 7):
            weights = w[row * K:(row + 1) * K]
            steps = [max(abs(a) for a in weights[k:k + GROUP]) / 7 for k in range(0, K, GROUP)]
            for token in range(m):
                inputs = x[token * K:(token + 1) * K]
                half = max(abs(a) for a in inputs) / 127 / 2
                exact = sum(a * b for a, b in zip(inputs, weights))
                bound = sum(abs(a) * steps[k // GROUP] + (abs(b) + steps[k // GROUP]) * half
                            for k, (a, b) in enumerate(zip(inputs, weights)))
                self.assertLess(abs(y[token * n + row] - exact), bound)
                error, square = error + (y[token * n + row] - exact) ** 2, square + exact * exact
        self.assertLess(error / square, 0.02)


class FromPython(Case):
    """On the driver's stand-in, with numpy."""

    def setUp(self):
        # A copy of Python beside the descriptions, which the stand-in looks for beside the program.
        (self.folder / "bin").mkdir(exist_ok=True)
        self.python = self.folder / "bin" / "python"
        if not self.python.exists():
            shutil.copy(pathlib.Path(sys.executable).resolve(), self.python)
            (self.folder / "share").symlink_to(BIN.parent / "share")

    def linear(self, *arguments):
        environment = {**self.environment, "STAND_IN_PHASES": str(self.folder / "phases"), "PYTHONHOME": sys.base_prefix,
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run([self.python, ROOT / "examples/python/linear.py", "--quantc", BIN / "quantc", *arguments],
                              env=environment, stdout=subprocess.PIPE, text=True)

    def test_linear(self):
        (self.folder / "phases").mkdir()
        for spec, m, n, k in (("int:4:g128", 8, 64, 256), ("q6_k", 1, 33, 512), ("nf4", 20, 80, 192)):
            self.done("kernels", "--format", spec, "--m", str(m), "--n", str(n), "--k", str(k), "--target", "sm_80", "--emit", "mlir",
                      "-o", "phases/linear-llvm.mlir")
            done = self.linear("--format", spec, "-m", str(m), "-n", str(n), "-k", str(k), "--library",
                               BIN.parent / "lib" / "libcuda-stand-in.so")
            self.assertEqual(done.returncode, 0, done.stdout)
            error = float(re.search(r"relative error (\S+),", done.stdout)[1])
            self.assertTrue(0 < error < 5e-4, done.stdout)

    def test_says_where_there_is_no_gpu(self):
        done = self.linear("--library", "libno-such-driver.so")
        self.assertEqual(done.returncode, 77)
        self.assertIn("skipped: no GPU of NVIDIA's here", done.stdout)


class OnGPU(Case):
    @unittest.skipUnless((CUDA / "cuda.h").exists() and shutil.which("c++"), "needs a C++ compiler and cuda.h of a CUDA toolkit")
    def test_linear(self):
        random.seed(1)
        w = numbers(N * K, 0.02)
        halves = [struct.unpack("<e", struct.pack("<e", x))[0] for x in numbers(M * K, 1)]
        (self.folder / "w.f32").write_bytes(struct.pack(f"<{N * K}f", *w))
        (self.folder / "x.f16").write_bytes(struct.pack(f"<{M * K}e", *halves))
        kernel = ["kernels", "--format", "int:4:g128", "--n", str(N), "--k", str(K), "--m", str(M), "--target", "sm_80"]
        (self.folder / "phases").mkdir()
        for emit in (["ptx", "-o", "linear.ptx"], ["header", "-o", "linear.h"], ["weights", "--weights", "w.f32", "-o", "w.bin"],
                     ["mlir", "-o", "phases/linear-llvm.mlir"]):
            self.done(*kernel, "--emit", *emit)
        # The driver's stand-in by the name that programs link against.
        for folder in ("lib", "bin"):
            (self.folder / folder).mkdir()
        (self.folder / "share").symlink_to(BIN.parent / "share")  # where the stand-in looks for descriptions
        (self.folder / "lib" / "libcuda.so").symlink_to(BIN.parent / "lib" / "libcuda-stand-in.so")
        subprocess.run(["c++", "-std=c++17", "-Wall", "-Werror", ROOT / "examples/cuda/linear.cpp", "-I.", f"-I{CUDA}", "-Llib",
                        "-lcuda", "-Wl,--allow-shlib-undefined", "-o", "bin/linear"], check=True, cwd=self.folder)
        environment = {**os.environ, "STAND_IN_PHASES": "phases", "LD_LIBRARY_PATH": str(BIN.parent / "lib")}
        subprocess.run(["bin/linear", "linear.ptx", "w.bin", "x.f16", "y.f16"], check=True, cwd=self.folder, env=environment)
        y = struct.unpack(f"<{M * N}e", (self.folder / "y.f16").read_bytes())
        # Rounding to nearest in groups of 128, four bits: each weight is off by at most half a step of its group.
        error = square = 0
        for n in range(0, N, 7):
            row = w[n * K:(n + 1) * K]
            steps = [max(abs(x) for x in row[k:k + GROUP]) / 7 for k in range(0, K, GROUP)]
            for m in range(M):
                x = halves[m * K:(m + 1) * K]
                exact = sum(a * b for a, b in zip(x, row))
                bound = sum(abs(a) * steps[k // GROUP] for k, a in enumerate(x))
                self.assertLess(abs(y[m * N + n] - exact), bound)
                error, square = error + (y[m * N + n] - exact) ** 2, square + exact * exact
        self.assertLess(error / square, 0.02)


if __name__ == "__main__":
    main()
