"""The demo model in numpy, f64, but for keys and values, which are f16 as in every cache unless asked otherwise: what a test
computes that must not ask the program under test."""
import json
import struct

import gguf
import numpy


def read_bf16(path):
    """All tensors of a safetensors file of bf16, as f32."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "BF16", name
        begin, end = entry["data_offsets"]
        bits = numpy.frombuffer(data[8 + size + begin : 8 + size + end], "<u2").astype("<u4") << 16
        tensors[name] = bits.view("<f4").reshape(entry["shape"])
    return tensors


ROLES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
OUTSIDE = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight", "output": "lm_head.weight"}


def file_name(name):
    """Of a weight by the name that reports and policies use."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, role = name.split(".")
    return f"model.layers.{layer}.{(ROLES | NORMS)[role]}.weight"


def gguf_order(w, heads):
    """Rows of queries and keys as GGUF files have them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def directory_order(w, heads):
    """The inverse."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(w.shape)


class Llama:
    def __init__(self, folder, cache="f2"):
        self.cache = cache
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_bf16(folder / "model.safetensors")
        self.matrices = ["token_embd"] + [f"blk.{i}.{role}" for i in range(self.config["num_hidden_layers"]) for role in ROLES]

    def heads_of(self, name):
        """Of queries or keys; none of other matrices."""
        return {"attn_q": self.config["num_attention_heads"], "attn_k": self.config["num_key_value_heads"]}.get(name.split(".")[-1])

    def stored(self, path, everything=False):
        """The matrices of a GGUF file, or all tensors, decoded by the package gguf, rows in the order of the directory."""
        found = {}
        for tensor in gguf.GGUFReader(path).tensors:
            name = tensor.name.removesuffix(".weight")
            if everything or name in self.matrices:
                w = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                found[name] = directory_order(w, self.heads_of(name)) if self.heads_of(name) else w
        return found

    def multiply(self, x, w):
        """A linear of a block, which others may compute in another way."""
        return x @ w.T

    def logits(self, ids, changed={}):
        """[tokens, vocabulary]; `changed`: other weights by name."""
        c = self.config
        other = {file_name(name): w for name, w in changed.items()}

        def weight(name):
            return numpy.asarray(other[name] if name in other else self.weights[name], "f8")

        def norm(x, name):
            return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + c["rms_norm_eps"]) * weight(name)

        heads, groups, size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        angles = numpy.arange(len(ids))[:, None] * c["rope_parameters"]["rope_theta"] ** (-numpy.arange(size // 2) * 2 / size)
        cos, sin = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]

        def rotated(x):
            a, b = x[..., : size // 2], x[..., size // 2 :]
            return numpy.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

        x = weight("model.embed_tokens.weight")[ids]
        future = numpy.triu(numpy.full((len(ids), len(ids)), -numpy.inf), 1)
        for i in range(c["num_hidden_layers"]):
            at = f"model.layers.{i}."
            n = norm(x, at + "input_layernorm.weight")
            q = rotated(self.multiply(n, weight(at + "self_attn.q_proj.weight")).reshape(-1, heads, size))
            k = rotated(self.multiply(n, weight(at + "self_attn.k_proj.weight")).reshape(-1, groups, size))
            v = self.multiply(n, weight(at + "self_attn.v_proj.weight")).reshape(-1, groups, size)
            k, v = (numpy.repeat(t.astype(self.cache).astype("f8"), heads // groups, 1) for t in (k, v))
            scores = numpy.einsum("thd,shd->hts", q, k) / numpy.sqrt(size) + future
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed = numpy.einsum("hts,shd->thd", scores / scores.sum(-1, keepdims=True), v).reshape(len(ids), -1)
            x = x + self.multiply(mixed, weight(at + "self_attn.o_proj.weight"))
            n = norm(x, at + "post_attention_layernorm.weight")
            gate = self.multiply(n, weight(at + "mlp.gate_proj.weight"))
            up = self.multiply(n, weight(at + "mlp.up_proj.weight"))
            x = x + self.multiply(gate / (1 + numpy.exp(-gate)) * up, weight(at + "mlp.down_proj.weight"))
        head = "lm_head.weight" if "lm_head.weight" in other else "model.embed_tokens.weight"
        return norm(x, "model.norm.weight") @ weight(head).T

    @staticmethod
    def log_softmax(logits):
        logits = logits - logits.max(-1, keepdims=True)
        return logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))

    def divergence(self, sequences, changed):
        """The mean over all tokens of the KL divergence of the changed model's predictions from its own, in nats."""
        parts = []
        for ids in sequences:
            p, q = self.log_softmax(self.logits(ids)), self.log_softmax(self.logits(ids, changed))
            parts.append((numpy.exp(p) * (p - q)).sum(-1))
        return float(numpy.concatenate(parts).mean())
