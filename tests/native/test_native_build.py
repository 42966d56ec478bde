"""How the compiled part is built: for each instruction set apart, for ARM too, and as in its type stub."""

import ast
import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from regen.kernels.native.extension import native, why_missing

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / "build/release" / str(sysconfig.get_config_var("SOABI")) / "CMakeFiles"
CROSS = "aarch64-linux-gnu-g++"


COMPILERS = [name for name in (os.environ.get("CXX", "c++"), "g++", "clang++") if shutil.which(name)]


def lost(module: object, compilers: list[str], why: str) -> str:
    """What is wrong where a compiler is and the compiled module is not; empty when nothing is."""
    if module is not None or not compilers:
        return ""
    return f"{compilers[0]} is installed, but regen has no compiled part and all its tests are skipped: {why}"


def test_the_module_is_there() -> None:
    """Where a compiler is, a build that is lost or does not load is an error and no reason to skip."""
    assert lost(native, COMPILERS, why_missing) == ""


def test_a_lost_build_is_noticed() -> None:
    """The twin: a compiler without the module; without a compiler nothing is expected."""
    assert "regen has no compiled part and all its tests are skipped: not built" in lost(
        None, ["g++"], "not built"
    )
    assert lost(None, [], "not built") == ""


def test_the_instruction_sets_of_this_processor_are_compiled_in() -> None:
    """Those that the processor has, so that no test of one is left out."""
    flags = Path("/proc/cpuinfo")
    if native is None or platform.machine() != "x86_64" or not flags.exists():
        pytest.skip("no compiled part, or not Linux on x86-64")
    words = set(flags.read_text().split())
    needed = {
        "avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx2", "fma"},
        "avx2": {"avx2", "fma"},
    }
    assert native.isas() == [*(isa for isa, names in needed.items() if names <= words), "baseline"]


def shared(symbols: str, isa: str) -> list[str]:
    """Weak functions in `nm -C` output that do not name the instruction set; the linker keeps one for all sets."""
    weak = [line.split(maxsplit=2) for line in symbols.splitlines()]
    return [name for _, kind, name in weak if kind == "W" and f"regen::{isa}::" not in name]


def test_instruction_sets_share_no_code() -> None:
    """What the linker could replace by another set's code, which this processor may not run, is in none of them."""
    kernels = sorted(OBJECTS.glob("kernels_*.dir/csrc/kernels.cpp.o"))
    if not kernels or not shutil.which("nm"):
        pytest.skip("no objects in build (make native), or no nm to read them")
    for path in kernels:
        isa = path.parents[1].stem.removeprefix("kernels_")
        command = ["nm", "-C", "--defined-only", str(path)]
        symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"regen::{isa}::" in symbols
        assert shared(symbols, isa) == []


def test_shared_code_is_seen() -> None:
    """The twin: an inline function of the standard library, next to one of ours."""
    ours = "0000000000000000 W regen::avx2::team<4>(float*)\n"
    assert shared(ours, "avx2") == []
    assert shared(ours + "0000000000000010 W std::vector<float>::push_back(float&&)", "avx2") == [
        "std::vector<float>::push_back(float&&)"
    ]


def test_arm_compiles(tmp_path: Path) -> None:
    """The same source for NEON, by a cross compiler."""
    if shutil.which(CROSS) is None:
        pytest.skip(f"{CROSS} is not installed (Debian and Ubuntu: the package g++-aarch64-linux-gnu)")
    command = [CROSS, "-std=gnu++20", "-O1", "-DREGEN_ISA=neon", "-Wall", "-Wextra", "-Wno-psabi", "-c"]
    command += [str(ROOT / "csrc/kernels.cpp"), "-o", str(tmp_path / "kernels.o")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_stub_lists_the_module() -> None:
    """regen/_native.pyi lists the functions, classes and methods of the compiled module."""
    if native is None:
        pytest.skip("regen has no compiled part here")
    module = vars(native)
    stub = ast.parse((ROOT / "src/regen/_native.pyi").read_text())
    listed = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(listed) == {name for name in module if not name.startswith("_")}
    for name, node in listed.items():
        if isinstance(node, ast.ClassDef):
            methods = {method.name for method in node.body if isinstance(method, ast.FunctionDef)}
            public = {method for method in vars(module[name]) if not method.startswith("_")}
            assert methods - {"__init__"} == public, name
