"""Quantized Hugging Face directories, read and written: against packing and decoding in numpy (test/oracle/packed.py).

    test/e2e/quantized_models.py BIN
"""
import json
import shutil

import numpy

import common
import packed
from harness import BIN, DEMO, Case, main

PROMPT = [[1, 7, 30, 2, 45, 17, 17, 8, 21]]


def gptq(bits, group=32, asymmetric=False, version=1, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": not asymmetric, "desc_act": False,
            "checkpoint_format": "gptq" if version == 1 else "gptq_v2", **more}


def awq(**more):
    return {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
            "modules_to_not_convert": None, **more}


def bitsandbytes(kind=None, nested=False):
    common = {"quant_method": "bitsandbytes", "load_in_8bit": kind is None, "load_in_4bit": kind is not None}
    return {**common, "bnb_4bit_quant_type": kind or "fp4", "bnb_4bit_use_double_quant": nested}


def compressed(bits, group, asymmetric):
    """Without groups: one scale for each row."""
    weights = {"num_bits": bits, "type": "int", "symmetric": not asymmetric, "strategy": "group" if group else "channel",
               "group_size": group, "dynamic": False}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}


def integers(pack, bits, group, asymmetric, seed=1, **options):
    """Packs random codes in place of a layer's weight."""
    rng = numpy.random.default_rng(seed)
    return lambda weight: pack(*packed.random_layer(rng, *weight.shape, bits, group, asymmetric), bits, group, **options)


def act_order(weight):
    """GPTQ with the columns of a group anywhere: layers of as many inputs share an order, as those of one input do in files."""
    K = weight.shape[1]
    groups = numpy.random.default_rng(K).permutation(numpy.arange(K) // 32)
    return integers(packed.pack_gptq, 4, 32, True, groups=groups)(weight)


KINDS = {
    **{f"gptq-{bits}{'-asym' * asymmetric}-v{version}": (gptq(bits, 32, asymmetric, version),
                                                         integers(packed.pack_gptq, bits, 32, asymmetric, version=version))
       for bits in (2, 3, 4, 8) for asymmetric in (False, True) for version in (1, 2)},
    "gptq-act-order": (gptq(4, 32, True, desc_act=True), act_order),
    "awq": (awq(), integers(packed.pack_awq, 4, 32, True)),
    "awq-symmetric": (awq(zero_point=False), integers(packed.pack_awq, 4, 32, False)),
    "awq-gemv": (awq(version="gemv"), integers(packed.pack_awq_gemv, 4, 32, True)),
    "awq-gemv-fast": (awq(version="gemv_fast"), integers(packed.pack_awq_fast, 4, 32, True)),
    **{f"bitsandbytes-{kind}{'-nested' * nested}": (bitsandbytes(kind, nested),
                                                    lambda w, kind=kind, nested=nested: packed.pack_bitsandbytes(w, kind, 64, nested))
       for kind in ("nf4", "fp4") for nested in (False, True)},
    "bitsandbytes-int8": (bitsandbytes(), packed.pack_int8),
    **{f"compressed-{bits}{'-asym' * asymmetric}": (compressed(bits, 32, asymmetric), integers(packed.pack_compressed, bits, 32, asymmetric))
       for bits in (3, 4, 8) for asymmetric in (False, True)},
    **{f"compressed-{bits}{'-asym' * asymmetric}-channel": (
           compressed(bits, None, asymmetric),
           lambda w, bits=bits, asymmetric=asymmetric: integers(packed.pack_compressed, bits, w.shape[1], asymmetric)(w))
       for bits in (4, 8) for asymmetric in (False, True)},
}
RUN = ("gptq-4-asym-v1", "gptq-3-v2", "awq", "bitsandbytes-nf4-nested", "bitsandbytes-fp4", "bitsandbytes-int8", "compressed-4",
       "compressed-8-asym-channel")


class Read(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.model(cls, "source", "--dtype", "F32", "--ffn", "128")

    def packed(self, name, kind=None, **changes):
        config, pack = KINDS[kind or name]
        return packed.replace_layers(self.source, self.folder / name, {**config, **changes}, pack)

    def test_values(self):
        for kind in KINDS:
            with self.subTest(kind):
                model = self.packed(kind)
                decoded = packed.decoded_model(model, self.folder / f"{kind}-decoded")
                self.assertTrue(self.result("compare", model, decoded)["equal"], kind)

    def test_act_order(self):
        """Only the order of sums differs from the same values in columns that lie as they are."""
        program, model = common.Program(BIN), self.packed("ordered", "gptq-act-order")
        decoded = packed.decoded_model(model, self.folder / "ordered-decoded")
        want, got = (program.logits(m, PROMPT, "--precision", "exact") for m in (decoded, model))
        self.assertLess(abs(want - got).max(), 1e-4 * abs(want).max())
        again = program.logits(model, PROMPT, "--precision", "exact", "--format", "f32")
        self.assertLess(abs(want - again).max(), 1e-4 * abs(want).max(), "also where the weights are encoded anew")

    def test_inspect(self):
        listed = {t["name"]: t for t in self.result("inspect", self.packed("inspected", "gptq-3-asym-v1"))["tensors"]}
        layer = listed["model.layers.0.mlp.up_proj.weight"]
        self.assertEqual((layer["format"], layer["shape"]), ("int:3:g32:asym", [128, 64]))
        self.assertEqual(layer["bytes"], 4 * (6 * 128) + 4 * (2 * 12) + 2 * 2 * 128 + 4 * 64)
        self.assertEqual(listed["model.embed_tokens.weight"]["format"], "f32")

    def test_logits(self):
        program = common.Program(BIN)
        for kind in RUN:
            with self.subTest(kind):
                model = self.packed(f"{kind}-run", kind)
                decoded = packed.decoded_model(model, self.folder / f"{kind}-run-decoded")
                want, got, fast = (program.logits(m, PROMPT, "--precision", precision)
                                   for m, precision in ((decoded, "exact"), (model, "exact"), (model, "fast")))
                self.assertTrue(numpy.array_equal(want, got), abs(want - got).max())
                self.assertLess(abs(want - fast).max(), 0.2 * abs(want).max(), "with int8 activations")


    def test_versions_without_a_key(self):
        """Files of AutoGPTQ's time: symmetric zero points tell which version they are of."""
        for bits in (2, 3, 4, 8):
            for version in (1, 2):
                with self.subTest(bits=bits, version=version):
                    kind = f"gptq-{bits}-v{version}"
                    model = self.packed(f"{kind}-old", kind)
                    decoded = packed.decoded_model(model, self.folder / f"{kind}-old-decoded")
                    config = json.loads((model / "config.json").read_text())
                    del config["quantization_config"]["checkpoint_format"]
                    (model / "config.json").write_text(json.dumps(config))
                    self.assertTrue(self.result("compare", model, decoded)["equal"])

    def test_ragged_groups(self):
        """Rows of one and a half groups, and of three and an eighth."""
        program, model = common.Program(BIN), self.model("ragged", "--arch", "qwen3", "--dtype", "F32", "--hidden", "96", "--ffn", "200")
        want, fast = (program.logits(model, PROMPT, "--format", "int:3:g64:asym", "--precision", precision) for precision in ("exact", "fast"))
        self.assertLess(abs(want - fast).max(), 0.2 * abs(want).max(), "with int8 activations")


class Refusals(Read):
    """One clear line each."""
    test_values = test_inspect = test_logits = test_act_order = test_ragged_groups = test_versions_without_a_key = None

    def change(self, name, change, kind="gptq-4-asym-v1"):
        """A packed model whose tensors `change` has changed."""
        model = self.packed(name, kind)
        tensors = packed.read_tensors(model)
        change(tensors)
        packed.save_file({n: numpy.ascontiguousarray(t) for n, t in tensors.items()}, model / "model.safetensors")
        return model

    def test_configuration(self):
        layer = "gptq-4-asym-v1"
        self.refused("inspect", self.packed("method", layer, quant_method="quip"), says=['"quip"', "awq, bitsandbytes, compressed-tensors"])
        self.refused("inspect", self.packed("none", layer, quant_method=None), says="missing or no text")
        model = self.packed("format", layer)
        config = json.loads((model / "config.json").read_text())
        del config["quantization_config"]["checkpoint_format"]
        (model / "config.json").write_text(json.dumps(config))
        self.refused("inspect", model, says=["lacks 'checkpoint_format'", "add it to config.json", '"gptq"', '"gptq_v2"', "each fits them"])
        model = self.change("neither", lambda t: t[f"model.layers.0.mlp.up_proj.qzeros"].__setitem__((0, 0), 0x55555555), "gptq-4-v1")
        config["quantization_config"]["sym"] = True
        (model / "config.json").write_text(json.dumps(config))
        self.refused("inspect", model, says=["lacks 'checkpoint_format'", "none fits them"])
        self.refused("inspect", self.packed("bits", layer, bits=9), says=["'bits' is 9"])
        self.refused("inspect", self.packed("five", layer, bits=5), says=["2, 3, 4 or 8 bits"])
        self.refused("inspect", self.packed("marlin", layer, checkpoint_format="marlin"), says="'checkpoint_format' is \"marlin\"")
        self.refused("inspect", self.packed("list", layer, bits=[4]), says="'bits' is [4]")

    def test_tensors(self):
        layer = "model.layers.1.mlp.down_proj"
        self.refused("inspect", self.change("missing", lambda t: t.pop(f"{layer}.scales")), says=[layer, "missing"])
        self.refused("inspect", self.change("short", lambda t: t.update({f"{layer}.qzeros": t[f"{layer}.qzeros"][:-1]})),
                     says=[f"{layer}.qzeros", "[3, 8], expected [4, 8]"])
        self.refused("inspect", self.change("type", lambda t: t.update({f"{layer}.qweight": t[f"{layer}.qweight"].astype(numpy.int64)})),
                     says=[f"{layer}.qweight", "I64, expected i32"])
        self.refused("inspect", self.change("empty", lambda t: t.update({f"{layer}.g_idx": numpy.zeros(0, numpy.int32)})), says=layer)
        self.refused("inspect", self.change("both", lambda t: t.update({f"{layer}.weight": numpy.zeros((2, 2), numpy.float32)})),
                     says=[layer, "both a weight and the parts of one"])
        self.refused("inspect", self.change("left", lambda t: [t.pop(n) for n in list(t) if ".q" in n or ".scales" in n or "g_idx" in n]),
                     says="there is none of its tensors")

    def test_version_that_zero_points_deny(self):
        model = self.packed("denied", "gptq-4-v2", checkpoint_format="gptq")
        self.refused("compare", model, model, says=["qzeros", "constant", "is 7: it has 8"])

    def test_quant_state(self):
        name = "model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4"

        def with_text(folder, text, *says):
            text = text if isinstance(text, bytes) else json.dumps(text).encode()
            change = lambda t: t.update({name: numpy.frombuffer(text, numpy.uint8)})  # noqa: E731
            model = self.change(folder, change, "bitsandbytes-nf4-nested")
            self.refused("compare", model, model, says=["quant_state" if "offset" in says[0] else "q_proj", *says])

        good = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [64, 64], "nested_blocksize": 256,
                "nested_dtype": "float32", "nested_offset": 0.5}
        with_text("s1", b"no JSON", "no valid JSON")
        with_text("s2", b"[" * 1000, "nested")
        with_text("s3", {**good, "shape": [1 << 40, 64]}, "a weight of")
        with_text("s4", {**good, "shape": [1 << 31, 1 << 31]}, "extents are 1..2^31")
        with_text("s5", {**good, "shape": [32, 64]}, "expected [1024, 1]")
        with_text("s6", {**good, "shape": "64x64"}, "do not say")
        with_text("s7", {**good, "blocksize": 48}, "expected")
        with_text("s8", {**good, "blocksize": -5}, "'blocksize' is -5")
        with_text("s9", {**good, "quant_type": "fp4"}, "'quant_type' is \"fp4\", expected \"nf4\"")
        with_text("s10", {k: v for k, v in good.items() if k != "nested_offset"}, "'nested_offset' is missing")
        with_text("s11", {**good, "nested_offset": "1"}, "'nested_offset'")
        with_text("s12", b" " * (1 << 17), "at most 65536")
        self.refused("inspect", self.change("s13", lambda t: t.pop(name), "bitsandbytes-nf4-nested"), says=["q_proj", "missing"])


WRITTEN = {"gptq": ("int:2:g64", "int:3:g128", "int:4:g128", "int:8:g128"), "gptq_v2": ("int:4:g64:asym", "int:3:g128:asym"),
           "awq": ("int:4:g128:asym", "int:4:g64"), "bnb": ("nf4", "nf4:dq", "fp4", "fp4:dq"), "bnb8": ("int8_row",),
           "compressed-tensors": ("int:4:g128", "int:8:g64", "int:4:g32:asym", "int:8:gK", "int:4:gK:asym")}


class Write(Case):
    def quantize(self, name, container, spec, source=DEMO):
        self.result("quantize", source, "-o", name, "--container", container, "--format", spec, keys=["output", "bytes", "tensors"])
        return self.folder / name

    def test_what_numpy_decodes(self):
        for container, specs in WRITTEN.items():
            for spec in specs:
                with self.subTest(container=container, format=spec):
                    name = f"{container}-{spec.replace(':', '-')}"
                    model = self.quantize(name, container, spec)
                    decoded = packed.decoded_model(model, self.folder / f"{name}-decoded")
                    self.assertTrue(self.result("compare", model, decoded)["equal"])
                    errors = {t["name"]: t["nmse"] for t in self.result("compare", DEMO, model)["tensors"]}
                    self.assertGreater(max(errors.values()), 0)
                    self.assertLess(max(errors.values()), 0.4 if ":2" in spec else 0.1)
                    shutil.rmtree(model), shutil.rmtree(decoded)

    def test_directory(self):
        model = self.quantize("directory", "gptq", "int:4:g128")
        config = json.loads((model / "config.json").read_text())
        self.assertEqual(config.pop("quantization_config"), {"quant_method": "gptq", "checkpoint_format": "gptq", "bits": 4, "group_size": 128,
                                                             "sym": True, "desc_act": False, "lm_head": False})
        self.assertEqual(config, json.loads((DEMO / "config.json").read_text()))
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            self.assertEqual((model / name).read_bytes(), (DEMO / name).read_bytes())
        ours, source = packed.read_tensors(model), packed.read_tensors(DEMO)
        kept = [name for name, t in source.items() if t.ndim == 1 or ".layers." not in name]
        self.assertEqual([n for n in kept if not numpy.array_equal(ours[n], source[n])], [])
        layers = [name.removesuffix(".weight") for name in source if name not in kept]
        self.assertEqual(set(ours), set(kept) | {f"{p}.{part}" for p in layers for part in ("qweight", "qzeros", "scales", "g_idx")})
        self.done("quantize", DEMO, "-o", "again", "--container", "gptq", "--format", "int:4:g128", "-t", "1")
        self.assertEqual((self.folder / "again/model.safetensors").read_bytes(), (model / "model.safetensors").read_bytes())
        self.done("convert", model, "-o", "decoded.gguf", "--dequantize", "f32")
        self.assertTrue(self.result("compare", model, "decoded.gguf")["equal"])

    def test_text(self):
        model = self.quantize("runs", "awq", "int:4:g128:asym")
        text = self.result("run", model, "-p", "Once upon a time", "-n", "8")["text"]
        self.assertTrue(text)

    def off_thresholds(self, kind, weight, *packings):
        """How many values two packings give otherwise; each within a few units in the last place of what parts the two."""
        ours, theirs = (packed.TABLES[kind][numpy.stack([x >> 4, x & 15], -1)].reshape(-1) for x in packings)
        blocks = weight.reshape(-1, 64)
        scaled = (blocks / abs(blocks).max(1, keepdims=True)).reshape(-1)
        self.assertLess(abs(scaled - (ours + theirs) / 2)[ours != theirs].max(initial=0), 2**-22)
        return (ours != theirs).sum()

    def test_as_bitsandbytes_encodes(self):
        source = packed.read_tensors(DEMO)
        for spec in ("nf4", "fp4", "nf4:dq"):
            kind, _, nested = spec.partition(":")
            ours = packed.read_tensors(self.quantize(f"encoded-{spec}".replace(":", "-"), "bnb", spec))
            other = 0
            for name, t in source.items():
                if t.ndim == 2 and ".layers." in name:
                    want = packed.pack_bitsandbytes(t, kind, 64, bool(nested))
                    for part, value in want.items():
                        got = ours[name.removesuffix("weight") + part]
                        if "quant_state" in part and not nested:
                            self.assertEqual(got.tobytes(), value.tobytes().replace(b"float32", b"bfloat16", 1))
                        elif part == "weight":
                            other += self.off_thresholds(kind, t, got, value)
                        elif "quant_state" not in part:
                            self.assertTrue(numpy.allclose(got, value, rtol=1e-6, atol=1e-9), part)
            print(f"{spec}: {other} of 3.9 million codes lie on the other side of a threshold")
            self.assertLess(other, 8000)

    def test_lossless(self):
        def same(a, b):
            return (self.folder / a / "model.safetensors").read_bytes() == (self.folder / b / "model.safetensors").read_bytes()

        def convert(a, b, container):
            self.result("convert", a, "-o", b, "--container", container)
            self.assertTrue(self.result("compare", a, b)["equal"])

        self.quantize("v1", "gptq", "int:4:g64")
        convert("v1", "v2", "gptq_v2")
        convert("v2", "back", "gptq")
        self.assertTrue(same("v1", "back"))
        convert("v2", "compressed", "compressed-tensors")
        convert("compressed", "third", "gptq")
        self.assertTrue(same("v1", "third"))
        convert("v1", "awq", "awq")
        # Columns keep their order where the container can say it.
        source = self.model("source", "--dtype", "F32", "--ffn", "128")
        packed.replace_layers(source, self.folder / "ordered", *KINDS["gptq-act-order"])
        convert("ordered", "ordered-v2", "gptq_v2")
        self.assertTrue(json.loads((self.folder / "ordered-v2/config.json").read_text())["quantization_config"]["desc_act"])
        decoded = packed.decoded_model(self.folder / "ordered-v2", self.folder / "ordered-decoded")
        self.assertTrue(self.result("compare", "ordered", decoded)["equal"])
        convert("ordered-v2", "ordered-back", "gptq")
        ours, theirs = (packed.read_tensors(self.folder / name) for name in ("ordered-back", "ordered"))
        self.assertEqual([n for n, t in theirs.items() if not numpy.array_equal(ours[n], t)], [])
        self.refused("convert", "ordered", "-o", "x", "--container", "awq", says=["down_proj", "act-order", "cannot say"])
        self.refused("convert", "v1", "-o", "x", "--container", "bnb", says=["does not carry int:g64", "nf4", "loses"])
        self.refused("convert", DEMO, "-o", "x", "--container", "gptq", says=["does not carry bf16", "use quantize"])

    def test_refusals(self):
        def quantize(container, *options):
            return ["quantize", DEMO, "-o", "refused", "--container", container, *options]

        self.refused(*quantize("zip", "--format", "nf4"), says=["'zip'", "gptq_v2", "bitsandbytes or bnb"])
        self.refused(*quantize("gptq", "--format", "nf4"), says=["container gptq does not carry nf4", "int"])
        self.refused(*quantize("gptq", "--format", "int:5"), says="2, 3, 4 or 8 bits")
        self.refused(*quantize("awq", "--format", "int:3"), says="AWQ files hold 4 bits")
        self.refused(*quantize("bnb", "--format", "q4_0"), says="does not carry")
        self.refused(*quantize("gptq", "--policy", "q4_k_m"), says="one format")
        self.done("convert", DEMO, "-o", "demo.gguf", "--dequantize", "bf16")
        self.refused("quantize", "demo.gguf", "-o", "refused", "--container", "gptq", "--format", "int:4", says="GGUF")
        (self.folder / "there").mkdir()
        (self.folder / "there" / "file").touch()
        self.refused("quantize", DEMO, "-o", "there", "--container", "gptq", "--format", "int:4:g128", says="is there already")
        self.refused("quantize", DEMO, "-o", "no/such", "--container", "gptq", "--format", "int:4:g128", says="cannot write here")
        self.quantize("once", "bnb", "nf4")
        self.refused("quantize", "once", "-o", "twice", "--container", "gptq", "--format", "int:4:g128",
                     says=["quantized already", "--allow-requantize"])

    def test_zero_point_of_zero(self):
        """Version 1 of the container has no code for it that all programs read alike."""
        positive = self.model("positive", "--dtype", "F32", "--ffn", "128")
        tensors = {name: abs(t) + 1 for name, t in packed.read_tensors(positive).items()}
        packed.save_file(tensors, positive / "model.safetensors")
        self.refused("quantize", positive, "-o", "x", "--container", "gptq", "--format", "int:4:g32:asym",
                     says=["'z' is 0", "another container"])
        self.quantize("with-zeros", "gptq_v2", "int:4:g32:asym", positive)


if __name__ == "__main__":
    main()
