"""What bench/gpu/bundle packs, on a GPU that the emulator plays, in an environment that has nothing else."""
import json
import subprocess
import tarfile

from harness import BIN, ROOT, Case, main

DRIVER = BIN.parent / "lib" / "libcuda-stand-in.so"


class Bundle(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        archive, cls.phases, cls.bundle = cls.folder / "bundle.tar.gz", cls.folder / "phases", cls.folder / "bundle"
        subprocess.run([ROOT / "bench/gpu/bundle", archive, "--bin", BIN, "--target", "sm_80", "--small", "--phases", cls.phases], check=True)
        assert archive.stat().st_size < 64 << 20
        with tarfile.open(archive) as tar:
            tar.extractall(cls.folder)

    def run_gpu(self, *arguments, status=0, driver=DRIVER):
        done = subprocess.run([self.bundle / "bin/quantc-gpu", "--cuda-library", driver, *map(str, arguments)],
                              capture_output=True, text=True, cwd=self.folder, env={"STAND_IN_PHASES": str(self.phases)}, timeout=1200)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_kernels_and_models_are_right(self):
        found = self.run_gpu("check", "--tokens", "1,9")
        self.assertIn("9 of 9 are right", found)  # two formats: one token, eight, any number twice; a model

    def test_finds_what_is_wrong(self):
        description = next(self.bundle.glob("kernels/int_4_g128-*-m1.json"))
        text = description.read_text()
        launch = json.loads(text)
        launch["format"] = "int:4:g64"  # the kernel takes the scales of other columns
        description.write_text(json.dumps(launch))
        found = self.run_gpu("--only", "int_4_g128-50x512-m1", "check", status=1)
        description.write_text(text)
        self.assertRegex(found, "BAD +int:4:g64 50x512 stream m 1 +[-+.e0-9]+, at most")
        self.assertIn("1 are wrong", found)

    def test_measures_kernels(self):
        self.run_gpu("--only", "int_4_g128", "-o", "kernels.json", "kernels", "--tokens", "9", "--rounds", "1", "--rotate", "1")
        result = json.loads((self.folder / "kernels.json").read_text())
        self.assertEqual([row["m"] for row in result["kernels"]], [9, 1, 8])
        for row in result["kernels"]:
            self.assertAlmostEqual(row["flops"] * row["seconds"], 2 * row["m"] * row["n"] * row["k"])
            self.assertAlmostEqual(row["bandwidth"] / result["copy_bandwidth"], row["bandwidth_share"])

    def test_fills_a_skeleton(self):
        self.run_gpu("fill", "bundle/skeletons/demo", "filled.qm")
        self.run_gpu("-o", "model.json", "model", "filled.qm", "-p", "4", "-n", "2")
        result = json.loads((self.folder / "model.json").read_text())
        self.assertGreater(result["decode_tps"], 0)
        whole = self.result("bench", self.bundle / "models/demo-int_4_g32.gpu.qm", "-p", "4", "-n", "2", "-r", "1", "--device", "cuda",
                            "--cuda-library", DRIVER, env={**self.environment, "STAND_IN_PHASES": str(self.phases)})
        self.assertEqual(result["bytes_per_token"], whole["bytes_per_token"])

    def test_says_that_there_is_no_gpu(self):
        self.assertIn("skipped: no CUDA driver", self.run_gpu("check", status=77, driver="none.so"))


if __name__ == "__main__":
    main()
