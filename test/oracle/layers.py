"""Layers of a model with the numbers that they see, so that implementations of a method can be compared layer by layer on the
same weights and inputs: nothing that one of them did to a layer before reaches the next.
"""
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy
import torch
import transformers
from safetensors.numpy import save_file

import common

# The linears that read an input, as Hugging Face and quantc call them.
READERS = {"attn_q": {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"},
           "attn_output": {"self_attn.o_proj": "attn_output"},
           "ffn_gate": {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"},
           "ffn_down": {"mlp.down_proj": "ffn_down"}}


@dataclasses.dataclass
class Input:
    """What some linears read: `name` is quantc's, of the first; x: [tokens, K]; weights: by the name in the directory;
    hessian: mean of x xT; columns: mean |x|, mean x² and largest |x|."""
    name: str
    x: numpy.ndarray
    weights: dict
    hessian: numpy.ndarray
    columns: numpy.ndarray


def seen_by(name, x, weights):
    wide = x.astype(numpy.float64)
    return Input(name, x, weights, (wide.T @ wide / len(wide)).astype(numpy.float32),
                 numpy.stack([abs(wide).mean(0), (wide ** 2).mean(0), abs(wide).max(0)]).astype(numpy.float32))


def random_model(out):
    """The demo model's shape and tokenizer with random weights."""
    shutil.copytree(common.DEMO_MODEL, out)
    torch.manual_seed(1)
    config = transformers.AutoConfig.from_pretrained(common.DEMO_MODEL)
    config.initializer_range = 0.06  # outputs of about the size of inputs
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(out)
    return out


def stories(tokenizer, sequences=32, length=256):
    """Ids of stories that neither training nor the held-out text of the demo model has."""
    program = [sys.executable, common.ROOT / "scripts" / "demo-model" / "stories.py", "--seed", "20000000", "--count", "150"]
    ids = tokenizer(subprocess.run(program, capture_output=True, text=True, check=True).stdout).input_ids
    assert len(ids) >= sequences * length, len(ids)
    return [ids[i:i + length] for i in range(0, sequences * length, length)]


def inputs_of(directory):
    """Each input of the linears in a Llama's blocks, in f32, on stories."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    modules, seen = dict(model.named_modules()), {}
    for block in range(model.config.num_hidden_layers):
        for first, linears in READERS.items():
            x = seen[f"blk.{block}.{first}"] = []
            modules[f"model.layers.{block}.{next(iter(linears))}"].register_forward_pre_hook(
                lambda _, inputs, x=x: x.append(inputs[0].flatten(0, -2).clone()))
    with torch.no_grad():
        for ids in stories(transformers.AutoTokenizer.from_pretrained(directory)):
            model(input_ids=torch.tensor(ids)[None], use_cache=False)
    result = []
    for name, x in seen.items():
        _, block, first = name.split(".")
        names = [f"model.layers.{block}.{linear}" for linear in READERS[first]]
        result.append(seen_by(name, torch.cat(x).numpy(), {n: modules[n].weight.detach().numpy() for n in names}))
    return result


def write_statistics(path, inputs):
    """The file that `quantc calibrate` would write, from these inputs: so all have the same."""
    tensors = {f"columns.{i.name}": i.columns for i in inputs} | {f"hessian.{i.name}": i.hessian for i in inputs}
    save_file(tensors, path, metadata={"quantc.calibration_tokens": str(len(inputs[0].x))})


def models(directories, scratch):
    """The names of a comparison's models, each with what gives its directory: random, demo model, and these directories."""
    return {"random": lambda: random_model(scratch / "random"), "demo model": lambda: common.DEMO_MODEL,
            **{pathlib.Path(d).name: lambda d=d: pathlib.Path(d).resolve() for d in directories}}
