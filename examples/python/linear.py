"""y = x wᵀ on a GPU by a kernel of quantc, called from Python through NVIDIA's driver: on tensors of torch where it is installed
and has a GPU, else on arrays of numpy that the driver copies. Nothing of quantc is loaded: its files are a kernel (PTX), how to
launch it (JSON) and the weights.

    python3 examples/python/linear.py [--quantc PROGRAM] [--format int:4:g128] [-m 8] [-n 1024] [-k 512] [--target sm_80]

The result is compared with the product of the same activations and the weights as the format rounds them, in f64: status 0 where
they agree, 1 where they do not, 77 without a GPU.
"""
import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    torch = None

MAX_DYNAMIC_SHARED_SIZE_BYTES = 8  # of the driver's CUfunction_attribute


class Driver:
    """The functions of libcuda that a launch needs, by the names of the CUDA Driver API. An error of the driver ends the program."""

    def __init__(self, library):
        try:
            self.library = ctypes.CDLL(library)
        except OSError as error:
            sys.exit(skipped(error))
        if self.library.cuInit(0) != 0:
            sys.exit(skipped("the driver does not start"))
        device, self.context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        # The context that torch has too.
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), device)
        self.call("cuCtxPushCurrent_v2", self.context)

    def call(self, function, *arguments):
        if result := getattr(self.library, function)(*arguments):
            text = ctypes.c_char_p()
            self.library.cuGetErrorString(result, ctypes.byref(text))
            sys.exit(f"{function}: {(text.value or b'unknown').decode()}")

    def kernel(self, ptx, name, shared_bytes):
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadDataEx", ctypes.byref(module), ctypes.c_char_p(ptx), 0, None, None)
        self.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        self.call("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes)
        return function

    def launch(self, function, grid, threads, shared_bytes, parameters):
        values = [ctypes.c_uint64(parameter) for parameter in parameters]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self.call("cuLaunchKernel", function, *grid, threads, 1, 1, shared_bytes, None, pointers, None)

    def to_device(self, array):
        """The address of a copy."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(array.nbytes))
        self.call("cuMemcpyHtoD_v2", address, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes))
        return address.value

    def to_host(self, address, array):
        """Waits for the kernel."""
        self.call("cuMemcpyDtoH_v2", array.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))


def skipped(why):
    print(f"skipped: no GPU of NVIDIA's here ({why})")
    return 77


def compiled(options, folder, weights):
    """The kernel's PTX, how it is launched, its weights, and these as f32."""
    weights.tofile(folder / "w.f32")
    command = [options.quantc, "kernels", "--format", options.format, "--n", str(options.n), "--k", str(options.k), "--m",
               str(options.m), "--target", options.target]

    def emit(what, *arguments):
        done = subprocess.run([*command, "--emit", what, "-o", folder / what, "--json", *arguments], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout), (folder / what).read_bytes()

    launch, ptx = emit("ptx")
    packed = np.frombuffer(emit("weights", "--weights", folder / "w.f32")[1], np.uint8)
    decoded = np.frombuffer(emit("decoded", "--weights", folder / "w.f32")[1], np.float32).reshape(weights.shape)
    return ptx, launch["launch"], packed, decoded


def parameters(launch, x, weights, y):
    """The kernel's, in order: addresses; each plane of the weights lies at its own place."""
    offsets = {plane["name"]: plane["offset"] for plane in launch["weights"]["planes"]}
    addresses = {"x": x, "y": y, **{name: weights + offset for name, offset in offsets.items()}}
    return [addresses[parameter["name"]] for parameter in launch["parameters"]]


def multiply_with_torch(driver, function, launch, x, weights, shape):
    x, weights, y = torch.from_numpy(x).cuda(), torch.from_numpy(weights.copy()).cuda(), torch.empty(shape, dtype=torch.float16).cuda()
    torch.cuda.synchronize()  # the kernel runs on a stream of its own
    driver.launch(function, launch["grid"], launch["threads"], launch["shared_bytes"],
                  parameters(launch, x.data_ptr(), weights.data_ptr(), y.data_ptr()))
    torch.cuda.synchronize()
    return y.cpu().numpy()


def multiply_with_numpy(driver, function, launch, x, weights, shape):
    y = np.empty(shape, np.float16)
    result = driver.to_device(y)
    driver.launch(function, launch["grid"], launch["threads"], launch["shared_bytes"],
                  parameters(launch, driver.to_device(x), driver.to_device(weights), result))
    driver.to_host(result, y)
    return y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quantc", default="quantc", help="the program")
    parser.add_argument("--format", default="int:4:g128")
    parser.add_argument("-m", type=int, default=8, help="tokens")
    parser.add_argument("-n", type=int, default=1024, help="output features")
    parser.add_argument("-k", type=int, default=512, help="input features")
    parser.add_argument("--target", default="sm_80", help="a GPU in targets/; later ones run the code of earlier ones")
    parser.add_argument("--library", default="libcuda.so.1", help="the driver")
    options = parser.parse_args()

    driver = Driver(options.library)
    random = np.random.default_rng(1)
    x = random.standard_normal((options.m, options.k)).astype(np.float16)
    with tempfile.TemporaryDirectory() as folder:
        ptx, launch, weights, decoded = compiled(options, Path(folder), random.standard_normal((options.n, options.k), np.float32) / 50)
    function = driver.kernel(ptx, launch["kernel"], launch["shared_bytes"])
    multiply = multiply_with_torch if torch and torch.cuda.is_available() else multiply_with_numpy
    y = multiply(driver, function, launch, x, weights, (options.m, options.n))

    exact = x.astype(np.float64) @ decoded.T.astype(np.float64)
    # The result is rounded to f16; sums of f32 on tensor cores are off by 2e-5 of what they add up, of codes that are no whole
    # numbers, and so rounded to f16 too, by 5e-4.
    bound = 2.0**-11 * np.abs(exact) + 5e-4 * (np.abs(x).astype(np.float64) @ np.abs(decoded.T).astype(np.float64))
    worst = float((np.abs(y - exact) / bound).max())
    print(f"{options.format} {options.n} x {options.k}, {options.m} tokens, {options.target}: relative error "
          f"{np.linalg.norm(y - exact) / np.linalg.norm(exact):.1e}, {worst:.2f} of what rounding allows")
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
