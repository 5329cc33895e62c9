#!/usr/bin/env bash
# Quantizes, compiles and runs the demo model:  scripts/demo.sh BIN   (BIN: the folder of the program quantc)
set -euo pipefail
bin=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
model=$root/examples/demo-model
out=$root/build/demo
mkdir -p "$out"

step() { printf '\n\033[1m$ quantc %s\033[0m\n' "$*"; (cd "$out" && "$bin/quantc" "$@"); }

step compile "$model" -o bf16.qm
step run bf16.qm -p "Once upon a time" -n 80
for format in q8_0 q4_k int:4:g128:asym nf4; do
  step compile "$model" -o "${format//:/-}.qm" --format "$format"
  step run "${format//:/-}.qm" -p "Once upon a time" -n 80
  step perplexity "${format//:/-}.qm" --text "$model/heldout.txt" --ctx 256 --reference bf16.qm
done
step quantize "$model" -o demo-q4_k.gguf --format q4_k
step inspect demo-q4_k.gguf
