#!/usr/bin/env python3
"""AWQ's factors for each input of whole models: those that quantc chooses, beside the published search in float64.

    test/oracle/awq_layers.py BIN [DIRECTORY…]      more models, as Hugging Face directories

The published search (layer_methods.py) tries 20 exponents on all rows of all linears that read the input, by the inputs'
second moments; the factors are mean |x|^r, as in the paper, and those with the weights' sizes, as in its later
implementation. quantc's come out of its passes (quant-opt). All are judged by one computation: the error of the outputs in
float64 after rounding to nearest. Required, beside the better of the two searches: no higher in 95 % of layers, never more
than 1 % higher.
"""
import dataclasses
import pathlib
import shutil
import subprocess
import tempfile

import numpy
from safetensors.numpy import load_file, save_file

import common
import layer_methods
import layers

GRIDS = ((4, 32), (3, 32), (4, 64), (3, 64))  # bits, group; with zero points, as AWQ's are


def graph(i, bits, group):
    """A norm and the linears behind it: factors are folded into the norm."""
    K, ws = i.hessian.shape[0], list(i.weights.values())
    text = f'nn.weight @norm : tensor<{K}xf32> from #nn.source<"model.safetensors", "norm">\n'
    body = (f"  %n = nn.get @norm : tensor<{K}xf32>\n"
            f"  %x = nn.rms_norm %h, %n eps 1.0e-5 : tensor<?x{K}xf32>, tensor<{K}xf32>\n")
    for at, w in enumerate(ws):
        text += (f'nn.weight @w{at} : tensor<{len(w)}x{K}xf32> from #nn.source<"model.safetensors", "w{at}"> '
                 f"{{nn.format = !qf.elem<int<{bits}, group = {group}, asym>>}}\n")
        body += (f"  %w{at} = nn.get @w{at} : tensor<{len(w)}x{K}xf32>\n"
                 f"  %y{at} = nn.linear %x weights(%w{at} : tensor<{len(w)}x{K}xf32>) : tensor<?x{K}xf32> -> tensor<?x{len(w)}xf32>\n")
    outputs = ", ".join(f"tensor<?x{len(w)}xf32>" for w in ws)
    values = ", ".join(f"%y{at}" for at in range(len(ws)))
    return f"{text}func.func @forward(%h: tensor<?x{K}xf32>) -> ({outputs}) {{\n{body}  return {values} : {outputs}\n}}\n"


def factors(quant_opt, i, bits, group, scratch):
    source, values, statistics = (scratch / name for name in ("layer.mlir", "values.safetensors", "statistics.safetensors"))
    model = scratch / "layer"
    model.mkdir(exist_ok=True)
    shutil.copy(common.DEMO_MODEL / "config.json", model)  # for what opens the directory: the graph says what is in it
    weights = {f"w{at}": w for at, w in enumerate(i.weights.values())}
    save_file({"norm": numpy.ones(len(i.hessian), numpy.float32), **weights}, model / "model.safetensors")
    source.write_text(graph(i, bits, group))
    layers.write_statistics(statistics, [dataclasses.replace(i, name="w0")])
    command = [quant_opt, source, "--qf-awq=clip=false", "--qf-rtn",
               f"--qf-materialize=model={model} statistics={statistics} values={values}", "-o", "/dev/null"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise common.Failure(done.stderr.splitlines()[0])
    return 1 / load_file(values)["norm"].reshape(-1)


def compare(quant_opt, inputs, bits, group, scratch):
    ratios, without = {"duo": [], "plain": [], "best": []}, []
    for i in inputs:
        w, mean_x = numpy.concatenate(list(i.weights.values())), i.columns[0].astype(numpy.float64)
        own = layer_methods.scaled_error(w, factors(quant_opt, i, bits, group, scratch), i.hessian, bits, False, group)
        found = {kind: layer_methods.awq_scales(w, mean_x, i.hessian, bits, False, kind == "duo", group) for kind in ("duo", "plain")}
        best = min(found.values(), key=lambda f: f[0])
        for kind, (error, *_) in [*found.items(), ("best", best)]:
            ratios[kind].append(own / error)
        without.append(own / layer_methods.output_error(w, layer_methods.round_to_nearest(w, bits, False, group), i.hessian))
    r = {kind: numpy.array(v) for kind, v in ratios.items()}
    text = "; ".join(f"{what}: no higher in {numpy.mean(r[kind] <= 1 + 1e-6):.0%}, at most {r[kind].max() - 1:+.2%}, mean {r[kind].mean() - 1:+.2%}"
                     for kind, what in (("plain", "the paper's factors"), ("duo", "with the weights' sizes"), ("best", "the better")))
    good = numpy.mean(r["best"] <= 1 + 1e-6) >= 0.95 and r["best"].max() <= 1.01
    return f"{len(inputs)} inputs; beside {text}; beside no factors: mean {numpy.mean(without) - 1:+.1%}", good


def main():
    parser = common.parser(__doc__)
    parser.add_argument("directories", nargs="*")
    options, report = parser.parse_args(), common.Report()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for model, make in layers.models(options.directories, scratch).items():
            inputs = layers.inputs_of(make())
            for bits, group in GRIDS:
                report.run(f"{model}, int:{bits}:g{group}:asym", compare, options.bin.path.with_name("quant-opt"), inputs, bits, group, scratch)
    report.finish()


if __name__ == "__main__":
    main()
