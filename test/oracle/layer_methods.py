#!/usr/bin/env python3
"""GPTQ and AWQ of one small layer, in float64 numpy, written from the papers and from what usual implementations do.

    test/oracle/layer_methods.py > test/golden/methods/layers.txt
    test/oracle/layer_methods.py --gptqmodel        # compares the GPTQ below with gptqmodel's class (.venv-oracles)

Weights and inputs come from a linear congruential generator that the test has too (test/unit/Methods/TestLayers.cpp), all in
integers, so that both have the same bits. Scales are found in f32 and stored as f16, as checkpoints have them; everything else
is f64. A line for each case: name, tr(dW H dWT), and codes row by row in hexadecimal (by place where columns move); of AWQ the
exponent, the errors without and with scales, and that after clipping.
"""
import itertools
import sys

import numpy as np

ROWS, COLUMNS, TOKENS, GROUP, BLOCK, DAMP = 8, 192, 512, 32, 128, 0.01


class Numbers:
    """Sums of four draws of 12 bits: bell-shaped integers around 0."""

    def __init__(self, seed):
        self.state = seed

    def draw(self):
        total = -8190
        for _ in range(4):
            self.state = (self.state * 1664525 + 1013904223) % 2 ** 32
            total += self.state >> 20
        return total


def layer():
    numbers = Numbers(0x12345678)
    w = np.array([numbers.draw() for _ in range(ROWS * COLUMNS)], np.float32).reshape(ROWS, COLUMNS) / np.float32(65536)
    x = np.zeros((TOKENS, COLUMNS), np.int64)
    for t in range(TOKENS):
        common, before = numbers.draw() // 64, 0
        for k in range(COLUMNS):
            own = numbers.draw() // 64
            x[t, k] = (2 * own + before + common) * (1 + k * 7 % 5)  # inputs of channels differ in size and hang together
            before = own
    return w, x


STORED = np.float16  # scales are rounded to this


def find_scales(w, bits, symmetric):
    """Scale and zero point of each row of a group, in f32, as GPTQ's quantizer finds them. The scale is rounded to STORED."""
    w, top = w.astype(np.float32), np.float32(2 ** bits - 1)
    low, high = np.minimum(w.min(1), np.float32(0)), np.maximum(w.max(1), np.float32(0))
    if symmetric:
        high = np.maximum(-low, high)
        low = np.where(low < 0, -high, low)
    low, high = np.where(high > low, low, np.float32(-1)), np.where(high > low, high, np.float32(1))
    scale = (high - low) / top
    zero = np.full(len(w), 2.0 ** (bits - 1)) if symmetric else np.rint(-low / scale).astype(np.float64)
    return scale.astype(STORED).astype(np.float64), zero


def searched_scales(w, bits, symmetric):
    """Those of the range, made smaller in 25 steps down to a half, then zero points one up or down: each row takes what
    gives the least squared error, the first of equals."""
    scale, zero = find_scales(w, bits, symmetric)
    w, top = w.astype(np.float32).astype(np.float64), 2 ** bits - 1

    def best(tried):
        errors = []
        for s, z in tried:
            codes = np.clip(np.rint(w / s[:, None]) + z[:, None], 0, top)
            errors.append((((codes - z[:, None]) * s[:, None] - w) ** 2).sum(1))
        chosen = np.argmin(errors, 0)
        return tuple(np.stack(kind)[chosen, np.arange(len(w))] for kind in zip(*tried))

    steps = [np.float32(1 - step / 50) for step in range(26)]
    scale, zero = best([((scale.astype(np.float32) * step).astype(STORED).astype(np.float64), zero) for step in steps])
    return (scale, zero) if symmetric else best([(scale, np.clip(zero + step, 0, top)) for step in (-1, 0, 1)])


def gptq(w, hessian, bits, symmetric, order, scales, group=GROUP, find=find_scales):
    """order: 'natural', 'moving' (columns move to the place where they are rounded, groups are of places) or 'static'.
    Returns codes, by place where columns move, and values. Columns without input become 0."""
    w, h = w.astype(np.float64), hessian.astype(np.float64)
    columns = w.shape[1]
    places = np.arange(columns) if order == "natural" else np.argsort(-np.diag(h), kind="stable")
    dead = np.diag(h) == 0
    h[dead, dead] = 1
    w[:, dead] = 0
    fixed = [find(w[:, g:g + group], bits, symmetric) for g in range(0, columns, group)]
    w, h = w[:, places], h[np.ix_(places, places)]
    h = h + np.eye(columns) * DAMP * np.diag(h).mean()
    u = np.linalg.cholesky(np.linalg.inv(h)).T
    codes = np.zeros(w.shape, int)
    value = np.zeros_like(w)
    for i in range(columns):
        if i % BLOCK == 0:
            at_block = w.copy()
        if order == "static":
            scale, zero = fixed[places[i] // group]
        elif i % group == 0:
            scale, zero = find((w if scales == "updated" else at_block)[:, i:i + group], bits, symmetric)
        codes[:, i] = np.clip(np.rint(w[:, i] / scale) + zero, 0, 2 ** bits - 1)
        value[:, i] = (codes[:, i] - zero) * scale
        w[:, i:] -= np.outer((w[:, i] - value[:, i]) / u[i, i], u[i, i:])
    if order == "static":
        back = np.argsort(places)
        return codes[:, back], value[:, back]
    return codes, value[:, np.argsort(places)]


def round_to_nearest(w, bits, symmetric, group=GROUP):
    w, value = w.astype(np.float32), np.zeros(w.shape)
    for g in range(0, w.shape[1], group):
        part = w[:, g:g + group]
        scale, zero = find_scales(part, bits, symmetric)
        q = np.clip(np.rint(part.astype(np.float64) / scale[:, None]) + zero[:, None], 0, 2 ** bits - 1)
        value[:, g:g + group] = (q - zero[:, None]) * scale[:, None]
    return value


def output_error(w, value, h):
    d = w.astype(np.float64) - value
    return float(np.sum(d @ h.astype(np.float64) * d))


def scaled_error(w, s, h, bits, symmetric, group=GROUP):
    """The output error where columns are multiplied by `s` before rounding, and inputs divided."""
    return output_error(w, round_to_nearest(w * s, bits, symmetric, group) / s.astype(np.float64), h)


def awq_scales(w, mean_x, h, bits, symmetric, duo, group=GROUP):
    """AWQ's search, of 20 exponents, for one weight or for all that read an input, above each other: the least error, the
    exponent and the factors."""
    size = np.abs(w.astype(np.float64)).reshape(len(w), -1, group)
    mean_w, best = (size / (size.max(2, keepdims=True) + 1e-6)).reshape(w.shape).mean(0), None
    for step in range(20):
        r = step / 20
        s = mean_x ** r / (mean_w ** (1 - r) + 1e-4) if duo else mean_x ** r
        s = np.maximum(s, 1e-4)
        s = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
        error = scaled_error(w, s, h, bits, symmetric, group)
        if best is None or error < best[0]:
            best = error, r, s
    return best


def awq(w, x, h, bits, symmetric, duo):
    mean_x = np.abs(x).astype(np.float64).mean(0).astype(np.float32).astype(np.float64)
    before = output_error(w, round_to_nearest(w, bits, symmetric), h)
    error, r, s = awq_scales(w, mean_x, h, bits, symmetric, duo)
    clipped = clip((w * s).astype(np.float32), (h / np.outer(s, s).astype(np.float64)).astype(np.float32), bits, symmetric)
    after = output_error(w, round_to_nearest(clipped, bits, symmetric) / s.astype(np.float64), h)
    return r, before, error, after


def clip(w, h, bits, symmetric):
    """Each row and group clamped to the part of its range with which the group alone makes the least output error."""
    result = w.copy()
    for n, g in itertools.product(range(ROWS), range(0, COLUMNS, GROUP)):
        part, block = w[n:n + 1, g:g + GROUP], h[g:g + GROUP, g:g + GROUP].astype(np.float64)
        largest, best = np.abs(part).max(), None
        for step in range(10):
            limit = largest * np.float32(1 - step / 20)
            scale, zero = find_scales(np.clip(part, -limit, limit), bits, symmetric)
            q = np.clip(np.rint(np.clip(part, -limit, limit).astype(np.float64) / scale) + zero, 0, 2 ** bits - 1)
            d = ((q - zero) * scale - part)[0]
            error = d @ block @ d
            if best is None or error < best[0]:
                best = error, limit
        result[n, g:g + GROUP] = np.clip(part, -best[1], best[1])
    return result


def compare_with_gptqmodel(w, x, h):
    """gptqmodel keeps scales in f32 until they are saved, and takes them from the weights as the block of columns began."""
    global STORED
    STORED = np.float32
    import torch
    from gptqmodel.quantization import QuantizeConfig
    from gptqmodel.quantization.gptq import GPTQ
    for bits, symmetric, order in itertools.product((2, 3, 4, 8), (True, False), ("natural", "moving")):
        linear = torch.nn.Linear(COLUMNS, ROWS, bias=False)
        linear.weight.data = torch.from_numpy(w.copy())
        solver = GPTQ(linear, QuantizeConfig(bits=bits, group_size=GROUP, sym=symmetric, desc_act=order == "moving",
                                             act_group_aware=False, damp_percent=DAMP, fallback=None))
        solver.quantizer.configure(perchannel=True)
        inputs = torch.from_numpy(x.astype(np.float32))[None]
        with torch.inference_mode():
            solver.add_batch(inputs, linear(inputs), batch_index=0)
            theirs = solver.quantize()[0].double().numpy()
        value = gptq(w, h, bits, symmetric, order, "block")[1]
        other = np.mean(np.abs(value - theirs) > 0.2 * np.abs(value).max() / 2 ** bits)
        ratio = output_error(w, theirs, h) / output_error(w, value, h)
        print(f"{bits} bits, {'sym' if symmetric else 'asym'}, {order}: {other:.2%} of the weights differ, error {ratio:.6f} of ours")


def main():
    w, x = layer()
    h = ((x.T @ x).astype(np.float64) / TOKENS).astype(np.float32)
    if sys.argv[1:] == ["--gptqmodel"]:
        return compare_with_gptqmodel(w, x, h)
    for bits, symmetric in itertools.product((2, 3, 4, 8), (True, False)):
        spec = f"int:{bits}:g{GROUP}" + ("" if symmetric else ":asym")
        for order, scales in itertools.product(("natural", "moving", "static"), ("block", "updated")):
            if order == "static" and scales == "block":
                continue
            codes, value = gptq(w, h, bits, symmetric, order, scales)
            digits = "".join(f"{c:0{2 if bits > 4 else 1}x}" for c in codes.flat)
            print("gptq", spec, order, scales, f"{output_error(w, value, h):.17g}", digits)
        for order in ("natural", "moving", "static"):
            codes, value = gptq(w, h, bits, symmetric, order, "updated", find=searched_scales)
            digits = "".join(f"{c:0{2 if bits > 4 else 1}x}" for c in codes.flat)
            print("gptq-mse", spec, order, "updated", f"{output_error(w, value, h):.17g}", digits)
        for duo in (True, False):
            print("awq", spec, "duo" if duo else "plain", *(f"{v:.17g}" for v in awq(w, x, h, bits, symmetric, duo)))


if __name__ == "__main__":
    main()
