"""Writes a tiny model with seeded weights as a Hugging Face directory or a GGUF file, with faults on request.

    make_model.py OUT --arch llama [--set KEY=JSON] [--unset KEY] [--drop TENSOR] [--add TENSOR=SHAPE] [--shape TENSOR=SHAPE]
    make_model.py OUT.gguf --arch qwen3 …      keys are those of the GGUF metadata

Only the standard library: what is written does not depend on the code under test.
"""
import argparse
import json
import random
import struct
from pathlib import Path

HF_CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
HEADS, KV_HEADS, VOCAB = 4, 2, 48


def config(arch, args):
    head_dim = args.head_dim
    result = {"architectures": [HF_CLASSES.get(arch, arch)], "hidden_size": args.hidden, "intermediate_size": args.ffn,
              "num_hidden_layers": args.layers, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
              "vocab_size": args.vocab, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": args.tied, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu"}
    if head_dim != args.hidden // HEADS:
        result["head_dim"] = head_dim
    return result


def metadata(arch, args):
    arch = "llama" if arch == "mistral" else arch
    return {"general.architecture": arch, f"{arch}.context_length": 2048, f"{arch}.embedding_length": args.hidden,
            f"{arch}.block_count": args.layers, f"{arch}.feed_forward_length": args.ffn, f"{arch}.attention.head_count": HEADS,
            f"{arch}.attention.head_count_kv": KV_HEADS, f"{arch}.attention.layer_norm_rms_epsilon": 1e-5,
            f"{arch}.attention.key_length": args.head_dim, f"{arch}.attention.value_length": args.head_dim,
            "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2}


def tensors(arch, args):
    """Names of both kinds and shapes, in the order of the layers."""
    q, kv = HEADS * args.head_dim, KV_HEADS * args.head_dim
    yield "token_embd.weight", "model.embed_tokens.weight", (args.vocab, args.hidden)
    for i in range(args.layers):
        hf, gguf = f"model.layers.{i}.", f"blk.{i}."
        yield gguf + "attn_norm.weight", hf + "input_layernorm.weight", (args.hidden,)
        for name, ours, shape in (("q_proj", "attn_q", (q, args.hidden)), ("k_proj", "attn_k", (kv, args.hidden)),
                                  ("v_proj", "attn_v", (kv, args.hidden)), ("o_proj", "attn_output", (args.hidden, q))):
            yield f"{gguf}{ours}.weight", f"{hf}self_attn.{name}.weight", shape
            if (arch == "qwen2" and name != "o_proj") or args.biases:
                yield f"{gguf}{ours}.bias", f"{hf}self_attn.{name}.bias", shape[:1]
        if arch == "qwen3":
            yield gguf + "attn_q_norm.weight", hf + "self_attn.q_norm.weight", (args.head_dim,)
            yield gguf + "attn_k_norm.weight", hf + "self_attn.k_norm.weight", (args.head_dim,)
        yield gguf + "ffn_norm.weight", hf + "post_attention_layernorm.weight", (args.hidden,)
        yield gguf + "ffn_gate.weight", hf + "mlp.gate_proj.weight", (args.ffn, args.hidden)
        yield gguf + "ffn_up.weight", hf + "mlp.up_proj.weight", (args.ffn, args.hidden)
        yield gguf + "ffn_down.weight", hf + "mlp.down_proj.weight", (args.hidden, args.ffn)
    yield "output_norm.weight", "model.norm.weight", (args.hidden,)
    if not args.tied:
        yield "output.weight", "lm_head.weight", (args.vocab, args.hidden)


def floats(name, shape):
    count = 1
    for size in shape:
        count *= size
    source = random.Random(name)
    spread, middle = (0.2, 1.0) if "norm" in name or "freqs" in name else (0.1, 0.0)
    return [middle + source.uniform(-spread, spread) for _ in range(count)]


def packed(values, dtype):
    if dtype == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    return b"".join(struct.pack("<f", v)[2:] for v in values)  # BF16, truncated


def write_safetensors(path, dtype, chosen):
    header, data = {}, b""
    for name, shape in chosen:
        content = packed(floats(name, shape), dtype)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_directory(out, arch, args, chosen):
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(edited(config(arch, args), args)))
    if args.shards == 1:
        write_safetensors(out / "model.safetensors", args.dtype, chosen)
        return
    places = {}
    for i in range(args.shards):
        name, part = f"model-{i + 1:05}-of-{args.shards:05}.safetensors", chosen[i::args.shards]
        write_safetensors(out / name, args.dtype, part)
        places.update((tensor, name) for tensor, _ in part)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value) if value >= 0 else struct.pack("<Ii", 5, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<I", 8) + gguf_string(value)


def gguf_string(text):
    return struct.pack(COUNT, len(text.encode())) + text.encode()


def write_gguf(out, arch, args, chosen):
    types = {"F32": 0, "F16": 1, "BF16": 30}
    entries = edited(metadata(arch, args), args)
    global COUNT  # version 1 has 32 bits where later ones have 64
    COUNT = "<I" if args.gguf_version == 1 else "<Q"
    head = b"GGUF" + struct.pack("<I", args.gguf_version) + struct.pack(COUNT, len(chosen)) + struct.pack(COUNT, len(entries))
    for key, value in entries.items():
        head += gguf_string(key) + gguf_value(value)
    data = b""
    for name, shape in chosen:
        dtype = args.dtype if len(shape) > 1 else "F32"
        head += gguf_string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack(COUNT, n) for n in reversed(shape))
        head += struct.pack("<IQ", types[dtype], len(data))
        data += packed(floats(name, shape), dtype)
        data += b"\0" * (-len(data) % 32)
    head += b"\0" * (-len(head) % 32)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(head + data)


def edited(entries, args):
    for item in args.set:
        key, _, value = item.partition("=")
        entries[key] = json.loads(value)
    for key in args.unset:
        del entries[key]
    return entries


def shape_of(text):
    return tuple(int(size) for size in text.split("x"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default="llama")
    parser.add_argument("--dtype", choices=("F32", "F16", "BF16"), default="F32")
    parser.add_argument("--head-dim", type=int)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--ffn", type=int, default=96)
    parser.add_argument("--vocab", type=int, default=VOCAB)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--gguf-version", type=int, choices=(1, 2, 3), default=3)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--biases", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--unset", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--add", action="append", default=[])
    parser.add_argument("--shape", action="append", default=[])
    args = parser.parse_args()
    args.head_dim = args.head_dim or args.hidden // HEADS
    gguf = args.out.suffix == ".gguf"
    shapes = dict((name.split("=")[0], shape_of(name.split("=")[1])) for name in args.shape)
    chosen = []
    for gguf_name, hf_name, shape in tensors(args.arch, args):
        name = gguf_name if gguf else hf_name
        if name not in args.drop:
            chosen.append((name, shapes.get(name, shape)))
    for item in args.add:
        name, _, shape = item.partition("=")
        chosen.append((name, shape_of(shape)))
    (write_gguf if gguf else write_directory)(args.out, args.arch, args, chosen)


if __name__ == "__main__":
    main()
