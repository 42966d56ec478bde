"""What the machine can do at most: a loop of float32 multiply-adds in registers, and torch's large matrix product."""

import ctypes
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("fma.c")
LIBRARY = Path(__file__).parents[2] / "build" / "bench" / "fma.so"
STEPS = 1_000_000
SIZE = 2048


def fma_loop(threads: int) -> Callable[[], float] | None:
    """A function that runs the loop for some milliseconds and returns its operations; None without a C compiler."""
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
        if compiler is None:
            return None
        LIBRARY.parent.mkdir(parents=True, exist_ok=True)
        options = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-pthread"]
        if subprocess.run([compiler, *options, SOURCE, "-o", LIBRARY]).returncode:
            return None
    function = ctypes.CDLL(str(LIBRARY)).fma_loop
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_long, ctypes.c_int]
    return lambda: function(STEPS, threads)


def product() -> Callable[[], float]:
    """A function that multiplies two 2048 x 2048 matrices by torch and returns its operations."""
    a, b, out = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)

    def multiply() -> float:
        torch.mm(a, b, out=out)
        return 2.0 * SIZE**3

    return multiply


def rate(work: Callable[[], float], rounds: int = 7) -> float:
    """Median operations per second of `work`."""
    work()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        operations = work()
        found.append(operations / (time.perf_counter() - start))
    return statistics.median(found)
