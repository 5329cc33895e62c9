"""Quantized Hugging Face directories in numpy, from the layouts that the libraries document: packing of random codes, and decoding
of a directory to f32. It shares nothing with quantc.

    test/oracle/packed.py DIRECTORY OUT.safetensors      decodes every tensor
"""
import json
import pathlib
import shutil
import sys

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file

NF4 = numpy.float32([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                     -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                     0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0])
FP4 = numpy.float32([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4])
TABLES = {"nf4": NF4, "fp4": numpy.concatenate([FP4, 0 - FP4])}  # the second zero is positive, too
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # nibble i of a word is column AWQ_ORDER[i] of eight
TYPES = {"F32": numpy.float32, "F16": numpy.float16, "I64": numpy.int64, "I32": numpy.int32, "I8": numpy.int8, "U8": numpy.uint8}


# Files.

def read_tensors(directory):
    """Every tensor; bf16 as f32."""
    tensors = {}
    for path in sorted(pathlib.Path(directory).glob("*.safetensors")):
        with safe_open(path, "numpy") as file:
            for name in file.keys():
                view = file.get_slice(name)
                tensors[name] = bf16_tensor(path, name) if view.get_dtype() == "BF16" else file.get_tensor(name)
    return tensors


def bf16_tensor(path, name):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + length])[name]
    begin, end = entry["data_offsets"]
    bits = numpy.frombuffer(data[8 + length + begin:8 + length + end], "<u2").astype(numpy.uint32) << 16
    return bits.view(numpy.float32).reshape(entry["shape"])


# Streams of bits: along the last axis, the first code in the lowest bits.

def to_words(codes, bits):
    """[..., n] codes to [..., ceil(n * bits / 32)] words."""
    spread = (codes[..., None].astype(numpy.uint64) >> numpy.arange(bits, dtype=numpy.uint64) & 1).astype(numpy.uint8)
    stream = spread.reshape(*codes.shape[:-1], -1)
    padding = -stream.shape[-1] % 32
    stream = numpy.concatenate([stream, numpy.zeros((*stream.shape[:-1], padding), numpy.uint8)], -1)
    return numpy.packbits(stream, -1, bitorder="little").view("<i4")


def from_words(words, bits, count):
    stream = numpy.unpackbits(numpy.ascontiguousarray(words).view(numpy.uint8), -1, bitorder="little")[..., :count * bits]
    return (stream.reshape(*words.shape[:-1], count, bits).astype(numpy.int64) << numpy.arange(bits)).sum(-1)


def from_groups(codes, zeros, scales, groups):
    """(q - z) * s with the group of each column."""
    return ((codes - zeros[:, groups]).astype(numpy.float32) * scales.astype(numpy.float32)[:, groups]).astype(numpy.float32)


# One layer in each container: codes [N, K], zeros and scales [N, groups].

def pack_gptq(codes, zeros, scales, bits, group, version=1, groups=None):
    K = codes.shape[1]
    groups = numpy.arange(K) // group if groups is None else groups
    stored = (zeros - (version == 1)) % (1 << bits)
    return {"qweight": to_words(codes.T.swapaxes(0, 1), bits).T.copy(), "qzeros": to_words(stored.T, bits), "scales": scales.T.copy(),
            "g_idx": groups.astype(numpy.int32)}


def decode_gptq(t, config):
    bits, (groups, N) = config["bits"], t["scales"].shape
    K = len(t["g_idx"])
    codes = from_words(t["qweight"].T, bits, K)
    zeros = from_words(t["qzeros"], bits, N).T
    if config.get("checkpoint_format", "gptq") == "gptq":
        zeros = (zeros + 1) % (1 << bits)
    return from_groups(codes, zeros, t["scales"].T, t["g_idx"])


def awq_words(codes):
    """[rows, n] 4-bit codes to words of eight columns."""
    eight = codes.reshape(codes.shape[0], -1, 8)[:, :, AWQ_ORDER].astype(numpy.uint32)
    return (eight << (4 * numpy.arange(8, dtype=numpy.uint32))).sum(-1, dtype=numpy.uint32).view(numpy.int32)


def awq_codes(words):
    eight = (words[..., None].view(numpy.uint32) >> (4 * numpy.arange(8, dtype=numpy.uint32)) & 15).astype(numpy.int64)
    return eight[..., numpy.argsort(AWQ_ORDER)].reshape(words.shape[0], -1)


def pack_awq(codes, zeros, scales, bits, group):
    return {"qweight": awq_words(codes.T), "qzeros": awq_words(zeros.T), "scales": scales.T.copy()}


def padded_groups(groups, group):
    """Groups of a row in the layouts gemv and gemv_fast: whole words of eight, two words for groups of 64, four for 32."""
    step = 8 * max(1, 128 // group)
    return -(-groups // step) * step


def pack_awq_gemv(codes, zeros, scales, bits, group):
    padding = ((0, 0), (0, padded_groups(zeros.shape[1], group) - zeros.shape[1]))
    return {"qweight": to_words(codes, 4), "qzeros": to_words(numpy.pad(zeros, padding), 4), "scales": numpy.pad(scales, padding)}


def decode_awq_gemv(t, config):
    K, group = 8 * t["qweight"].shape[1], config["group_size"]
    zeros = from_words(t["qzeros"], 4, t["scales"].shape[1])
    return from_groups(from_words(t["qweight"], 4, K), zeros, t["scales"], numpy.arange(K) // group)


def fast_place(n, k):
    """Row, column and nibble of a code in the layout gemv_fast."""
    block, inner = k % 64 // 32, k % 32
    return n // 4, k // 64 * 64 + 16 * (n % 4) + 8 * block + inner % 8, inner // 8


def pack_awq_fast(codes, zeros, scales, bits, group):
    (N, K), words = codes.shape, numpy.zeros((codes.shape[0] // 4, codes.shape[1]), numpy.uint16)
    n, k = numpy.meshgrid(range(N), range(K), indexing="ij")
    row, column, nibble = fast_place(n, k)
    numpy.bitwise_or.at(words, (row, column), (codes << 4 * nibble).astype(numpy.uint16))
    bias = -(scales.astype(numpy.float32) * zeros).astype(numpy.float16)
    padding = ((0, padded_groups(zeros.shape[1], group) - zeros.shape[1]), (0, 0))
    return {"qweight": words.view(numpy.int16), "qzeros": numpy.pad(bias.T, padding), "scales": numpy.pad(scales.T, padding)}


def decode_awq_fast(t, config):
    N, K = 4 * t["qweight"].shape[0], t["qweight"].shape[1]
    n, k = numpy.meshgrid(range(N), range(K), indexing="ij")
    row, column, nibble = fast_place(n, k)
    codes = (t["qweight"].view(numpy.uint16)[row, column] >> 4 * nibble) & 15
    scales, bias = (t[part].T.astype(numpy.float32)[:, numpy.arange(K) // config["group_size"]] for part in ("scales", "qzeros"))
    return codes.astype(numpy.float32) * scales + bias


def decode_awq(t, config):
    if config["version"] != "gemm":
        return {"gemv": decode_awq_gemv, "gemv_fast": decode_awq_fast}[config["version"]](t, config)
    K = t["qweight"].shape[0]
    group = K if config["group_size"] == -1 else config["group_size"]
    return from_groups(awq_codes(t["qweight"]).T, awq_codes(t["qzeros"]).T, t["scales"].T, numpy.arange(K) // group)


def pack_compressed(codes, zeros, scales, bits, group):
    symmetric = (zeros == 1 << (bits - 1)).all()
    return {"weight_packed": to_words(codes, bits), "weight_scale": scales, "weight_shape": numpy.int64(codes.shape),
            **({} if symmetric else {"weight_zero_point": to_words(zeros.T, bits).T.copy()})}


def decode_compressed(t, config):
    weights = config["config_groups"]["group_0"]["weights"]
    bits, (N, K) = weights["num_bits"], t["weight_shape"]
    zeros = numpy.full(t["weight_scale"].shape, 1 << (bits - 1))
    if "weight_zero_point" in t:
        zeros = from_words(t["weight_zero_point"].T, bits, N).T
    return from_groups(from_words(t["weight_packed"], bits, K), zeros, t["weight_scale"], numpy.arange(K) // (weights["group_size"] or K))


def dynamic_map():
    """The 256 values of 8-bit scales."""
    values = [0.0, 1.0]
    for i in range(7):
        edges = numpy.linspace(0.1, 1, 2**i + 1, dtype=numpy.float32)
        middles = (edges[:-1] + edges[1:]) / 2 * numpy.float32(10.0 ** (i - 6))
        values += [*middles, *-middles]
    return numpy.sort(numpy.float32(values))


def nearest(table, x):
    """Codes in a sorted table; a tie goes to the lower."""
    return numpy.searchsorted(numpy.float32((table[:-1] + table[1:]) / 2), x, side="left")


def pack_bitsandbytes(weight, kind, size=64, nested=False):
    flat = weight.astype(numpy.float32).reshape(-1)
    blocks = -(-flat.size // size)
    padded = numpy.concatenate([flat, numpy.zeros(blocks * size - flat.size, numpy.float32)]).reshape(blocks, size)
    absmax = abs(padded).max(1)
    scaled = (padded * (1 / numpy.maximum(absmax, numpy.float32(1e-38)))[:, None]).reshape(-1)[:flat.size]
    if kind == "nf4":
        codes = nearest(NF4, scaled).astype(numpy.uint8)
    else:  # a magnitude and its sign
        exact = numpy.array([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4])
        order = numpy.argsort(exact)
        codes = (order[nearest(exact[order], abs(scaled))] + 8 * (scaled < 0)).astype(numpy.uint8)
    codes = numpy.concatenate([codes, numpy.zeros(flat.size % 2, numpy.uint8)])
    state = {"quant_type": kind, "blocksize": size, "dtype": "float32", "shape": list(weight.shape)}
    t = {"weight": (codes[::2] << 4 | codes[1::2])[:, None], "weight.quant_map": TABLES[kind], "weight.absmax": absmax}
    if nested:
        offset = absmax.mean(dtype=numpy.float32)
        outer = -(-blocks // 256)
        rest = numpy.concatenate([absmax - offset, numpy.zeros(outer * 256 - blocks, numpy.float32)]).reshape(outer, 256)
        largest = abs(rest).max(1)
        t["weight.absmax"] = nearest(dynamic_map(), (rest / largest[:, None]).reshape(-1)[:blocks]).astype(numpy.uint8)
        t["weight.nested_absmax"], t["weight.nested_quant_map"] = largest, dynamic_map()
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
    t[f"weight.quant_state.bitsandbytes__{kind}"] = numpy.frombuffer(json.dumps(state).encode(), numpy.uint8)
    return t


def decode_bitsandbytes(t, config):
    if "SCB" in t:
        return t["weight"].astype(numpy.float32) * t["SCB"][:, None] * numpy.float32(7.874015718698502e-3)
    text = next(value for name, value in t.items() if "quant_state" in name)
    state = json.loads(text.tobytes())
    bytes_, count = t["weight"].reshape(-1), int(numpy.prod(state["shape"]))
    codes = numpy.stack([bytes_ >> 4, bytes_ & 15], 1).reshape(-1)[:count]
    absmax = t["weight.absmax"]
    if "nested_offset" in state:
        outer = numpy.arange(len(absmax)) // state["nested_blocksize"]
        absmax = t["weight.nested_quant_map"][absmax] * t["weight.nested_absmax"][outer] + numpy.float32(state["nested_offset"])
    return (t["weight.quant_map"][codes] * absmax[numpy.arange(count) // state["blocksize"]]).reshape(state["shape"])


def pack_int8(weight):
    largest = abs(weight).max(1)
    return {"weight": numpy.rint(weight * (127 / largest)[:, None]).astype(numpy.int8), "SCB": largest,
            "weight_format": numpy.zeros((), numpy.uint8)}


DECODERS = {"gptq": decode_gptq, "awq": decode_awq, "compressed-tensors": decode_compressed, "bitsandbytes": decode_bitsandbytes}
PARTS = (".qweight", ".weight_packed", ".SCB")


def decode(directory):
    """Every tensor of a directory as f32; a quantized layer P is P.weight."""
    config = json.loads((pathlib.Path(directory) / "config.json").read_text()).get("quantization_config")
    tensors = read_tensors(directory)
    layers = {name[:-len(part)] for name in tensors for part in PARTS if name.endswith(part)}
    layers |= {name.split(".weight.quant_state")[0] for name in tensors if ".weight.quant_state" in name}
    decoded = {}
    for layer in layers:
        parts = [name for name in tensors if name.startswith(layer + ".") and name != layer + ".bias"]
        decoded[layer + ".weight"] = DECODERS[config["quant_method"]]({name[len(layer) + 1:]: tensors.pop(name) for name in parts}, config)
    return {**{name: t.astype(numpy.float32) for name, t in tensors.items()}, **decoded}


# Models.

def random_layer(rng, N, K, bits, group, asymmetric, scales=numpy.float16):
    groups = -(-K // group)
    zeros = rng.integers(1, 1 << bits, (N, groups)) if asymmetric else numpy.full((N, groups), 1 << (bits - 1))
    return rng.integers(0, 1 << bits, (N, K)), zeros, rng.uniform(0.02, 0.1, (N, groups)).astype(scales)


def replace_layers(source, out, quantization_config, pack):
    """A copy of a model whose linear layers inside blocks are what pack(weight) gives; layers of a directory in f32."""
    shutil.copytree(source, out)
    tensors = {}
    for name, t in read_tensors(source).items():
        if t.ndim == 2 and ".layers." in name:
            tensors |= {name.removesuffix("weight") + part: value.copy() for part, value in pack(t).items()}
        else:
            tensors[name] = t
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "quantization_config": quantization_config}))
    return out


def decoded_model(source, out):
    """The same directory with every tensor as f32 and no quantization."""
    shutil.copytree(source, out)
    for path in out.glob("*.safetensors*"):
        path.unlink()
    save_file({name: numpy.ascontiguousarray(t) for name, t in decode(source).items()}, out / "model.safetensors",
              metadata={"format": "pt"})
    config = json.loads((out / "config.json").read_text())
    config.pop("quantization_config", None)
    (out / "config.json").write_text(json.dumps(config))
    return out


if __name__ == "__main__":
    save_file(decode(sys.argv[1]), sys.argv[2])
