"""All kernels of a whole model through `ptxas`, for each GPU in targets/: what spills is known, and nothing else does."""
import json
import re
import shutil
import struct
import subprocess
import unittest

from harness import DEMO, ROOT, Case, main

# Kernels for any number of tokens, whose sums take only a few steps in this model: the most bytes that one of them spills.
# docs/GPU.md, "Registers", has these numbers.
MOST_SPILLED = {"sm_80": 8, "sm_86": 8, "sm_89": 8, "sm_90a": 0, "sm_100a": 0, "sm_120": 0}
MOST_REGISTERS = 92  # of all other kernels, which spill nothing


def tensors(path):
    """Of an artifact, by name."""
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    return header["__metadata__"]["quantc"], {name: data[slice(*entry["data_offsets"])] for name, entry in header.items()
                                              if name != "__metadata__"}


def kernels(report):
    """What `ptxas -v` says of each kernel: bytes spilled, registers."""
    found = re.findall(r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
                       report, re.DOTALL)
    return {name: (max(int(stores), int(loads)), int(registers)) for name, stores, loads, registers in found}


@unittest.skipUnless(shutil.which("ptxas"), "there is no ptxas: PTX is not assembled")
class Assembled(Case):
    def test_kernels_of_a_model(self):
        targets = sorted(path.stem for path in (ROOT / "targets").glob("sm_*.json"))
        self.assertEqual(targets, sorted(MOST_SPILLED))
        artifact = self.folder / "model.qm"
        self.done("compile", DEMO, "-o", artifact, "--format", "int:4:g128", *(a for target in targets for a in ("--target", target)))
        manifest, parts = tensors(artifact)
        gpu = json.loads(manifest)["gpu"]
        for target in targets:
            anyNumber = {variant["symbol"] for kernel in gpu["kernels"] if len(kernel["variants"][target]) > 1
                         for variant in kernel["variants"][target] if variant["most_tokens"] == 0}
            ptx = self.folder / f"{target}.ptx"
            ptx.write_bytes(parts[gpu["targets"][target]["ptx"]].rstrip(b"\0"))
            done = subprocess.run(["ptxas", "-v", f"-arch={gpu['targets'][target]['chip']}", ptx, "-o", self.folder / "cubin"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
            self.assertNotIn("warning", done.stdout, target)
            found = kernels(done.stdout)
            self.assertEqual(set(found), {variant["symbol"] for kernel in gpu["kernels"] for variant in kernel["variants"][target]})
            for name, (spilled, registers) in found.items():
                self.assertLessEqual(spilled, MOST_SPILLED[target] if name in anyNumber else 0, f"{target}: {name}")
                if name not in anyNumber:
                    self.assertLessEqual(registers, MOST_REGISTERS, f"{target}: {name}")


if __name__ == "__main__":
    main()
