#!/usr/bin/env python3
"""Compares compiled models with transformers: tiny seeded models of every architecture that quantc imports.

    test/oracle/architectures.py BIN [--only NAME]

Each configuration is made with random weights (f32), compiled by `quantc compile --precision exact`, and its logits of a whole
prompt, in one pass and token by token, are compared with those of transformers: within 1e-3, and the same most likely token
wherever the two largest logits differ by more than 2e-3. Nearly all of the difference comes from quantc's KV cache, which is f16:
from transformers with keys and values rounded to f16 the logits differ by less than 2e-4. Prints a line a model; exits 1 if one
differs.
"""
import pathlib
import tempfile

import numpy
import torch
import transformers

import common

BASE = dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
            bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LLAMA, MISTRAL = (transformers.LlamaConfig, transformers.LlamaForCausalLM), (transformers.MistralConfig, transformers.MistralForCausalLM)
QWEN2, QWEN3 = (transformers.Qwen2Config, transformers.Qwen2ForCausalLM), (transformers.Qwen3Config, transformers.Qwen3ForCausalLM)
CASES = {
    "llama": (LLAMA, {}),
    "llama-mha": (LLAMA, dict(num_key_value_heads=4)),
    "llama-mqa": (LLAMA, dict(num_key_value_heads=1)),
    "llama-tied": (LLAMA, dict(tie_word_embeddings=True)),
    "llama-llama3-rope": (LLAMA, dict(rope_scaling=LLAMA3_ROPE)),
    "llama-linear-rope": (LLAMA, dict(rope_scaling={"rope_type": "linear", "factor": 2.0})),
    "llama-odd-vocabulary": (LLAMA, dict(vocab_size=333)),
    "llama-odd-hidden": (LLAMA, dict(hidden_size=100, intermediate_size=130, num_attention_heads=5, num_key_value_heads=1, head_dim=20)),
    "llama-bias": (LLAMA, dict(attention_bias=True, mlp_bias=True)),
    "llama-head-dim": (LLAMA, dict(head_dim=32)),
    "mistral": (MISTRAL, dict(sliding_window=None)),
    "mistral-window": (MISTRAL, dict(sliding_window=7)),
    "qwen2": (QWEN2, {}),
    "qwen2-tied": (QWEN2, dict(tie_word_embeddings=True, num_attention_heads=8, num_key_value_heads=1)),
    "qwen3": (QWEN3, dict(head_dim=16)),
    "qwen3-gqa4": (QWEN3, dict(head_dim=32, num_attention_heads=8, num_key_value_heads=2)),
}


SCALE = 2  # of the weights that a configuration is initialized with: logits are far enough apart to compare


class HalfCache(transformers.DynamicCache):
    """Keys and values as quantc keeps them."""

    def update(self, key_states, value_states, *arguments, **options):
        return super().update(key_states.half().to(key_states.dtype), value_states.half().to(value_states.dtype), *arguments, **options)


def make(name, directory):
    (config_class, model_class), changes = CASES[name]
    torch.manual_seed(sum(name.encode()))
    model = model_class(config_class(**{**BASE, **changes})).float().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.uniform_(-0.5, 0.5)
            elif "norm" in parameter_name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.mul_(SCALE)
    model.save_pretrained(directory, safe_serialization=True)
    return model


def compare(program, name, directory):
    model = make(name, directory)
    prompt = numpy.random.default_rng(7).integers(3, model.config.vocab_size, 41)
    with torch.no_grad():
        ids = torch.tensor(prompt)[None]
        want = model(input_ids=ids).logits[0].numpy()
        rounded = model(input_ids=ids, past_key_values=HalfCache(), use_cache=True).logits[0].numpy()
    with program.session(directory, "--precision", "exact") as session:
        whole = session.step(prompt, all_rows=True)
        session.rewind(0)
        single = numpy.stack([session.step([token]) for token in prompt])
    worst, of_rounded = (max(float(abs(got - logits).max()) for got in (whole, single)) for logits in (want, rounded))
    top = numpy.sort(want, axis=1)
    clear = top[:, -1] - top[:, -2] > 2e-3
    same = all((got.argmax(1) == want.argmax(1))[clear].all() for got in (whole, single))
    text = (f"largest difference {worst:.1e} ({of_rounded:.1e} from an f16 cache) of logits up to {abs(want).max():.1f}, "
            f"top tokens {'equal' if same else 'DIFFER'} ({clear.sum()} of {len(prompt)} clear)")
    return text, worst < 1e-3 and of_rounded < 2e-4 and same


def main():
    parser = common.parser(__doc__)
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args()
    report = common.Report()
    for name in [options.only] if options.only else CASES:
        with tempfile.TemporaryDirectory() as directory:
            report.run(name, compare, options.bin, name, pathlib.Path(directory))
    report.finish()


if __name__ == "__main__":
    main()
