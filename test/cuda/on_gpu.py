"""Kernels of all formats against f64, in the sizes of large models, and whole models against the processor: on the GPU of this
machine. Without one it says so and ends with 77, which CTest counts as skipped.

    python3 test/cuda/on_gpu.py BIN     BIN: the folder of quantc and quantc-gpu
"""
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.argv[1]).resolve()


def main():
    doctor = json.loads(subprocess.run([BIN / "quantc", "doctor", "--json"], check=True, capture_output=True, text=True).stdout)
    if not doctor["cuda_driver"]:
        print("skipped: this machine has no GPU of NVIDIA's with a driver")
        return 77
    # The best target that the GPU runs; they are listed in ascending order.
    target = [name for name, state in doctor["targets"].items() if name.startswith("sm_") and state is True][-1]
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "bundle.tar.gz"
        subprocess.run([ROOT / "bench/gpu/bundle", archive, "--bin", BIN, "--target", target, "--skeletons", ""], check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder)
        return subprocess.run([Path(folder) / "bundle/bin/quantc-gpu", "check"]).returncode


if __name__ == "__main__":
    sys.exit(main())
