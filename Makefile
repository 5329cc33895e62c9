# make demo    set-up, build, then quantize, compile and run the demo model
# make test    set-up, build, every test but the slow ones
.PHONY: setup build demo test test-unit test-asan test-full test-oracles lint clean

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

# Full residue sweeps of the kernels.
test-full: build
	ctest --test-dir build/release --output-on-failure -L full

# Live comparison with torch, transformers and llama.cpp (6 GB of packages from PyPI).
test-oracles: build
	test/oracle/run

lint:
	scripts/lint

clean:
	rm -rf build
