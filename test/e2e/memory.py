#!/usr/bin/env python3
"""Budgets of memory: what is planned, what is measured, what is refused; and progress that programs read.

    test/e2e/memory.py BIN
"""
import json
import pathlib
import re
import time

from harness import DEMO, Case, main

GPTQ = ["--format", "q4_k", "--method", "gptq", "--calib", DEMO / "heldout.txt", "--calib-sequences", "8",
        "--calib-length", "256"]


def private_bytes(pid):
    """What no file backs, of a process and those that it started."""
    pids, total = {str(pid)}, 0
    for status in sorted(pathlib.Path("/proc").glob("[0-9]*/status"), key=lambda path: int(path.parent.name)):
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent, anonymous = re.search(r"PPid:\s+(\d+)", text), re.search(r"RssAnon:\s+(\d+) kB", text)
        if status.parent.name in pids or parent[1] in pids:
            pids.add(status.parent.name)
            total += int(anonymous[1]) * 1024 if anonymous else 0
    return total


class Memory(Case):
    def peak_of(self, *arguments):
        process = self.start(*arguments)
        peak = 0
        while process.poll() is None:
            peak = max(peak, private_bytes(process.pid))
            time.sleep(0.01)
        self.assertEqual(process.returncode, 0, process.stderr.read())
        process.stdout.close()
        process.stderr.close()
        return peak

    def test_plan_is_what_is_measured(self):
        for method in (GPTQ, ["--format", "q4_k"]):
            plan = self.result("quantize", DEMO, "-o", "planned.gguf", "--threads", "2", *method, "--dry-run",
                               keys=["memory_bytes", "least_memory_bytes", "scratch_bytes", "output_bytes", "seconds",
                                     "phases"])
            self.assertFalse((self.folder / "planned.gguf").exists(), "a dry run writes nothing")
            self.assertGreater(plan["seconds"], 0)
            peak = self.peak_of("quantize", DEMO, "-o", "measured.gguf", "--threads", "2", *method)
            ratio = plan["memory_bytes"] / peak
            self.assertTrue(0.8 < ratio < 1.8, f"{method}: planned {plan['memory_bytes']}, measured {peak}")
            written = (self.folder / "measured.gguf").stat().st_size
            self.assertTrue(0.8 < plan["output_bytes"] / written <= 1, (plan["output_bytes"], written))

    def test_budget_changes_no_byte(self):
        plan = self.result("quantize", DEMO, "-o", "out.gguf", "--threads", "1", *GPTQ, "--dry-run")
        least = plan["least_memory_bytes"]
        self.done("quantize", DEMO, "-o", "free.gguf", *GPTQ)
        # What a process has before it begins differs by some hundred KB from run to run.
        peak = self.peak_of("quantize", DEMO, "-o", "tight.gguf", "--threads", "1", *GPTQ, "--memory-budget",
                            str(least + (1 << 21)))
        self.assertEqual((self.folder / "free.gguf").read_bytes(), (self.folder / "tight.gguf").read_bytes())
        self.assertLess(peak, least * 1.1)

    def test_calibrate(self):
        calibrate = ["calibrate", DEMO, *GPTQ[4:]]
        status, _, error = self.run_quantc(*calibrate, "-o", "free.safetensors", "--memory-budget", "10M")
        least = int(re.search(r"a memory budget of 10 MB is too small: this takes at least (\d+) MB", error)[1]) * 10**6
        self.assertEqual(status, 1)
        self.done(*calibrate, "-o", "free.safetensors")
        tight = self.peak_of(*calibrate, "-o", "tight.safetensors", "-t", "1", "--memory-budget", str(least))
        self.assertLess(tight, least * 1.1)
        self.assertEqual((self.folder / "free.safetensors").read_bytes(), (self.folder / "tight.safetensors").read_bytes())

    def test_plan_of_an_artifact(self):
        of_file = self.result("quantize", DEMO, "-o", "x.gguf", *GPTQ, "--dry-run")
        of_artifact = self.result("compile", DEMO, "-o", "x.qm", *GPTQ, "--dry-run", keys=list(of_file))
        for key in ("output_bytes", "scratch_bytes"):
            self.assertEqual(of_artifact[key], of_file[key])
        self.assertFalse((self.folder / "x.gguf").exists() or (self.folder / "x.qm").exists(), "a dry run writes nothing")
        self.refused("compile", DEMO, "-o", "x.qm", "--dry-run", "--method", "llm-int8", says="is known when the model has read")
        self.refused("compile", DEMO, "-o", "x.qm", "--dry-run", "--budget", "4bpw", says="--dry-run does not know")

    def test_budgets_that_do_not_do(self):
        quantize = ["quantize", DEMO, "-o", "out.gguf", *GPTQ]
        self.refused(*quantize, "--memory-budget", "10M",
                     says=["a memory budget of 10 MB is too small", "at least", "MB"])
        self.refused(*quantize, "--memory-budget", "10M", "--dry-run", says="a memory budget of 10 MB is too small")
        for wrong in ("0", "-1", "much", "3X", ""):
            self.refused(*quantize, "--memory-budget", wrong, says="--memory-budget", status=2)
        self.refused("quantize", DEMO, "-o", "out.gguf", "--budget", "4bpw", "--calib", DEMO / "heldout.txt",
                     "--dry-run", says="--dry-run does not know")

    def test_progress_lines(self):
        status, out, err = self.run_quantc("quantize", DEMO, "-o", "lines.gguf", *GPTQ, "--json")
        self.assertEqual(status, 0, err)
        lines = [json.loads(line) for line in err.splitlines()]
        of_tensors = {line["note"]: line["nmse"] for line in lines if "nmse" in line}
        for tensor in json.loads(out)["tensors"]:
            if tensor["method"] == "gptq":
                self.assertEqual(of_tensors[tensor["name"].removesuffix(".weight")], tensor["nmse"])
        self.assertTrue(all(0 < line["done"] <= line["total"] and line["seconds_left"] >= 0 for line in lines))


if __name__ == "__main__":
    main()
