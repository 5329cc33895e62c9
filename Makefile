# make demo    set-up, build, then quantize, compile and run the demo model
# make test    set-up, build, every test but the slow ones
# make lint    what scripts can check of the rules of the code; make tidy: clang-tidy on a few files (TIDY="FILE …")
.PHONY: setup build demo test test-asan test-arm test-full test-oracles lint tidy clean

JOBS ?= $(shell nproc)

setup:
	scripts/setup.sh

build: setup
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

demo: build
	scripts/demo.sh build/release/bin

test: build test-asan
	ctest --test-dir build/release --output-on-failure -j $(JOBS) -LE 'full|oracle'

# The libraries without MLIR, the readers and the fuzz targets, under AddressSanitizer and UBSan.
test-asan: setup
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	ctest --test-dir build/asan --output-on-failure -j $(JOBS) -LE 'full|oracle'

# Full residue sweeps of the kernels; the compiler under AddressSanitizer. MLIR's own memory lives until the end, and its
# shared library does not know which of its memory inline code of its headers poisons.
test-full: build test-arm
	ctest --test-dir build/release --output-on-failure -j $(JOBS) -L full
	cmake --preset asan-mlir
	cmake --build --preset asan-mlir -j $(JOBS)
	ASAN_OPTIONS=detect_leaks=0:allow_user_poisoning=0 ctest --test-dir build/asan-mlir --output-on-failure -R '^(lit|import-tests)$$'

# The runtime for 64-bit Arm, built here, and artifacts run by it in QEMU.
test-arm: build
	scripts/setup.sh arm
	cmake --preset aarch64
	cmake --build --preset aarch64 -j $(JOBS)
	.venv/bin/python test/e2e/arm.py build/release/bin build/aarch64

# Live comparison with torch, transformers and llama.cpp (6 GB of packages from PyPI).
test-oracles: build
	test/oracle/run

lint:
	scripts/lint

TIDY ?= lib/Pipelines/Pipelines.cpp lib/CodeGen/Tile.cpp lib/Format/Parser.cpp lib/Artifact/Gguf.cpp
tidy: build
	clang-tidy-22 -p build/release --quiet --warnings-as-errors='*' $(TIDY)

clean:
	rm -rf build
