"""Methods on a 16 x 64 weight, computed from the papers in f64 with plain Python.

  methods.py make OUT.mlir [KIND [FORMAT]]
                                       a graph: norm, linear, with weight, norm and statistics as constants; held-out
                                       inputs are `like` those that were learned from, or `white`; `stream`: with an
                                       embedding before a norm of ones. FORMAT: that of the weight
  methods.py check METHOD VALUES.safetensors
                                       compares what qf-materialize wrote with our own result; prints one line

METHOD: rtn, imatrix, imatrix-diagonal, gptq, gptq-block, gptq-order, gptq-dynamic, gptq-mse, awq, auto-like, auto-white,
outliers, rotate: groups of 32, 4 bits, symmetric, f16 scales. nf4, fp4: of bitsandbytes, scales quantized again.
"""
import json
import math
import struct
import sys

N, K, GROUP, BITS, DAMP = 16, 64, 32, 4, 0.01


def f32(v):
    return struct.unpack("<f", struct.pack("<f", v))[0]


def f16(v):
    return struct.unpack("<e", struct.pack("<e", v))[0]


class Random:
    """A linear congruential generator: the same numbers everywhere."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53

    def normal(self):
        return sum(self.uniform() for _ in range(12)) - 6


def problem():
    """Weight, norm, and the statistics of 200 correlated inputs, some features large."""
    random = Random(7)
    w = [[f32(0.1 * random.normal()) for _ in range(K)] for _ in range(N)]
    norm = [f32(0.5 + random.uniform()) for _ in range(K)]
    size = [math.exp(random.normal()) for _ in range(K)]
    columns = [[0.0] * K for _ in range(3)]
    tokens = 200

    def products(learn):
        h = [[0.0] * K for _ in range(K)]
        for _ in range(tokens):
            common = random.normal()
            x = [size[k] * (random.normal() + 0.8 * common) for k in range(K)]
            for i in range(K):
                if learn:
                    columns[0][i] += abs(x[i]) / tokens
                    columns[1][i] += x[i] ** 2 / tokens
                    columns[2][i] = max(columns[2][i], abs(x[i]))
                for j in range(K):
                    h[i][j] += x[i] * x[j] / tokens
        return [[f32(v) for v in row] for row in h]

    h, like = products(True), products(False)
    white = [[float(i == j) for j in range(K)] for i in range(K)]
    return w, norm, [[f32(v) for v in row] for row in columns], h, {"like": like, "white": white}


def dense(rows):
    flat = [v for row in rows for v in row] if isinstance(rows[0], list) else rows
    return 'dense<"0x' + b"".join(struct.pack("<f", v) for v in flat).hex().upper() + '">'


def make(path, kind="like", format=f"int<{BITS}, group = {GROUP}>"):
    w, norm, columns, h, held_out = problem()
    weight = f"""
nn.weight @w : tensor<{N}x{K}xf32> from {dense(w)} : tensor<{N}x{K}xf32> {{nn.format = !qf.elem<{format}>}}"""
    if kind == "stream":
        text = weight + f"""
nn.weight @table : tensor<{N}x{K}xf32> from {dense(w)} : tensor<{N}x{K}xf32>
nn.weight @norm : tensor<{K}xf32> from dense<1.0> : tensor<{K}xf32>
func.func @forward(%ids: tensor<?xi32>) -> tensor<?x{N}xf32> {{
  %t = nn.get @table : tensor<{N}x{K}xf32>
  %h = nn.embedding %ids, %t : (tensor<?xi32>, tensor<{N}x{K}xf32>) -> tensor<?x{K}xf32>
  %n = nn.get @norm : tensor<{K}xf32>
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x{K}xf32>, tensor<{K}xf32>
  %w = nn.get @w : tensor<{N}x{K}xf32>
  %y = nn.linear %x weights(%w : tensor<{N}x{K}xf32>) : tensor<?x{K}xf32> -> tensor<?x{N}xf32>
  return %y : tensor<?x{N}xf32>
}}
"""
    else:
        text = weight + f"""
nn.weight @norm : tensor<{K}xf32> from {dense(norm)} : tensor<{K}xf32>
nn.weight @columns.w : tensor<3x{K}xf32> from {dense(columns)} : tensor<3x{K}xf32>
nn.weight @hessian.w : tensor<{K}x{K}xf32> from {dense(h)} : tensor<{K}x{K}xf32>
nn.weight @heldout.w : tensor<{K}x{K}xf32> from {dense(held_out[kind])} : tensor<{K}x{K}xf32>
func.func @forward(%h: tensor<?x{K}xf32>) -> tensor<?x{N}xf32> {{
  %n = nn.get @norm : tensor<{K}xf32>
  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x{K}xf32>, tensor<{K}xf32>
  %w = nn.get @w : tensor<{N}x{K}xf32>
  %y = nn.linear %x weights(%w : tensor<{N}x{K}xf32>) : tensor<?x{K}xf32> -> tensor<?x{N}xf32>
  return %y : tensor<?x{N}xf32>
}}
"""
    with open(path, "w") as out:
        out.write(text)


def scale_of(row):
    """GPTQ's find_params, symmetric (gptq/quant.py of the paper), with the scale as the format stores it: f16."""
    top = max(abs(min(0.0, min(row))), max(0.0, max(row)))
    if top == 0:
        return f16(f32(2.0 / (2**BITS - 1)))
    low = -top if min(row) < 0 else 0.0
    return f16(f32((top - low) / (2**BITS - 1)))


def rounded(v, scale):
    zero = 2 ** (BITS - 1)
    return (max(0, min(2**BITS - 1, round(v / scale) + zero)) - zero) * scale


def rtn(w):
    out = []
    for row in w:
        scales = [scale_of(row[g : g + GROUP]) for g in range(0, K, GROUP)]
        out.append([rounded(v, scales[k // GROUP]) for k, v in enumerate(row)])
    return out


def cholesky(a):
    n = len(a)
    low = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            s = a[i][j] - sum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = math.sqrt(s) if i == j else s / low[j][j]
    return low


def inverse(a):
    low, n = cholesky(a), len(a)
    columns = []
    for c in range(n):
        y = [0.0] * n
        for i in range(n):
            y[i] = ((i == c) - sum(low[i][k] * y[k] for k in range(i))) / low[i][i]
        x = [0.0] * n
        for i in reversed(range(n)):
            x[i] = (y[i] - sum(low[k][i] * x[k] for k in range(i + 1, n))) / low[i][i]
        columns.append(x)
    return [[columns[j][i] for j in range(n)] for i in range(n)]


def searched(row, importance):
    """Of 26 scales from that of the range down to a half, the first with the least weighted squared error."""
    best = None
    for step in range(26):
        scale = f16(f32(scale_of(row) * (1 - step / 50)))
        error = sum(m * (v - rounded(v, scale)) ** 2 for v, m in zip(row, importance))
        if best is None or error < best[0]:
            best = error, scale
    return best[1]


def imatrix(w, importance):
    """Scales by squared errors that count as much as the mean squares of the inputs say."""
    out = []
    for row in w:
        scales = [searched(row[g : g + GROUP], importance[g : g + GROUP]) for g in range(0, K, GROUP)]
        out.append([rounded(v, scales[k // GROUP]) for k, v in enumerate(row)])
    return out


def by_outputs(w, h):
    """Of the range's scales and three searched ones, first for each row, then twice for each group, what lowers the error
    of the outputs most: by H with a hundredth of the mean of its diagonal added."""
    diagonal = [h[k][k] for k in range(K)]
    damped = [[h[i][j] + (0.01 * sum(diagonal) / K if i == j else 0) for j in range(K)] for i in range(K)]
    tried = [rtn(w)] + [imatrix(w, [d**power for d in diagonal]) for power in (1, 0.5, 0)]
    out = []
    for n, row in enumerate(w):
        best = list(tried[0][n])
        for g, size in [(0, K)] + [(g, GROUP) for g in range(0, K, GROUP)] * 2:
            choices = [best] + [best[:g] + one[n][g : g + size] + best[g + size :] for one in tried]
            errors = [trace([[a - b for a, b in zip(choice, row)]], damped) for choice in choices]
            best = choices[errors.index(min(errors))]
        out.append(best)
    return out


def gptq(w, h, block, order, dynamic=False, find=None):
    """`block`: scales as of the start of the block (one block here); `order`: large inputs first; groups are static, or
    `dynamic`, of columns that follow each other in the order; `find`: the scale of a group."""
    find = find or scale_of
    places = sorted(range(K), key=lambda k: -h[k][k]) if order else list(range(K))
    damp = DAMP * sum(h[k][k] for k in range(K)) / K
    a = [[h[i][j] + (damp if i == j else 0) for j in places] for i in places]
    inv = inverse(a)
    low = cholesky(inv)  # inv = low lowT: the upper factor of the paper is its transpose
    work = [list(row) for row in w]
    out = [[0.0] * K for _ in range(N)]
    scales = {}
    for at, k in enumerate(places):
        for n in range(N):
            group = (at if dynamic else k) // GROUP
            if (n, group) not in scales:
                source = w if (order and not dynamic) or block else work
                members = range(group * GROUP, (group + 1) * GROUP)
                scales[n, group] = find([source[n][places[j] if dynamic else j] for j in members])
            q = rounded(work[n][k], scales[n, group])
            out[n][k] = q
            error = (work[n][k] - q) / low[at][at]
            for later in range(at + 1, K):
                work[n][places[later]] -= error * low[later][at]
    return out


def trace(difference, h):
    return sum(sum(d[i] * sum(h[i][j] * d[j] for j in range(K)) for i in range(K)) for d in difference)


def awq(w, columns, h):
    """The factors of the published grids (inputs alone as in the paper, with the weights' sizes as its later code) with the least
    error; returns them, and the rounded weights."""
    wm = [0.0] * K
    for row in w:
        for k in range(K):
            g = k // GROUP * GROUP
            wm[k] += abs(row[k]) / (max(abs(v) for v in row[g : g + GROUP]) + 1e-6) / N
    best = None
    for i in range(40):
        r, by_weights = i % 20 / 20, i < 20
        s = [max(columns[0][k] ** r / (wm[k] ** (1 - r) + 1e-4 if by_weights else 1), 1e-4) for k in range(K)]
        middle = math.sqrt(max(s) * min(s))
        s = [f32(v / middle) for v in s]
        q = rtn([[f32(row[k] * s[k]) for k in range(K)] for row in w])
        back = [[row[k] / s[k] for k in range(K)] for row in q]
        error = trace([[a - b for a, b in zip(x, y)] for x, y in zip(back, w)], h)
        if best is None or error < best[0]:
            best = (error, s, q)
    return best


def rotated(w, seed):
    """w D H / 8: signs are the bits of splitmix64, H is Sylvester's."""
    state = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    sign = [-1 if z >> i & 1 else 1 for i in range(K)]
    return [[f32(sum(row[i] * sign[i] * (-1) ** (i & j).bit_count() for i in range(K)) / math.sqrt(K)) for j in range(K)] for row in w]


NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
FP4 = [sign * v for v in (0, 1 / 192, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1) for sign in (1, -1)]


def dynamic_tree():
    """The signed 8-bit numbers of Dettmers et al., "8-bit Optimizers", 2022: as many decimal exponents as leading zeros,
    the middles of as many equal parts of [0.1, 1] as the bits behind them can tell; 0 and 1."""
    values = [0.0, 1.0]
    for exponent in range(7):
        parts = 2**exponent
        for part in range(parts):
            middle = 0.1 + 0.9 * (part + 0.5) / parts
            values += [middle * 10.0 ** (exponent - 6), -middle * 10.0 ** (exponent - 6)]
    return sorted(values)


def double_quantized(w, table):
    """A scale for each 64 numbers; scales, less their mean, are 8-bit numbers times the largest of them. Codes are those
    of the scales before."""
    tree, flat = dynamic_tree(), [v for row in w for v in row]
    scales = [max(abs(v) for v in flat[i : i + 64]) for i in range(0, len(flat), 64)]
    mean = sum(scales) / len(scales)
    largest = max(abs(s - mean) for s in scales)
    again = [min(tree, key=lambda t: abs(t - (s - mean) / largest)) * largest + mean for s in scales]
    values = [min(table, key=lambda t: abs(t - v / scales[i // 64])) * again[i // 64] for i, v in enumerate(flat)]
    return [values[i : i + K] for i in range(0, len(values), K)]


def outliers(w, columns):
    """Columns with inputs of 12 and more as f16, the others by rounding, with zeros in their place."""
    apart = [k for k in range(K) if columns[2][k] >= 12]
    inner = rtn([[0.0 if k in apart else v for k, v in enumerate(row)] for row in w])

    return inner, [[f16(row[k]) for k in apart] for row in w]


def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin : 8 + size + end])
    return tensors


def check(method, path):
    w, norm, columns, h, held_out = problem()
    tensors = read(path)
    found = [list(tensors["w"][n * K : (n + 1) * K]) for n in range(N)]
    ones = [1.0] * GROUP
    if method == "awq":
        _, s, expected = awq(w, columns, h)
        worst = max(abs(tensors["norm"][k] * s[k] / norm[k] - 1) for k in range(K))
        print(f"norm over the factors: {'as expected' if worst < 1e-5 else f'off by {worst}'}")
    elif method.startswith("auto"):
        judge = held_out[method.removeprefix("auto-")]
        tried = {"rtn": rtn(w), "gptq": gptq(w, h, False, False), "gptq:act-order": gptq(w, h, False, True)}
        errors = {name: trace([[a - b for a, b in zip(x, y)] for x, y in zip(q, w)], judge) for name, q in tried.items()}
        winner = min(errors, key=errors.get)
        print(f"the winner is {winner}")
        expected = tried[winner]
    else:
        expected = {
            "rtn": lambda: rtn(w),
            "imatrix": lambda: by_outputs(w, h),
            "imatrix-diagonal": lambda: imatrix(w, columns[1]),
            "gptq-dynamic": lambda: gptq(w, h, False, True, dynamic=True),
            "gptq-mse": lambda: gptq(w, h, False, False, find=lambda group: searched(group, ones)),
            "rotate": lambda: rtn(rotated(w, 5)),
            "outliers": lambda: outliers(w, columns)[0],
            "nf4": lambda: double_quantized(w, NF4),
            "fp4": lambda: double_quantized(w, FP4),
            "gptq": lambda: gptq(w, h, False, False),
            "gptq-block": lambda: gptq(w, h, True, False),
            "gptq-order": lambda: gptq(w, h, False, True),
        }[method]()
    if method == "outliers":
        apart = [v for row in outliers(w, columns)[1] for v in row]
        same = sum(a == b for a, b in zip(tensors["w.outliers"], apart, strict=True))
        print(f"outliers: {same} of {len(apart)} as expected, {len(apart) // N} columns")
    same = sum(abs(a - b) <= 1e-6 + 1e-5 * abs(b) for x, y in zip(found, expected) for a, b in zip(x, y))
    plain = trace([[a - b for a, b in zip(x, y)] for x, y in zip(rtn(w), w)], h)
    error = trace([[a - b for a, b in zip(x, y)] for x, y in zip(found, w)], h) if method != "awq" else awq(w, columns, h)[0]
    print(f"{method}: {same} of {N * K} weights as expected, error {error / plain:.3f} of round-to-nearest's")


if __name__ == "__main__":
    make(*sys.argv[2:]) if sys.argv[1] == "make" else check(sys.argv[2], sys.argv[3])
