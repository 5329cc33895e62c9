"""Models decoded into Hugging Face directories: from quantized directories against decoding in numpy (test/oracle/packed.py), from GGUF
files against the model that they were made of, their tokenizers against the library `tokenizers`.

    test/e2e/conversions.py BIN
"""
import json

import numpy
import tokenizers

import packed
from harness import DEMO, Case, main
from quantized_models import KINDS

TEXTS = ["Once upon a time, there was a cat.", "  two  spaces\n\n\tand 1234 <|endoftext|> more", "\u00dcn\u00efc\u00f6d\u00e9 \u96ea \U0001f328"]


def rounded(x, dtype):
    """f32 to f16 or bf16 and back, ties to even."""
    if dtype == "f16":
        return x.astype(numpy.float16).astype(numpy.float32)
    bits = x.view(numpy.uint32).astype(numpy.uint64)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16).astype(numpy.uint32).view(numpy.float32) if dtype == "bf16" else x


class Conversion(Case):
    def tensors_equal(self, got, want):
        self.assertEqual(set(got), set(want))
        self.assertEqual([n for n, t in want.items() if not numpy.array_equal(got[n].astype(numpy.float32), t.astype(numpy.float32))], [])


class FromQuantized(Conversion):
    def test_values(self):
        source = self.model("source", "--dtype", "F32", "--ffn", "128")
        for kind in ("gptq-3-asym-v1", "gptq-act-order", "awq", "bitsandbytes-nf4-nested", "bitsandbytes-int8", "compressed-4"):
            with self.subTest(kind):
                model = packed.replace_layers(source, self.folder / kind, *KINDS[kind])
                (model / "tokenizer_config.json").write_text("{}")
                want = packed.read_tensors(packed.decoded_model(model, self.folder / f"{kind}-decoded"))
                for dtype, name in (("f32", "float32"), ("bf16", "bfloat16"), ("f16", "float16")):
                    out = self.folder / f"{kind}-{dtype}"
                    self.result("convert", model, "-o", out, "--dequantize", dtype, keys=["output", "bytes", "tensors"])
                    self.tensors_equal(packed.read_tensors(out), {n: rounded(t, dtype) if t.ndim == 2 else t for n, t in want.items()})
                    config, own = (json.loads((folder / "config.json").read_text()) for folder in (out, source))
                    self.assertEqual(config, {**own, "torch_dtype": name})
                    self.assertEqual((out / "tokenizer_config.json").read_text(), "{}")

    def test_as_written_by_quantize(self):
        self.done("quantize", DEMO, "-o", "bnb", "--format", "nf4")  # the one container that carries it
        self.assertEqual(json.loads((self.folder / "bnb/config.json").read_text())["quantization_config"]["quant_method"], "bitsandbytes")
        self.done("convert", "bnb", "-o", "plain", "--dequantize", "bf16")
        self.assertEqual((self.folder / "plain/tokenizer.json").read_bytes(), (DEMO / "tokenizer.json").read_bytes())
        self.assertEqual(self.result("tokenize", "plain", "--text", "a cat")["ids"], self.result("tokenize", DEMO, "--text", "a cat")["ids"])
        self.refused("quantize", DEMO, "-o", "x", "--format", "int:4:g128", says=["several containers", "--container", "gptq", "awq"])
        self.refused("quantize", DEMO, "-o", "x", "--format", "q6_k", says=["no container", "q6_k", ".gguf"])
        self.refused("quantize", DEMO, "-o", "x", "--policy", "q4_k_m", says=["--container", "gptq", "bnb"])

    def test_requantize(self):
        self.done("quantize", DEMO, "-o", "four", "--container", "bnb", "--format", "nf4")
        convert = ["convert", "four", "-o", "gptq", "--container", "gptq"]
        self.refused(*convert, says=["does not carry nf4", "int", "--allow-requantize", "error"])
        self.refused(*convert, "--format", "int:8:g64", says="--format is for --allow-requantize")
        self.result(*convert, "--allow-requantize")
        self.done("quantize", "four", "-o", "same", "--container", "gptq", "--format", "int:4:g128", "--allow-requantize")
        self.assertTrue(self.result("compare", "gptq", "same")["equal"])
        self.done("convert", "four", "-o", "eight", "--container", "gptq", "--allow-requantize", "--format", "int:8:g64")
        self.assertLess(max(t["nmse"] for t in self.result("compare", "four", "eight")["tensors"]), 1e-4)
        gguf = ["convert", "four", "-o", "x.gguf", "--container", "gguf"]
        self.refused(*gguf, says=["no type for nf4", "--allow-requantize --format"])
        self.done(*gguf, "--allow-requantize", "--format", "q8_0")
        formats = {t["format"] for t in self.result("inspect", "x.gguf")["tensors"]}
        self.assertEqual(formats, {"q8_0", "bf16", "f32"}, "what GGUF has keeps its format")


class FromGguf(Conversion):
    def test_the_model_comes_back(self):
        self.done("convert", DEMO, "-o", "demo.gguf", "--dequantize", "bf16")
        self.done("convert", "demo.gguf", "-o", "back", "--dequantize", "bf16")
        self.tensors_equal(packed.read_tensors(self.folder / "back"), packed.read_tensors(DEMO))
        config, own = (json.loads((folder / "config.json").read_text()) for folder in (self.folder / "back", DEMO))
        for key in ("architectures", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "num_key_value_heads",
                    "vocab_size", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings"):
            self.assertEqual(config[key], own[key], key)
        peer = tokenizers.Tokenizer.from_file(str(self.folder / "back/tokenizer.json"))
        original = tokenizers.Tokenizer.from_file(str(DEMO / "tokenizer.json"))
        for text in TEXTS:
            ids = original.encode(text).ids
            self.assertEqual(peer.encode(text).ids, ids)
            self.assertEqual(peer.decode(ids), original.decode(ids))
            self.assertEqual(self.result("tokenize", "back", "--text", text)["ids"], ids)

    def test_architectures(self):
        scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 1024}
        cases = {"llama": ["--arch", "llama", "--biases", "--set", "attention_bias=true"], "tied": ["--arch", "llama", "--tied"],
                 "scaled": ["--arch", "llama", "--set", f"rope_scaling={json.dumps(scaled)}"],
                 "linear": ["--arch", "llama", "--set", 'rope_scaling={"rope_type": "linear", "factor": 4.0}'],
                 "mistral": ["--arch", "mistral", "--set", "sliding_window=64"], "qwen2": ["--arch", "qwen2", "--set", "rope_theta=1000000.0"],
                 "windows": ["--arch", "qwen2", "--set", "sliding_window=64", "--set", "use_sliding_window=true", "--set",
                             'layer_types=["full_attention", "sliding_attention"]'],
                 "qwen3": ["--arch", "qwen3", "--head-dim", "32"]}
        for name, options in cases.items():
            with self.subTest(name):
                model = self.model(name, "--dtype", "F32", "--vocab", "2048", *options)
                for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
                    (model / file).write_bytes((DEMO / file).read_bytes())
                self.done("convert", model, "-o", f"{name}.gguf", "--dequantize", "f32")
                self.done("convert", f"{name}.gguf", "-o", f"{name}-back", "--dequantize", "f32")
                self.tensors_equal(packed.read_tensors(self.folder / f"{name}-back"), packed.read_tensors(model))
                config, own = (json.loads((folder / "config.json").read_text()) for folder in (self.folder / f"{name}-back", model))
                self.assertEqual(config["architectures"], own["architectures"])
                self.assertEqual(config["rope_scaling"], own.get("rope_scaling"))
                self.assertEqual(config["rope_theta"], own["rope_theta"])
                for key in ("layer_types", "attention_bias"):
                    self.assertEqual(config.get(key), own.get(key, ["sliding_attention"] * 2 if name == "mistral" and key == "layer_types" else None))

    def test_refused(self):
        self.model("odd.gguf", "--add", "rope_freqs.weight=8")  # factors near 1, of no rule
        self.refused("convert", "odd.gguf", "-o", "x", "--dequantize", "f32", says="config.json has no words for")


if __name__ == "__main__":
    main()
