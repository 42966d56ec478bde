"""Run the native tests on the kernels of build/sanitize: a read past a tensor's end or an overflow ends the run.

AddressSanitizer must be in the process before Python is, so that it also stands guard around torch's memory.
"""

import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOABI = sysconfig.get_config_var("SOABI")
MODULE = ROOT / "build/sanitize" / SOABI / f"_native.{SOABI}.so"
TESTS = [
    str(path.relative_to(ROOT))
    for path in sorted(ROOT.glob("tests/*/test_native*.py"))
    if path.name != "test_native_build.py"  # it starts compilers, and calls no kernel
]
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python and torch keep what they have until the end
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def watched() -> int:
    """Pytest's exit status, with the watched kernels in the place of the others."""
    import regen

    spec = spec_from_file_location("regen._native", MODULE)
    assert spec is not None and spec.loader is not None
    sys.modules["regen._native"] = regen._native = module_from_spec(spec)
    spec.loader.exec_module(regen._native)
    return pytest.main(["--capture=sys", "-q", "-p", "no:cacheprovider", *TESTS])


def main() -> int:
    """Start again, with the sanitizer's library and the C++ one before all others."""
    if not MODULE.exists():
        print("sanitize: nothing is compiled here, so there is nothing to watch")
        return 0
    if not TESTS:
        print("sanitize: no tests/*/test_native*.py to run")
        return 0
    needed = subprocess.run(["ldd", str(MODULE)], capture_output=True, text=True, check=True).stdout
    first = re.findall(r"=> (\S*/lib(?:asan|stdc\+\+)\.so\S*)", needed)
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": " ".join(first)}
    return subprocess.run([sys.executable, __file__, "watched"], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(watched() if sys.argv[1:] == ["watched"] else main())
