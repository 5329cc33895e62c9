"""What the end-to-end tests share: they run quantc and check how it ends. Only the standard library.

    python3 test/e2e/commands.py BIN      BIN: the folder of the program quantc
"""
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEMO = ROOT / "examples" / "demo-model"
BIN = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ROOT / "build/release/bin").resolve()
QUICK = ["--target", "x86-64-v3"]  # whose code is generated in half the time; values in f32 are those of every level
ADDRESS_SPACE = 4 << 30  # bytes; the libraries of LLVM take some hundred MB of it


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Case(unittest.TestCase):
    """A folder of its own with a cache and temporary files of its own; commands run in it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="quantc-e2e-"))
        cls.temporary = cls.folder / "temporary"
        cls.temporary.mkdir()
        cls.environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cls.folder / "cache"), "TMPDIR": str(cls.temporary)}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def start(self, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "cwd": self.folder,
                   "env": self.environment, "preexec_fn": limited, **options}
        return subprocess.Popen([BIN / "quantc", *arguments], **options)

    def run_quantc(self, *arguments, **options):
        """Status, stdout, stderr; bytes that are not UTF-8 are replaced."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=1200)
        return process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")

    def done(self, *arguments, **options):
        status, out, err = self.run_quantc(*arguments, **options)
        self.assertEqual(status, 0, f"quantc {arguments}: {err}")
        self.assertNotIn("\r", err, "progress off a terminal is plain lines")
        return out

    def result(self, *arguments, keys=(), **options):
        """The JSON result, which is all that stdout has."""
        parsed = json.loads(self.done(*arguments, "--json", **options))
        for key in keys:
            self.assertIn(key, parsed, arguments)
        return parsed

    def files(self):
        return sorted(p for p in self.folder.rglob("*") if "cache" not in p.relative_to(self.folder).parts)

    def refused(self, *arguments, says, status=1, **options):
        """One clear line on stderr, nothing on stdout, and no file more than before."""
        before = self.files()
        found, out, err = self.run_quantc(*arguments, **options)
        what = f"quantc {' '.join(map(str, arguments))}\nstatus {found}, stderr: {err}"
        self.assertEqual(found, status, what)
        self.assertEqual(out, "", what)
        if status == 1:
            lines = [line for line in err.splitlines() if " %" not in line]  # but progress
            self.assertEqual(len(lines), 1, what)
            self.assertTrue(lines[0].startswith("quantc: error: "), what)
            self.assertLess(len(lines[0]), 1200, what)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, err, what)
        self.assertEqual(self.files(), before, what)

    def model(self, name, *arguments):
        """A tiny model: a folder, or a GGUF file where the name ends so."""
        path = self.folder / name
        subprocess.run([sys.executable, ROOT / "test/Import/Inputs/make_model.py", path, *arguments], check=True)
        return path


    @classmethod
    def shallow(cls):
        """The first two of the demo model's five blocks, for what takes long and says nothing of quality."""
        folder = cls.folder / "shallow"
        if not folder.exists():
            shutil.copytree(DEMO, folder)
            config = json.loads((DEMO / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
            with open(DEMO / "model.safetensors", "rb") as file:
                header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
                data, kept, content = file.read(), {}, b""
            for name, tensor in header.items():
                if name == "__metadata__" or name.startswith(tuple(f"model.layers.{block}." for block in (2, 3, 4))):
                    continue
                begin, end = tensor["data_offsets"]
                kept[name] = {**tensor, "data_offsets": [len(content), len(content) + end - begin]}
                content += data[begin:end]
            (folder / "model.safetensors").write_bytes(safetensors(kept, content))
        return folder


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def main():
    unittest.main(verbosity=2)
