"""Run the native tests on the kernels of build/sanitize: a read past a tensor's end or an overflow ends the run.

AddressSanitizer must be in the process before Python is, so that it also stands guard around torch's memory.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from ctypes import addressof, c_float
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOABI = sysconfig.get_config_var("SOABI")
MODULE = ROOT / "build/sanitize" / SOABI / f"_native.{SOABI}.so"
CAMPAIGNS = [
    ROOT / "tests/faults/test_operators.py"
]  # with REGEN_FAULTS=long, as many tries as in make faults
TESTS = [
    str(path.relative_to(ROOT))
    for path in sorted(
        {*ROOT.glob("tests/native/test_*.py"), *ROOT.glob("tests/*/test_native*.py"), *CAMPAIGNS}
    )
    if path.name != "test_native_build.py"  # it starts compilers, and calls no kernel
]
# How exact the last bits are, which are not those of -O3; and what runs in a process of its own, unwatched.
LEFT_OUT = "not test_error and not test_traced_programs"
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python and torch keep what they have until the end
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PYTHONMALLOC": "malloc",  # every array apart, so that its ends are known
}


def watched() -> ModuleType:
    """The watched kernels, in the place of the others."""
    spec = spec_from_file_location("regen._native", MODULE)
    assert spec is not None and spec.loader is not None
    sys.modules["regen._native"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tests() -> int:
    """Pytest's exit status with the watched kernels."""
    watched()
    return pytest.main(["--capture=sys", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, *TESTS])


def twin() -> int:
    """The wrong twin: an output of one float too few."""
    native = watched()
    B, T, H = 3, 5, 7
    sizes = {"x": B * T, "weight_ih": H, "weight_hh": H * H, "out": B * T * H - 1, "last": B * H}
    at = {name: (memory := (c_float * size)(), addressof(memory)) for name, size in sizes.items()}
    weights = (at["weight_ih"][1], at["weight_hh"][1], 0, 0)
    settings = (weights, (0,), 0, False, 0, (0,), (0.0,), at["out"][1], (at["last"][1],), 0, False, (), 1)
    native.Layer("elman_tanh", 1, H, H).forward(B, T, at["x"][1], T, 1, *settings)
    return 0


def again(job: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run `job` of this script with the sanitizer's library and the C++ one loaded before all others."""
    needed = subprocess.run(["ldd", str(MODULE)], capture_output=True, text=True, check=True).stdout
    first = re.findall(r"=> (\S*/lib(?:asan|stdc\+\+)\.so\S*)", needed)
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": " ".join(first)}
    return subprocess.run([sys.executable, __file__, job], cwd=ROOT, env=environment, text=True, **settings)


def main() -> int:
    """The wrong twin must be caught, and the tests must pass."""
    compilers = [name for name in (os.environ.get("CXX", "c++"), "g++", "clang++") if shutil.which(name)]
    if not MODULE.exists():
        lost = (
            f"{compilers[0]} is installed, but {MODULE} is missing" if compilers else "there is no compiler"
        )
        print(f"sanitize: nothing is watched: {lost}")
        return len(compilers) > 0
    caught = again("twin", capture_output=True).stderr
    if "AddressSanitizer: heap-buffer-overflow" not in caught:
        print(f"sanitize: a write past the end of an array went unnoticed\n{caught}")
        return 1
    return again("tests").returncode


if __name__ == "__main__":
    sys.exit({"twin": twin, "tests": tests}.get(sys.argv[-1], main)())
