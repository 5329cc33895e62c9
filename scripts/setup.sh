#!/usr/bin/env bash
# Installs every package that building and testing quantc needs on Debian 12 (as root). Safe to run again.
#   scripts/setup.sh            tools, LLVM/MLIR 22, libraries
#   scripts/setup.sh arm        also a cross compiler for 64-bit Arm and QEMU, which runs what it makes
set -euo pipefail

llvm=1:22.1.8-1~deb12u1
packages=(
  "libmlir-22-dev=$llvm" "mlir-22-tools=$llvm" "llvm-22-dev=$llvm" "llvm-22-tools=$llvm" "clang-22=$llvm" "lld-22=$llvm"
  "liblld-22-dev=$llvm" "libclang-rt-22-dev=$llvm" "clang-format-22=$llvm" "clang-tidy-22=$llvm"
  cmake ninja-build ccache make git ca-certificates g++ pkg-config
  libgtest-dev libgmock-dev libbenchmark-dev
  libfmt-dev libexpected-dev nlohmann-json3-dev libcli11-dev libeigen3-dev zlib1g-dev
  libsentencepiece-dev libpcre2-dev libutf8proc-dev libxxhash-dev
  python3 python3-venv python3-jinja2 libunicorn-dev
)

[[ ${1:-} == arm ]] && packages+=(g++-aarch64-linux-gnu qemu-user-static)

missing=()
for package in "${packages[@]}"; do
  name=${package%%=*}
  dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  # The pinned version where the mirror still has it, else the newest 22.
  apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    apt-get install -y -q --no-install-recommends "${missing[@]%%=*}"
fi

# Light readers for the tests: what other people's Python code says of our files.
root=$(cd "$(dirname "$0")/.." && pwd)
if ! cmp -s "$root/scripts/requirements.txt" "$root/.venv/requirements.txt"; then
  python3 -m venv "$root/.venv"
  "$root/.venv/bin/pip" install -q -r "$root/scripts/requirements.txt"
  cp "$root/scripts/requirements.txt" "$root/.venv/requirements.txt"
fi

# ptxas, which makes machine code of PTX, without the rest of a CUDA toolkit: 37 MB. Only tests of GPU kernels and --cubin want it.
if [[ $(uname -m) == x86_64 && ! -x /usr/local/cuda/bin/ptxas ]] && ! command -v ptxas > /dev/null; then
  "$root/.venv/bin/pip" install -q --no-deps nvidia-cuda-nvcc==13.0.88
  ptxas=$("$root/.venv/bin/python" -c 'import nvidia; print(list(nvidia.__path__)[0])')/cu13/bin/ptxas
  chmod a+x "$ptxas" && ln -sf "$ptxas" /usr/local/bin/ptxas
fi
