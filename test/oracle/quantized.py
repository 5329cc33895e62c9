#!/usr/bin/env python3
"""Quantized Hugging Face directories that other libraries write, read by quantc, and those that quantc writes, read by them.

    test/oracle/quantized.py BIN [--only NAME]

Read: transformers with bitsandbytes, GPTQModel, and compressed-tensors quantize the demo model. quantc's logits (exact, f32) are
compared with those of transformers, in f64, on the weights that the libraries themselves decode, with keys and values rounded to f16 as
quantc keeps them: within 2e-3.
Written: transformers loads what quantc wrote, and its logits are compared with those on the weights that numpy decodes
(packed.py). Kernels for GPTQ and AWQ compute in f16, so that their tolerance is that of f16. The codes of bitsandbytes are
compared one by one with those of quantc. By GPTQ and AWQ, ours must predict no worse than GPTQModel's on the same tokens. vLLM was
not run.
"""
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
from safetensors.torch import save_file

import common
import packed
from architectures import HalfCache

PROMPT = "Once upon a time, there was a little girl named Lily. She liked to play with her dog in the park."
EXACT, HALF, BRAIN = 2e-3, 6e-2, 0.3  # of logits; the last where a library decodes weights to the model's bf16
transformers.logging.disable_progress_bar()


def plain_model(weights):
    """The demo model in f64 with these weights, which are by name: in f32, keys and values near a tie of f16 round otherwise."""
    model = transformers.AutoModelForCausalLM.from_pretrained(common.DEMO_MODEL, dtype=torch.float32).eval()
    state = {name: torch.as_tensor(numpy.asarray(t)) if not torch.is_tensor(t) else t.float() for name, t in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name == "lm_head.weight" for name in missing), (missing, unexpected)
    return model.double()


def logits_of(model, ids, half_cache=False):
    cache = {"past_key_values": HalfCache(), "use_cache": True} if half_cache else {"use_cache": False}
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids)[None], **cache).logits[0].float().numpy()


class Comparison:
    def __init__(self, program, folder, model=common.DEMO_MODEL):
        self.program, self.folder, self.model = program, folder, model
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.ids = self.tokenizer(PROMPT).input_ids

    def difference(self, got, want, limit, what):
        worst, top = float(abs(got - want).max()), float((got.argmax(-1) == want.argmax(-1)).mean())
        return f"{what}: largest difference of logits {worst:.1e} of up to {abs(want).max():.1f}, top tokens {top:.0%} equal", worst < limit

    def read(self, directory, weights):
        """Ours on a directory of theirs; `weights` as they decode it."""
        decoded = packed.decode(directory)
        off = [name for name, t in weights.items() if not numpy.array_equal(decoded[name], t.float().numpy())]
        plain = packed.decoded_model(directory, directory.with_name(directory.name + "-decoded"))
        equal = self.program("compare", directory, plain, as_json=True)["equal"]
        got = self.program.logits(directory, [self.ids], "--precision", "exact")[0]
        text, good = self.difference(got, logits_of(plain_model(weights), self.ids, half_cache=True), EXACT, "read")
        return (f"{text}; numpy decodes {len(off)} of {len(weights)} tensors otherwise than the library, quantc "
                f"{'as numpy' if equal else 'OTHERWISE than numpy'}", good and equal and not off)

    def written(self, container, spec, dtype, limit, *options):
        """Theirs on a directory of ours."""
        out = self.folder / "-".join((container, spec, *options)).replace(":", "-")
        calibration = ["--calib", self.calibration()[1]] * bool(options)
        self.program("quantize", common.DEMO_MODEL, "-o", out, "--container", container, "--format", spec, *options, *calibration)
        return self.loaded(out, dtype, limit)

    def converted(self, container, dtype, limit, **options):
        """Theirs on what we made of a directory of theirs."""
        source = self.gptqmodel(**options)
        out = source.with_name(f"{source.name}-as-{container}")
        self.program("convert", source, "-o", out, "--container", container)
        text, good = self.loaded(out, dtype, limit)
        was, now = (json.loads((d / "config.json").read_text())["quantization_config"] for d in (source, out))
        return f"{text}; desc_act {now['desc_act']}", good and now["desc_act"] == was["desc_act"]

    def loaded(self, out, dtype, limit):
        model = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=dtype, device_map="cpu").eval()
        plain = plain_model(packed.decode(out))
        want = logits_of(plain, self.ids)
        ours = self.program.logits(out, [self.ids], "--precision", "exact")[0]
        text, good = self.difference(logits_of(model, self.ids), want, limit, "written")
        text2, good2 = self.difference(ours, logits_of(plain, self.ids, half_cache=True), EXACT, "ours")
        return f"{text}; {text2}", good and good2

    # bitsandbytes

    def bitsandbytes_directory(self, kind, nested=False):
        out = self.folder / f"theirs-{kind}{'-nested' * nested}"
        config = transformers.BitsAndBytesConfig(load_in_8bit=True) if kind == "int8" else transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested, bnb_4bit_compute_dtype=torch.float32)
        model = transformers.AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32, quantization_config=config,
                                                                  device_map="cpu")
        model.save_pretrained(out)
        self.tokenizer.save_pretrained(out)
        return out

    def bitsandbytes(self, kind, nested=False):
        out = self.bitsandbytes_directory(kind, nested)
        return self.read(out, bitsandbytes_weights(out))

    def codes(self, spec):
        """Our codes beside those of bitsandbytes on the same weights."""
        from bitsandbytes import functional
        kind, _, nested = spec.partition(":")
        out = self.folder / f"codes-{spec}".replace(":", "-")
        self.program("quantize", common.DEMO_MODEL, "-o", out, "--container", "bnb8" if kind == "int8_row" else "bnb", "--format", spec)
        ours, parts = packed.read_tensors(out), {}
        codes = values = total = 0
        farthest = 0.0  # of a weight whose value differs, from the middle of the two
        for name, t in packed.read_tensors(common.DEMO_MODEL).items():
            if t.ndim != 2 or ".layers." not in name:
                continue
            weight = torch.from_numpy(t).bfloat16()  # which they are in the file
            if kind == "int8_row":
                theirs, largest, _ = functional.int8_vectorwise_quant(weight.half())
                others = {"SCB": largest.numpy()}
                scaled = (t * 127.0 / largest.numpy()[:, None]).reshape(-1)
                got, want = (x.reshape(-1).astype(numpy.float32) for x in (ours[name], theirs.numpy()))
                codes += (got != want).sum()
            else:
                theirs, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=bool(nested))
                others = {f"weight.{k}": v.numpy() for k, v in state.as_dict(packed=True).items()}
                scaled = (t.reshape(-1, 64) / abs(t).reshape(-1, 64).max(1, keepdims=True)).reshape(-1)
                got, want = (numpy.stack([x >> 4, x & 15], -1).reshape(-1) for x in (ours[name], theirs.numpy()))
                codes += (got != want).sum()
                got, want = packed.TABLES[kind][got], packed.TABLES[kind][want]
            values, total = values + (got != want).sum(), total + got.size
            farthest = max(farthest, abs(scaled - (got + want) / 2)[got != want].max(initial=0))
            for part, other in others.items():
                mine = ours[name.removesuffix("weight") + part]
                count, of = parts.get(part.split("__")[0], (0, 0))
                parts[part.split("__")[0]] = (count + (mine.size if mine.shape != other.shape else (mine != other).sum()), of + other.size)
        text = "".join(f"; {part} {count} of {of}" for part, (count, of) in parts.items())
        return (f"{codes} of {total} codes differ, {values} of their values, all within {farthest:.0e} of a threshold{text}",
                farthest < (1e-4 if kind == "int8_row" else 2**-21) and values <= total * 1e-3)

    # GPTQModel

    def calibration(self):
        """Sequences of ids of stories that neither training nor the held-out text has; the same in a file for quantc."""
        stories = [sys.executable, common.ROOT / "scripts" / "demo-model" / "stories.py", "--seed", "20000000", "--count", "150"]
        ids = self.tokenizer(subprocess.run(stories, capture_output=True, text=True, check=True).stdout).input_ids
        chunks = [ids[i:i + 256] for i in range(0, 64 * 256, 256)]
        file = self.folder / "calibration.jsonl"
        file.write_text("".join(json.dumps({"input_ids": c}) + "\n" for c in chunks))
        return chunks, file

    def gptqmodel(self, **options):
        """A directory of GPTQModel's."""
        from gptqmodel import GPTQModel, QuantizeConfig
        out = self.folder / ("gptq-" + "-".join(f"{k}{v}" for k, v in options.items()))
        if not out.exists():
            config = QuantizeConfig(**{"group_size": 128, "method": "gptq", "format": "gptq", "offload_to_disk": False,
                                       "act_group_aware": False, "desc_act": False, **options})
            dtype = torch.float16 if config.method == "awq" else torch.float32  # its AWQ takes no f32
            model = GPTQModel.load(str(self.model), config, device="cpu", dtype=dtype)
            chunks, _ = self.calibration()
            model.quantize([{"input_ids": c, "attention_mask": [1] * len(c)} for c in chunks], batch_size=1, calibration_data_min_length=1)
            model.save(str(out))
        return out

    def evaluate(self, model, *texts):
        """What `perplexity` finds on each text, beside the model as it is; both run by quantc."""
        plain, artifact = self.folder / "plain.qm", self.folder / "quantized.qm"
        if not plain.exists():
            self.program("compile", self.model, "-o", plain, "--precision", "float")
        self.program("compile", model, "-o", artifact, "--precision", "float")
        return [self.program("perplexity", artifact, "--text", text, "--ctx", 256, "--reference", plain, as_json=True) for text in texts]

    def quantized(self, container, spec, by, *options):
        """A directory of ours."""
        out = self.folder / "-".join(("ours", container, spec, by, *options)).replace(":", "-")
        learned = ["--method", by, "--calib", self.calibration()[1], *options] if by != "rtn" else []
        self.program("quantize", self.model, "-o", out, "--container", container, "--format", spec, *learned)
        return out

    def quality(self, spec, by, **options):
        """Ours and GPTQModel's by the same method, on the same tokens, in the same container."""
        container = options.get("format", "gptq").replace("gemm", "awq")
        directories = self.quantized(container, spec, by), self.gptqmodel(**options), self.quantized(container, spec, "rtn")
        ours, theirs, rounding = (self.evaluate(d, common.DEMO_MODEL / "heldout.txt")[0]["kl_divergence"] for d in directories)
        return f"KL divergence: ours {ours:.2e}, GPTQModel {theirs:.2e}, rounding {rounding:.2e}", ours <= theirs

    def gptq(self, **options):
        from gptqmodel import BACKEND, GPTQModel
        out = self.gptqmodel(**options)
        theirs = GPTQModel.load(str(out), backend=BACKEND.GPTQ_TORCH, device="cpu", dtype=torch.float16).model.eval()
        weights = {name: torch.from_numpy(t) for name, t in packed.read_tensors(out).items()
                   if name.rsplit(".", 1)[1] not in ("qweight", "qzeros", "scales", "g_idx")}
        for name, module in theirs.named_modules():
            if hasattr(module, "qweight"):
                module.scales = module.scales.float()  # the f32 product, not rounded to f16
                weights[f"{name}.weight"] = module.dequantize_weight().T.contiguous()
        return self.read(out, weights)

    def awq(self, **options):
        from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
        out, parts = self.gptqmodel(**options), (".qweight", ".qzeros", ".scales")
        tensors = {name: torch.from_numpy(t) for name, t in packed.read_tensors(out).items()}
        weights = {name: t for name, t in tensors.items() if not name.endswith(parts)}
        for name in [n.removesuffix(".qweight") for n in tensors if n.endswith(".qweight")]:
            codes, zeros, scales = (tensors[name + part] for part in parts)
            group = len(codes) // len(scales)
            weights[f"{name}.weight"] = dequantize_gemm(codes, zeros, scales.float(), options["bits"], group).T.contiguous()
        return self.read(out, weights)

    def awq_gemv(self, **options):
        """Only its CUDA kernels decode this order: the weights are those of the same search in the other order."""
        same = packed.decode(self.gptqmodel(**{**options, "format": "gemm"}))
        return self.read(self.gptqmodel(**options), {name: torch.from_numpy(t) for name, t in same.items()})

    # compressed-tensors

    def compressed(self, bits, group, symmetric):
        from compressed_tensors.compressors import compress_module, decompress_module
        from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme, apply_quantization_config
        out = self.folder / f"compressed-{bits}-{group}-{symmetric}"
        model = transformers.AutoModelForCausalLM.from_pretrained(common.DEMO_MODEL, dtype=torch.float32)
        arguments = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy="group" if group else "channel",
                                     group_size=group)
        config = QuantizationConfig(config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=arguments)},
                                    ignore=["lm_head"], format="pack-quantized")
        apply_quantization_config(model, copy.deepcopy(config))
        rng, weights = numpy.random.default_rng(5), {}
        for name, module in model.named_modules():
            if not hasattr(module, "weight_scale"):
                continue
            grouped = module.weight.reshape(module.weight_scale.shape[0], -1, group or module.weight.shape[1])
            low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
            if symmetric:
                module.weight_scale.data = torch.maximum(-low, high) / ((2**bits - 1) / 2)
            else:
                module.weight_scale.data = (high - low) / (2**bits - 1)
                zero = -(2 ** (bits - 1)) - low / module.weight_scale
                module.weight_zero_point.data = zero.round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(module.weight_zero_point.dtype)
            compress_module(module)
            decompressed = copy.deepcopy(module)
            decompress_module(decompressed, leave_decompressed=False)
            weights[f"{name}.weight"] = decompressed.weight.detach()
        state = {name: t.contiguous().clone() for name, t in model.state_dict().items()}
        shutil.copytree(common.DEMO_MODEL, out)
        save_file(state, out / "model.safetensors", metadata={"format": "pt"})
        fields = json.loads((out / "config.json").read_text())
        config.quantization_status = "compressed"
        (out / "config.json").write_text(json.dumps({**fields, "quantization_config": json.loads(config.model_dump_json())}))
        return self.read(out, {**{n: t for n, t in state.items() if n.endswith("weight") and f"{n[:-7]}.weight_packed" not in state}, **weights})


def bitsandbytes_weights(directory):
    """Every weight as the library decodes it."""
    from bitsandbytes import functional
    tensors = {name: torch.from_numpy(t) for name, t in packed.read_tensors(directory).items()}
    result = {}
    for name, weight in tensors.items():
        if any(part in name for part in (".weight.", ".SCB", ".weight_format")):
            continue
        state = {n[len(name) + 1:]: t for n, t in tensors.items() if n.startswith(name + ".")}
        if state:
            quant_state = functional.QuantState.from_dict(state, device=torch.device("cpu"))
            result[name] = functional.dequantize_4bit(weight, quant_state).float()
        elif weight.dtype == torch.int8:
            result[name] = functional.int8_vectorwise_dequant(weight, tensors[name.removesuffix("weight") + "SCB"])
        else:
            result[name] = weight
    return result


def comparisons(c):
    for kind, nested in (("nf4", False), ("nf4", True), ("fp4", False), ("fp4", True), ("int8", False)):
        yield f"bitsandbytes {kind}{' nested' * nested}", c.bitsandbytes, (kind, nested), {}
    for spec in ("nf4", "nf4:dq", "fp4", "fp4:dq", "int8_row"):
        yield f"codes of {spec}", c.codes, (spec,), {}
    for bits in (2, 3, 4, 8):
        yield f"GPTQModel {bits} bits", c.gptq, (), {"bits": bits, "sym": True}
    yield "GPTQModel asymmetric v2", c.gptq, (), {"bits": 4, "sym": False, "format": "gptq_v2"}
    yield "GPTQModel act-order", c.gptq, (), {"bits": 4, "sym": True, "desc_act": True}
    awq = {"bits": 4, "sym": False, "method": "awq", "format": "gemm"}
    yield "GPTQModel AWQ", c.awq, (), awq
    yield "GPTQModel AWQ gemv", c.awq_gemv, (), {**awq, "format": "gemv"}
    for bits in (2, 3, 4):
        yield f"quality of GPTQ, {bits} bits", c.quality, (f"int:{bits}:g128", "gptq"), {"bits": bits, "sym": True}
    yield "quality of AWQ, 4 bits", c.quality, ("int:4:g128:asym", "awq"), awq
    for arguments in ((4, 128, True), (8, 128, True), (4, 64, False), (8, None, True), (8, None, False)):
        kind = f"{'symmetric' if arguments[2] else 'asymmetric'}{'' if arguments[1] else ', a scale for each row'}"
        yield f"compressed-tensors {arguments[0]} bits {kind}", c.compressed, arguments, {}
    f32, f16 = torch.float32, torch.float16
    for container, spec, dtype, limit in (
            ("bnb", "nf4", f32, BRAIN), ("bnb", "nf4:dq", f32, BRAIN), ("bnb", "fp4", f32, BRAIN), ("bnb8", "int8_row", f32, 1),
            ("compressed-tensors", "int:4:g128", f32, EXACT), ("compressed-tensors", "int:8:g128", f32, EXACT),
            ("compressed-tensors", "int:8:gK", f32, EXACT), ("compressed-tensors", "int:4:gK", f32, EXACT),
            ("compressed-tensors", "int:4:g128:asym", f32, EXACT), ("compressed-tensors", "int:8:gK:asym", f32, EXACT),
            ("gptq", "int:4:g128", f16, HALF), ("gptq", "int:8:g128", f16, HALF), ("gptq_v2", "int:4:g128:asym", f16, HALF),
            ("gptq", "int:3:g128", f16, HALF), ("gptq", "int:2:g64", f16, HALF), ("awq", "int:4:g128:asym", f16, HALF)):
        yield f"{container} {spec} in transformers", c.written, (container, spec, dtype, limit), {}
    yield "gptq by act-order in transformers", c.written, ("gptq", "int:4:g128", f16, HALF, "--method", "gptq", "--gptq-act-order"), {}
    for container in ("gptq", "gptq_v2"):
        yield (f"moved columns as {container} in transformers", c.converted, (container, f16, HALF),
               {"bits": 4, "sym": True, "desc_act": True})


def main():
    parser = common.parser(__doc__)
    parser.add_argument("--only", default="", help="comparisons whose name has this")
    options = parser.parse_args()
    report = common.Report()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # GPTQModel writes logs where it runs
        for name, comparison, arguments, keywords in comparisons(Comparison(options.bin, pathlib.Path(folder))):
            if options.only in name:
                report.run(name, lambda: comparison(*arguments, **keywords))
    report.finish()


if __name__ == "__main__":
    main()
