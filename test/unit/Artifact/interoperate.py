"""Files of ours are read by the packages `safetensors` and `gguf`, and files of theirs by us.

usage: interoperate.py ARTIFACT-FILES SOURCE-DIRECTORY
Exits with 77, which CTest shows as skipped, where the packages are missing.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

program, source = Path(sys.argv[1]), Path(sys.argv[2])
environment = source / ".venv" / "bin" / "python"
if environment.exists() and Path(sys.prefix) != source / ".venv":
    os.execv(environment, [str(environment), *sys.argv])
try:
    import gguf
    import numpy
    import safetensors
    import safetensors.numpy
except ImportError as error:
    print(f"skipped: {error}; scripts/setup.sh makes .venv with it")
    sys.exit(77)

data = Path(os.environ.get("QUANTC_TEST_DATA", source / ".." / "shared" / "data"))
# gguf-py slices its view of a file for each token: slices of plain arrays cost a fifth of those of mapped ones.
numpy.memmap = lambda path, mode: numpy.fromfile(path, numpy.uint8)


def run(*arguments):
    return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE).stdout


def counting(size):
    """The bytes that artifact-files puts into a tensor."""
    return bytes(i & 255 for i in range(size))


def tensors_of(path):
    """Name, type, shape and bytes as the package `safetensors` has them."""
    return dict(safetensors.deserialize(Path(path).read_bytes()))


def check_our_safetensors(directory):
    tensors = tensors_of(directory / "sample.safetensors")
    assert len(tensors) == 17, sorted(tensors)
    for name, tensor in tensors.items():
        assert bytes(tensor["data"]) == counting(len(tensor["data"])), name
        if name.startswith("t."):
            assert tensor["shape"] == [2, 3] and tensor["dtype"] == name[2:], tensor
    assert tensors["scalar"]["shape"] == [] and tensors["empty ü"]["shape"] == [4, 0]
    with safetensors.safe_open(directory / "sample.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt", "quote": '"ü\n'}, file.metadata()

    index = json.loads((directory / "sharded" / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 80}
    for name, shard in index["weight_map"].items():
        assert bytes(tensors_of(directory / "sharded" / shard)[name]["data"]), name

    artifact = tensors_of(directory / "sample.qm")
    for name, size in {"code.z-plain": 100, "code.a-better": 100, "tokenizer": 5, "weight.embedding": 128}.items():
        assert bytes(artifact[name]["data"]) == counting(size), name
    with safetensors.safe_open(directory / "sample.qm", "numpy") as file:
        assert json.loads(file.metadata()["quantc"])["version"] == 2


def check_their_safetensors(directory):
    arrays = {
        "x": numpy.arange(6, dtype=numpy.float32).reshape(2, 3),
        "half": numpy.arange(5, dtype=numpy.float16),
        "flags": numpy.array([True, False]),
        "scalar": numpy.array(7, dtype=numpy.int64),
        "empty": numpy.zeros((0, 4), dtype=numpy.uint8),
    }
    path = directory / "theirs.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata={"format": "np"})
    ours = json.loads(run("read", path))
    assert ours["metadata"] == {"format": "np"}
    assert {name: bytes.fromhex(tensor["bytes"]) for name, tensor in ours["tensors"].items()} == {
        name: array.tobytes() for name, array in arrays.items()}
    assert {name: tensor["shape"] for name, tensor in ours["tensors"].items()} == {
        name: list(array.shape) for name, array in arrays.items()}
    for path in sorted(data.rglob("*.safetensors")):
        ours, theirs = json.loads(run("read", path))["tensors"], tensors_of(path)
        assert ours.keys() == theirs.keys(), path
        for name, tensor in theirs.items():
            assert ours[name]["shape"] == tensor["shape"] and ours[name]["dtype"] == tensor["dtype"], (path, name)
            assert bytes.fromhex(ours[name]["bytes"]) == bytes(tensor["data"]), (path, name)
        print(path.name, len(theirs), "tensors")


def encoded(field):
    """The value of a field of gguf-py as version 3 has it, and whether it is an array, and of what."""
    types = [int(kind) for kind in field.types]
    element, array = types[-1], types[0] == 9
    if array and not types[1:]:
        return None  # gguf-py forgets the type of an empty array
    parts = [field.parts[i] for i in field.data]
    if element == 8:
        content = b"".join(struct.pack("<Q", len(part)) + part.tobytes() for part in parts)
    else:
        content = numpy.concatenate(parts).tobytes() if parts else b""
    return (struct.pack("<IQ", element, len(parts)) if array else b"") + content, [array, element]


def compare_gguf(path):
    """Every value and every tensor as gguf-py has them. Returns how many of both there are."""
    ours, theirs = json.loads(run("read", path)), gguf.GGUFReader(path)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert ours["values"].keys() == fields.keys(), path
    for key, field in fields.items():
        expected = encoded(field)
        if expected:
            assert ours["types"][key] == expected[1], (path, key)
            assert bytes.fromhex(ours["values"][key]) == expected[0], (path, key)
    assert list(sorted(ours["tensors"])) == sorted(tensor.name for tensor in theirs.tensors), path
    for tensor in theirs.tensors:
        ours_one = ours["tensors"][tensor.name]
        assert ours_one["shape"] == [int(size) for size in reversed(tensor.shape)], (path, tensor.name)
        assert ours_one["type"] == int(tensor.tensor_type) and ours_one["bytes"] == tensor.n_bytes, (path, tensor.name)
        content = tensor.data.tobytes()
        assert bytes.fromhex(ours_one["begin"]) == content[:256], (path, tensor.name)
        assert bytes.fromhex(ours_one["end"]) == content[-256:], (path, tensor.name)
    return len(fields), len(theirs.tensors)


def check_our_gguf(directory):
    print("sample.gguf", compare_gguf(directory / "sample.gguf"))
    for tensor in gguf.GGUFReader(directory / "sample.gguf").tensors:
        assert tensor.data.tobytes() == counting(tensor.n_bytes), tensor.name


def check_their_gguf(directory):
    path = directory / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_bool("a.flag", False)
    writer.add_array("a.numbers", [1, -2, 3])
    writer.add_token_list(["a", "ü", b"\xff\xfe"])
    writer.add_tensor("x", numpy.arange(15, dtype=numpy.float32).reshape(3, 5))
    writer.add_tensor("y", numpy.arange(7, dtype=numpy.float16))
    blocks = gguf.quants.quantize(numpy.linspace(-1, 1, 128, dtype=numpy.float32).reshape(2, 64), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("z", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print("theirs.gguf", compare_gguf(path))
    # Written again by us, with nothing changed, it is the same file.
    run("copy", path, directory / "copy.gguf")
    assert (directory / "copy.gguf").read_bytes() == path.read_bytes()


def check_outside_gguf():
    for path in sorted(data.rglob("*.gguf")):
        version = struct.unpack("<I", path.read_bytes()[4:8])[0]
        if version == 1:
            print(path.name, "has version 1, which gguf-py does not read; we read", len(json.loads(run("read", path))["tensors"]), "tensors")
        else:
            print(path.name, compare_gguf(path))


def check_type_ids():
    """Type ids of containers/gguf.qc are those of gguf-py, where it has them."""
    lines = [line.split() for line in (source / "containers/gguf.qc").read_text().splitlines()]
    ours = {line[1].upper(): int(line[3]) for line in lines if line[:1] == ["type"]}
    theirs = {kind.name: kind.value for kind in gguf.GGMLQuantizationType}
    known = ours.keys() & theirs.keys()
    assert {name: ours[name] for name in known} == {name: theirs[name] for name in known}
    assert len(known) >= 20, known
    print(len(known), "type ids")


check_type_ids()
with tempfile.TemporaryDirectory() as folder:
    directory = Path(folder)
    run("write", directory)
    check_our_safetensors(directory)
    check_their_safetensors(directory)
    check_our_gguf(directory)
    check_their_gguf(directory)
    check_outside_gguf()
