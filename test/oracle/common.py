"""What the comparisons share: quantc's programs, distances between predictions, and the report."""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy

import quantc

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test" / "golden"
DEMO_MODEL = ROOT / "examples" / "demo-model"
TEST_DATA = pathlib.Path(os.environ.get("QUANTC_TEST_DATA", ROOT.parent / "shared" / "data"))


class Failure(Exception):
    """What a program said when it failed."""


class Program:
    """quantc's command line, and artifacts through the C API."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder).resolve() / "quantc"
        self.library = self.path.parents[1] / "lib" / "libquantc-runtime.so"

    def __call__(self, *arguments, as_json=False):
        """Its standard output (as_json: what that says). Raises Failure with its one line."""
        command = [str(self.path), *map(str, arguments), *(["--json"] if as_json else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout) if as_json else done.stdout

    @contextlib.contextmanager
    def session(self, model, *options, context=128):
        """A session of a model compiled with these options."""
        with tempfile.TemporaryDirectory() as directory:
            artifact = pathlib.Path(directory) / "model.qm"
            self("compile", model, "-o", artifact, *options)
            yield quantc.Model(artifact, library=self.library).session(context=context)

    def logits(self, model, chunks, *options):
        """Logits of each chunk of ids, [chunks, tokens, vocabulary], of a model compiled with these options."""
        rows = []
        with self.session(model, *options, context=max(map(len, chunks))) as session:
            for chunk in chunks:
                session.rewind(0)
                rows.append(session.step(chunk, all_rows=True))
        return numpy.stack(rows)


def log_softmax(logits):
    wide = logits.astype(numpy.float64)
    wide -= wide.max(-1, keepdims=True)
    return wide - numpy.log(numpy.exp(wide).sum(-1, keepdims=True))


def kl_divergence(truth, logits):
    """Mean over all positions, in nats, of the divergence of the predictions from the true ones."""
    p, q = log_softmax(truth), log_softmax(logits)
    return float((numpy.exp(p) * (p - q)).sum(-1).mean())


def top1(truth, logits):
    """The share of positions where the most likely token is the same."""
    return float((truth.argmax(-1) == logits.argmax(-1)).mean())


def tensors_of(path):
    """Each tensor of a GGUF file by name: its type and a hash of its bytes."""
    return {t.name: f"{t.tensor_type.name} {hashlib.sha256(t.data.tobytes()).hexdigest()[:16]}" for t in gguf.GGUFReader(path).tensors}


class Report:
    """A line for each comparison, and whether all were good."""

    def __init__(self):
        self.failures = 0

    def line(self, name, text, good=True):
        self.failures += not good
        print(f"{name:28} {text}{'' if good else '   FAILED'}", flush=True)

    def run(self, name, comparison, *arguments):
        """Calls a comparison, which returns its text and whether it is good; what it raises fails it."""
        try:
            self.line(name, *comparison(*arguments))
        except Exception as error:  # noqa: BLE001 - any failure is this comparison's
            self.line(name, f"{type(error).__name__}: {error}", False)

    def finish(self):
        sys.exit(1 if self.failures else 0)


def parser(description):
    result = argparse.ArgumentParser(description=description.split("\n")[0])
    result.add_argument("bin", type=Program, help="the folder of the program quantc")
    return result
