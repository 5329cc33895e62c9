"""A model on a GPU that the emulator plays: libcuda-stand-in.so, built by the tests. The processor says what is right."""
from harness import BIN, DEMO, Case, main

DRIVER = BIN.parent / "lib" / "libcuda-stand-in.so"
PROMPT = "Once upon a time"


class OnGPU(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.environment["STAND_IN_PHASES"] = str(cls.folder / "phases")
        cls.gpu, cls.cpu = cls.folder / "gpu.qm", cls.folder / "cpu.qm"
        cls.device = ["--device", "cuda", "--cuda-library", DRIVER]

    def setUp(self):
        if not self.gpu.exists():
            self.done("compile", DEMO, "-o", self.gpu, "--format", "int:4:g32", "--target", "sm_80", "--dump-phases=phases")
            self.done("compile", DEMO, "-o", self.cpu, "--format", "int:4:g32", "--precision", "exact")

    def test_writes_the_text_of_the_processor(self):
        options = ["-p", PROMPT, "-n", "6", "-c", "64", "--temp", "0"]
        expected = self.result("run", self.cpu, *options)
        found = self.result("run", self.gpu, *options, *self.device)
        self.assertEqual(len(expected["tokens"]), 6)
        self.assertEqual(found["tokens"], expected["tokens"])
        self.assertEqual(found["text"], expected["text"])
        # Drawn from the 40 most likely tokens, which the GPU finds.
        options = ["-p", PROMPT, "-n", "4", "-c", "64", "--temp", "0.8", "--top-k", "40", "--seed", "7"]
        expected = self.result("run", self.cpu, *options)
        self.assertEqual(self.result("run", self.gpu, *options, *self.device)["tokens"], expected["tokens"])

    def test_predicts_as_the_processor(self):
        found = self.result("perplexity", self.gpu, "--text", DEMO / "heldout.txt", "--ctx", "16", "--chunks", "2",
                            "--reference", self.cpu, *self.device)
        self.assertEqual(found["tokens"], 14)
        # Logits are off by a few 2^-11 of their size, and of the divergence only squares remain.
        self.assertLess(found["kl_divergence"], 1e-4)
        self.assertEqual(found["top1"], 1)

    def test_a_part_of_the_layers(self):
        both = self.folder / "both.qm"
        self.done("compile", DEMO, "-o", both, "--format", "int:4:g32", "--target", "sm_80", "--target", "x86-64-v3", "--dump-phases=phases")
        options = ["-p", PROMPT, "-n", "6", "-c", "64", "--temp", "0"]
        expected = self.result("run", self.cpu, *options)
        for layers in ("0", "3", "6"):
            found = self.result("run", both, *options, "-ngl", layers, "--cuda-library", DRIVER)
            self.assertEqual(found["tokens"], expected["tokens"], layers)
        found = self.result("bench", both, "-p", "4", "-n", "2", "-r", "1", "--gpu-layers", "2", "--cuda-library", DRIVER)
        self.assertEqual(found["target"], "sm_80+x86-64-v3")

    def test_bench(self):
        found = self.result("bench", self.gpu, "-p", "4", "-n", "2", "-r", "1", *self.device,
                            keys=["prefill_tps", "decode_tps", "bytes_per_token"])
        self.assertEqual(found["target"], "sm_80")
        found = self.result("bench", self.gpu, "-p", "2", "-n", "1", "-r", "1", "--batch", "2", *self.device)
        self.assertEqual([row["sequences"] for row in found["batches"]], [2])

    def test_what_is_missing(self):
        self.refused("run", self.gpu, "-p", "x", says="holds code for GPUs only")
        self.refused("run", self.cpu, "-p", "x", *self.device, says="holds no code for GPUs; it has x86-64")
        for option in (["--device", "cuda"], ["-ngl", "99"], ["--gpu-layers", "all"]):
            self.refused("run", self.gpu, "-p", "x", *option, "--cuda-library", "none.so", says="no CUDA driver: none.so")
        self.refused("run", self.gpu, "-p", "x", "-ngl", "3", "--cuda-library", DRIVER, says="to have 3 of 5 on a GPU")
        self.refused("run", self.cpu, "-p", "x", "-ngl", "3", "--cuda-library", DRIVER, says="holds no code for GPUs; it has x86-64")
        self.refused("run", self.gpu, "-p", "x", "-ngl", "0", says="holds code for GPUs only")
        self.refused("run", self.gpu, "-p", "x", "-ngl", "-1", says="--gpu-layers", status=2)
        self.refused("run", self.gpu, "-p", "x", "--device", "tpu", says="--device", status=2)


if __name__ == "__main__":
    main()
