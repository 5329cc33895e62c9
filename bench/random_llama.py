#!/usr/bin/env python3
"""Writes a Llama of random weights in the shape of a real one: speed needs no trained weights.

    bench/random_llama.py OUT.gguf [--layers 22] …       F16 GGUF; default: 1.1 B parameters (TinyLlama's shape)
    … --filled 1 --layers 80 --hidden 8192 --ffn 28672 --heads 64 --kv-heads 8       the shape of 70 B parameters

With --filled only so many blocks, the norms and the first rows of the embedding have numbers; the rest are zeros that
take no disk.

The tokenizer is byte-level with filler tokens, so that every program that reads GGUF accepts the file.
"""
import argparse

import gguf
import numpy


def byte_alphabet():
    """GPT-2's printable characters of the 256 bytes."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(b) if b in own else chr(next(other)) for b in range(256)]


def add_tokenizer(writer, vocabulary):
    first = byte_alphabet()
    tokens = ["<s>", "</s>", *first, first[0] + first[1]]
    tokens += [f"<filler{i}>" for i in range(vocabulary - len(tokens))]
    types = [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.UNUSED] * (vocabulary - 259)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{first[0]} {first[1]}"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    for name, value in dict(hidden=2048, layers=22, heads=32, kv_heads=4, ffn=5632, vocabulary=32000, context=2048, seed=1).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--filled", type=int)
    o = parser.parse_args()
    head_dim, random = o.hidden // o.heads, numpy.random.default_rng(o.seed)

    writer = gguf.GGUFWriter(o.out, "llama", use_temp_file=False)
    writer.add_name("random llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(o.context)
    writer.add_embedding_length(o.hidden)
    writer.add_block_count(o.layers)
    writer.add_feed_forward_length(o.ffn)
    writer.add_head_count(o.heads)
    writer.add_head_count_kv(o.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(o.vocabulary)
    add_tokenizer(writer, o.vocabulary)

    kv = o.kv_heads * head_dim
    block = {"attn_norm": (o.hidden,), "attn_q": (o.hidden, o.hidden), "attn_k": (kv, o.hidden), "attn_v": (kv, o.hidden), "attn_output": (o.hidden, o.hidden),
             "ffn_norm": (o.hidden,), "ffn_gate": (o.ffn, o.hidden), "ffn_up": (o.ffn, o.hidden), "ffn_down": (o.hidden, o.ffn)}
    shapes = {"token_embd": (o.vocabulary, o.hidden), "output_norm": (o.hidden,), "output": (o.vocabulary, o.hidden)}
    for i in range(o.layers):
        shapes |= {f"blk.{i}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        kind = numpy.float32 if len(shape) == 1 else numpy.float16
        writer.add_tensor_info(name + ".weight", shape, numpy.dtype(kind), int(numpy.prod(shape)) * numpy.dtype(kind).itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.flush()
    out = writer.fout[0]
    for name, shape in shapes.items():
        out.seek(-out.tell() % writer.data_alignment, 1)
        width = 4 if len(shape) == 1 else 2
        end = out.tell() + int(numpy.prod(shape)) * width
        block = int(name.split(".")[1]) if name.startswith("blk.") else None
        if len(shape) == 1:
            out.write(numpy.ones(shape, numpy.float32).tobytes())
        elif o.filled is None or name == "token_embd" or (block is not None and block < o.filled):
            rows = shape[0] if o.filled is None or name != "token_embd" else 512
            # Outputs of about the size of inputs: activations stay in range over the layers.
            numbers = random.standard_normal((rows, shape[1]), numpy.float32) / numpy.sqrt(shape[1])
            out.write(numbers.astype(numpy.float16).tobytes())
        out.seek(end)
    out.truncate(-(-end // writer.data_alignment) * writer.data_alignment)
    writer.close()


if __name__ == "__main__":
    main()
