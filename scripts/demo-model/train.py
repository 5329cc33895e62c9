"""Trains the demo model: a Llama of 4.2 million parameters that tells the stories of stories.py.

    python3 train.py OUT [--steps 1500] [--threads 2]

Needs torch, transformers and tokenizers from PyPI; no part of `make demo`. Writes a Hugging Face directory (bf16 safetensors,
config.json, tokenizer.json, tokenizer_config.json) and heldout.txt, stories that training never saw. OUT/checkpoint.pt is
written every 100 steps, and the same command goes on from it.
"""
import argparse
import json
import math
import os
import time

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from stories import story

VOCABULARY, CONTEXT, BATCH = 1024, 256, 24
HELD_OUT = 10_000_000  # held-out stories have seeds from here on


def train_tokenizer(path):
    """Byte-level BPE with GPT-2's pre-tokenizer; every text begins with <|begin|>."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>"]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((story(i) for i in range(20_000)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))])
    tokenizer.save(path)
    return tokenizer


def batches(tokenizer, start):
    """Endless batches of CONTEXT + 1 tokens cut from stories that follow each other, each begun by <|begin|>."""
    seed, buffer, need = start, [], BATCH * (CONTEXT + 1)
    while True:
        while len(buffer) < need:
            for encoding in tokenizer.encode_batch([story(seed + i) for i in range(64)]):
                buffer += encoding.ids + [1]
            seed += 64
        yield torch.tensor(buffer[:need]).view(BATCH, CONTEXT + 1), seed
        buffer = buffer[need:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3e-3)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    os.makedirs(options.out, exist_ok=True)
    tokenizer = train_tokenizer(os.path.join(options.out, "tokenizer.json"))
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=5, num_attention_heads=8, num_key_value_heads=4,
                         max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1)
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.95), weight_decay=0.05)
    checkpoint, first, seed = os.path.join(options.out, "checkpoint.pt"), 0, 1
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"]), optimizer.load_state_dict(state["optimizer"])
        first, seed = state["step"], state["seed"]

    def save(step, seed):
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seed": seed}, checkpoint + ".tmp")
        os.replace(checkpoint + ".tmp", checkpoint)
        LlamaForCausalLM.save_pretrained(_bf16(model, config), options.out)
        with open(os.path.join(options.out, "tokenizer_config.json"), "w") as file:
            json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>", "add_bos_token": True, "model_max_length": 1024}, file, indent=2)

    began = time.time()
    for step, (batch, seed) in zip(range(first, options.steps), batches(tokenizer, seed)):
        rate = options.rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / options.steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=batch[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().reshape(-1, VOCABULARY), batch[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step} loss {loss.item():.4f} {(time.time() - began) / (step - first + 1):.2f} s a step", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == options.steps:
            save(step + 1, seed)
    with open(os.path.join(options.out, "heldout.txt"), "w") as file:
        file.write("\n\n".join(story(HELD_OUT + i) for i in range(120)) + "\n")


def _bf16(model, config):
    copy = LlamaForCausalLM(config)
    copy.load_state_dict(model.state_dict())
    return copy.to(torch.bfloat16)


if __name__ == "__main__":
    main()
