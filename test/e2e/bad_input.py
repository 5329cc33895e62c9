"""Bad input, end to end: one clear line, exit 1, no partial output, memory within a limit, never a crash."""
import json
import math
import os
import shutil
import struct
import subprocess

from harness import DEMO, Case, main, safetensors


class Directories(Case):
    """Hugging Face directories. What is wrong is found before anything is encoded."""

    def setUp(self):
        self.here = self.model("model", "--arch", "llama")
        self.weights = (self.here / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", self.weights[:8])[0]
        self.header, self.data = json.loads(self.weights[8:8 + length]), self.weights[8 + length:]

    def tearDown(self):
        shutil.rmtree(self.here)

    def compile_says(self, *says):
        self.refused("compile", self.here, "-o", "x.qm", says=says)

    def weights_say(self, content, *says):
        (self.here / "model.safetensors").write_bytes(content)
        self.compile_says(str(self.here), *says)

    def header_says(self, change, *says):
        header = json.loads(json.dumps(self.header))
        change(header, list(header))
        self.weights_say(safetensors(header, self.data), *says)

    def test_truncated_safetensors(self):
        for size in (0, 7, 8, 9, 200, len(self.weights) // 2, len(self.weights) - 1):
            self.weights_say(self.weights[:size])
        self.weights_say(self.weights + b"x")

    def test_safetensors_headers(self):
        self.weights_say(struct.pack("<Q", 1 << 62) + self.weights[8:])
        self.weights_say(safetensors(b"[1, 2]", self.data))
        self.weights_say(safetensors(b"{" * 1000, self.data))
        self.weights_say(safetensors(b'{"a": "\xff"}', self.data))

        def offsets(begin, end):
            def change(header, names):
                header[names[1]]["data_offsets"] = [begin, end]
            return change
        size = self.header[list(self.header)[1]]["data_offsets"]
        self.header_says(offsets(0, size[1] - size[0]))  # lies over another tensor
        self.header_says(offsets(size[0], 1 << 50))
        self.header_says(offsets(size[1], size[0]))
        self.header_says(offsets(-1, 5))

        def field(key, value):
            def change(header, names):
                header[names[1]][key] = value
            return change
        self.header_says(field("shape", [1 << 32, 1 << 32]))
        self.header_says(field("shape", [1 << 63]))
        self.header_says(field("shape", [-64]))
        self.header_says(field("shape", 3.5))
        self.header_says(field("dtype", "F31"), "F31")
        self.header_says(field("dtype", "I64"))
        self.header_says(lambda header, names: header.pop(names[1]))

    def test_index(self):
        index = self.here / "model.safetensors.index.json"
        shard = self.here / "model-00001-of-00001.safetensors"
        (self.here / "model.safetensors").rename(shard)
        names = {name: shard.name for name in self.header if name != "__metadata__"}
        first = next(iter(names))

        def says(text, *parts):
            index.write_text(text if isinstance(text, str) else json.dumps(text))
            self.compile_says(*parts)
        says("{", str(index))
        says({"weight_map": 3}, "weight_map")
        says({"weight_map": {**names, first: "missing.safetensors"}}, "missing.safetensors")
        says({"weight_map": {**names, first: "../model.safetensors"}})
        says({"weight_map": {**names, "ghost.weight": shard.name}}, "ghost.weight")

    def test_config(self):
        config = json.loads((self.here / "config.json").read_text())

        def says(change, *parts):
            text = change if isinstance(change, str) else json.dumps({**config, **change})
            (self.here / "config.json").write_text(text)
            self.compile_says(*parts)
        for text in ("", "{", "[]", "[" * 100000, "\xff", '{"a": 1, "a": 2}'):
            says(text, "config.json")
        says({"architectures": ["GhostForCausalLM"]}, "GhostForCausalLM", "LlamaForCausalLM")
        says({"architectures": None}, "architectures")
        says({"hidden_size": 1 << 20}, "shape")
        says({"num_hidden_layers": 4096}, "missing")
        says({"num_hidden_layers": 1}, "model.layers.1")
        says({"num_hidden_layers": 1 << 62}, "num_hidden_layers")
        says({"num_key_value_heads": 3}, "num_key_value_heads")
        says({"vocab_size": 47}, "shape")
        says({"vocab_size": "many"}, "vocab_size")
        says({"rms_norm_eps": -1}, "rms_norm_eps")
        says({"rope_scaling": {"rope_type": "yarn"}}, "yarn")
        says({"hidden_act": "relu"}, "relu")
        says({"quantization_config": {"quant_method": "gptq"}}, "lacks 'checkpoint_format'")
        os.unlink(self.here / "config.json")
        self.compile_says("config.json is missing")

    def test_tensors(self):
        for change, parts in ((["--drop", "model.norm.weight"], ["'model.norm.weight' is missing"]),
                              (["--add", "ghost.weight=2x3"], ["ghost.weight"]),
                              (["--shape", "model.norm.weight=65"], ["model.norm.weight", "65"])):
            self.model("model", "--arch", "llama", *change)
            self.compile_says(*parts)
            self.model("model", "--arch", "llama")

    def test_weights_that_are_no_numbers(self):
        for tensor, index, number, says in (("model.layers.0.mlp.up_proj.weight", 3 * 64 + 5, math.nan, ["blk.0.ffn_up", "row 3, column 5", "nan"]),
                                            ("model.norm.weight", 7, -math.inf, ["output_norm", "row 0, column 7", "-inf"])):
            at = self.header[tensor]["data_offsets"][0] + 4 * index
            data = self.data[:at] + struct.pack("<f", number) + self.data[at + 4:]
            (self.here / "model.safetensors").write_bytes(safetensors(self.header, data))
            for format in ("int:8:g32", "f32"):  # the matrix is encoded, and kept
                self.refused("compile", self.here, "-o", "x.qm", "--format", format, says=says)
            # In a directory for other programs too, whose tensors have the names of the model.
            self.refused("quantize", self.here, "-o", "x", "--container", "gptq", "--format", "int:8:g32", says=says[1:])

    def test_tokenizers(self):
        tokenizer = self.here / "tokenizer.json"
        demo = json.loads((DEMO / "tokenizer.json").read_text())

        def says(content, *parts):
            tokenizer.write_text(content if isinstance(content, str) else json.dumps(content))
            self.refused("tokenize", self.here, "--text", "x", says=[str(self.here), *parts])
        self.refused("tokenize", self.here, "--text", "x", says="neither tokenizer.json nor tokenizer.model")
        self.refused("quantize", self.here, "-o", "x.gguf", "--format", "f16", says="neither tokenizer.json nor tokenizer.model")
        for text in ("", "{", "{}", "[" * 100000, '{"model": 3}'):
            says(text)
        says({**demo, "model": {**demo["model"], "type": "Unigram"}}, "Unigram")
        says({**demo, "model": {**demo["model"], "merges": ["Once upon"]}}, "Once")
        says({**demo, "model": {**demo["model"], "vocab": {"a": 1 << 40}}}, "2^24")
        says({**demo, "model": {**demo["model"], "vocab": {"a": -1}}})
        says({**demo, "model": {**demo["model"], "vocab": {"a": 1e300}}})
        broken = {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False}
        says({**demo, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [broken, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}}, "(a")
        says({**demo, "pre_tokenizer": broken}, "ByteLevel")  # the decoder is one of bytes, the rest of characters
        says({**demo, "pre_tokenizer": {"type": "Whisper"}}, "Whisper")
        nested = {"type": "Sequence", "normalizers": []}
        for _ in range(200):
            nested = {"type": "Sequence", "normalizers": [nested]}
        says({**demo, "normalizer": nested})
        tokenizer.write_text(json.dumps(demo))  # of another model: 1024 tokens for a vocabulary of 48
        for command in (["quantize", "-o", "x.gguf", "--format", "f16"], ["compile", "-o", "x.qm"]):
            self.refused(command[0], self.here, *command[1:], says=[str(self.here), "1024", "48", "another model"])
        tokenizer.unlink()
        for content in (b"", b"\x0a", b"not a model", os.urandom(1000)):
            (self.here / "tokenizer.model").write_bytes(content)
            self.refused("tokenize", self.here, "--text", "x", says="tokenizer.model")


class GgufFiles(Case):
    def says(self, content, *parts):
        path = self.folder / "damaged.gguf"
        path.write_bytes(content)
        for command in (["compile", path, "-o", "x.qm"], ["quantize", path, "-o", "x.gguf", "--format", "f16"], ["inspect", path]):
            self.refused(*command, says=[str(path), *parts])

    def test_weights_that_are_no_numbers(self):
        whole = self.model("model.gguf", "--arch", "llama").read_bytes()
        path, matrix = self.folder / "damaged.gguf", 4 * 48 * 64  # the last tensor, behind a norm
        for end, says in ((len(whole), ["output.weight", "row 47, column 63", "nan"]),
                          (len(whole) - matrix, ["output_norm.weight", "row 0, column 63", "nan"])):
            path.write_bytes(whole[:end - 4] + struct.pack("<f", math.nan) + whole[end:])
            for format in ("q8_0", "f32"):
                self.refused("quantize", path, "-o", "x.gguf", "--format", format, says=says)

    def test_damage(self):
        whole = self.model("model.gguf", "--arch", "llama").read_bytes()
        for size in (4, 8, 23, 24, 100, 1000, len(whole) // 2, len(whole) - 40):
            self.says(whole[:size])
        for size in (0, 3):
            path = self.folder / "damaged.gguf"
            path.write_bytes(whole[:size])
            self.refused("inspect", path, says=[str(path), "neither a GGUF file"])
        self.says(b"GGUF" + struct.pack("<I", 9) + whole[8:], "9")
        self.says(b"GGUF" + struct.pack(">I", 3) + whole[8:], "big-endian")
        for count in (1 << 20, 1 << 40, (1 << 64) - 1):  # of tensors; of keys
            self.says(whole[:8] + struct.pack("<Q", count) + whole[16:])
            self.says(whole[:16] + struct.pack("<Q", count) + whole[24:])
        name = b"token_embd.weight"
        at = whole.index(name) + len(name)
        self.says(whole[:at] + struct.pack("<I", 9) + whole[at + 4:])  # dimensions
        self.says(whole[:at + 4] + struct.pack("<QQ", 1 << 40, 1 << 40) + whole[at + 20:])
        self.says(whole[:at + 4] + struct.pack("<QQ", 0, 48) + whole[at + 20:])
        self.says(whole[:at + 20] + struct.pack("<I", 999) + whole[at + 24:], "999")
        self.says(whole[:at + 24] + struct.pack("<Q", 1 << 50) + whole[at + 32:])
        self.says(whole[:at + 24] + struct.pack("<Q", 1) + whole[at + 32:])
        (self.folder / "damaged.gguf").write_bytes(whole.replace(b"output_norm.weight", b"token_embd.weight\0"))
        for command in (["compile", "damaged.gguf", "-o", "x.qm"], ["quantize", "damaged.gguf", "-o", "x.gguf", "--format", "f16"]):
            self.refused(*command, says="damaged.gguf")
        length = whole.index(b"general.architecture") - 8
        self.says(whole[:length] + struct.pack("<Q", 1 << 60) + whole[length + 8:])

    def test_no_tokenizer(self):
        model = self.model("plain.gguf", "--arch", "llama")
        self.refused("tokenize", model, "--text", "x", says=[str(model), "tokenizer.ggml.model"])

    def test_meaning(self):
        for change, part in ((["--set", 'general.architecture="ghost"'], "ghost"), (["--set", "llama.block_count=3"], "missing"),
                             (["--set", "llama.embedding_length=1048576"], "shape"), (["--unset", "llama.context_length"], "missing"),
                             (["--drop", "output_norm.weight"], "output_norm.weight"), (["--add", "ghost.weight=2x3"], "ghost")):
            model = self.model("wrong.gguf", "--arch", "llama", *change)
            self.refused("compile", model, "-o", "x.qm", says=[str(model), part])


class Descriptions(Case):
    def quantize_says(self, *arguments, says):
        self.refused("quantize", DEMO, "-o", "x.gguf", *arguments, says=says)

    def test_formats(self):
        self.quantize_says("--format", "ghost", says="ghost")
        self.quantize_says("--format", "int:4:g0", says="int")
        self.quantize_says("--format", "q4_k:7", says="q4_k")
        self.quantize_says("--format", "nf4", says=["GGUF", "nf4"])
        self.quantize_says("--format-file", "none.qf", "--format", "none", says="none.qf")
        good = 'format mine "x"\nd : f16 per block\nq : u4 per weight\nvalue = d * (q - 8)\nblock 32 : 18 bytes { d q }\n'
        for text in ("", "\0", "format", "format mine", "\xff\xfe", good.replace("18 bytes", "17 bytes"), good.replace("{ d q }", "{ d d }"),
                     good.replace("block 32", "block 99999999999999999999"), good.replace("block 32", "block 1073741824"),
                     good.replace("(q - 8)", "(" * 10000 + "q" + ")" * 10000), good.replace("d * (q - 8)", "d * z"),
                     good.replace("u4", "u4000"), good + good):
            (self.folder / "mine.qf").write_text(text, encoding="latin-1")
            self.quantize_says("--format-file", "mine.qf", "--format", "mine", says="mine")

    def test_policies(self):
        self.quantize_says("--policy", "ghost", says=["ghost", "q4_k_m"])
        self.quantize_says("--policy", "./none.json", says="none.json")
        for text in ("", "{", "[]", "{}", '{"format": 3}', '{"format": "ghost"}', '{"format": "f16", "rules": 3}', '{"form": "f16"}',
                     '{"format": "f16", "rules": [{"tensor": "attn_v"}]}', '{"format": "f16", "fallbacks": "none.json"}', "[" * 100000,
                     '{"format": "f16", "rules": [{"layers": "odd", "format": "f32"}]}', '{"format": "f16", "rules": [3]}'):
            (self.folder / "mine.json").write_text(text)
            self.quantize_says("--policy", "./mine.json", says="")

    def test_shapes(self):
        model = self.model("tiny", "--arch", "llama")
        self.refused("compile", model, "-o", "x.qm", "--format", "q4_k", says=["token_embd", "256"])
        self.refused("compile", DEMO, "-o", "x.qm", "--format", "f16", "--require-fast", says="no fast kernel")
        self.refused("compile", model, "-o", "x.qm", "--target", "ghost", says="ghost")


class Outputs(Case):
    quantize = ["quantize", DEMO, "--format", "q8_0", "-o"]

    def test_places(self):
        (self.folder / "folder").mkdir()
        for place, part in (("none/x.gguf", "No such file"), ("folder", "no container"), ("folder/../folder", "no container"), ("/proc/x.gguf", "cannot write here"),
                            ("x.bin", ".gguf")):
            self.refused(*self.quantize, place, says=part)
        self.refused("quantize", DEMO, "--format", "q8_0", "--container", "gguf", "-o", "folder", says="is a folder")
        self.refused("quantize", DEMO, "--format", "q8_0", "--container", "gguf", "-o", "/dev/null", says="no regular file")
        self.refused("compile", DEMO, "-o", "none/x.qm", says="none")
        for model in ("none", "none/none", self.folder / "folder", "/dev/null", "/dev/zero"):
            self.refused("compile", model, "-o", "x.qm", says=str(model))
        self.refused("compile", "someone/something", "-o", "x.qm", says="hf download")

    def test_the_model_itself(self):
        self.done(*self.quantize, "m.gguf")
        before = (self.folder / "m.gguf").read_bytes()
        self.refused("quantize", "m.gguf", "-o", "m.gguf", "--format", "q4_0", "--allow-requantize", says="belongs to the model")
        self.refused("convert", "m.gguf", "-o", self.folder / "m.gguf", "--dequantize", "f16", says="belongs to the model")
        self.refused("compile", "m.gguf", "-o", "./m.gguf", says="belongs to the model")
        self.assertEqual((self.folder / "m.gguf").read_bytes(), before)
        copy = self.folder / "copy"
        shutil.copytree(DEMO, copy)
        self.refused("compile", copy, "-o", copy / "model.safetensors", says="belongs to the model")

    def on_disk(self, options, commands):
        """Runs commands that must fail on a file system with mount options."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], capture_output=True).returncode:
            self.skipTest("file systems cannot be mounted here")
        try:
            for command, says in commands:
                self.refused(*command, says=says)
            self.assertEqual(list(disk.iterdir()), [])
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_full_disk(self):
        self.on_disk("size=1m", [(self.quantize + ["disk/x.gguf"], "No space left"),
                                 (["convert", DEMO, "-o", "disk/x.gguf", "--dequantize", "f32"], "No space left"),
                                 (["compile", DEMO, "-o", "disk/x.qm", "--format", "q8_0"], "No space left")])

    def test_read_only_disk(self):
        self.on_disk("size=1m,ro", [(self.quantize + ["disk/x.gguf"], "Read-only"),
                                    (["compile", DEMO, "-o", "disk/x.qm", "--format", "q8_0"], "Read-only")])

    def test_cache_that_cannot_be_written(self):
        (self.folder / "cache").write_text("a file where the folder should be")
        self.refused("run", DEMO, "-p", "x", says=["cache", "XDG_CACHE_HOME"])
        (self.folder / "cache").unlink()


if __name__ == "__main__":
    main()
