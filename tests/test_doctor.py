"""The doctor lists what is installed, and why something is not, as data and as text."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen import doctor
from regen.doctor import Finding, Section, examine, report
from regen.kernels import BACKENDS
from regen.kernels.native import extension


def found(title: str) -> dict[str, Finding]:
    """Findings of a section by name."""
    (section,) = [section for section in examine() if section.title == title]
    return {finding.name: finding for finding in section.findings}


def test_versions() -> None:
    """Versions are those of what runs."""
    words = {name: finding.words for name, finding in found("versions").items()}
    assert words["regen"] == regen.__version__
    assert words["torch"] == torch.__version__
    assert words["numpy"] == np.__version__
    assert words["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_missing_package_comes_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, and what to run."""

    def none(name: str) -> str:
        if name == "numpy":
            return version(name)
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", none)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    packages = found("optional packages")
    assert packages["plotly"] == Finding("plotly", False, "not installed. Run: pip install 'regen[plot]'")
    assert packages["polars"] == Finding("polars", False, "not installed. Run: pip install polars")
    assert not found("versions")["tqdm"].there


def test_every_extra_is_looked_at() -> None:
    """What pyproject.toml lets users install with the core is what the doctor looks for."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    listed = {
        (re.split(r"[\[><=]", requirement)[0], extra)
        for extra, requirements in project["optional-dependencies"].items()
        for requirement in requirements
        if extra != "dev" and not requirement.startswith("regen[")
    }
    assert set(doctor.OPTIONAL.items()) == listed


def test_backends() -> None:
    """Every backend that can be requested has a line."""
    backends = found("backends")
    assert {*backends} == {*BACKENDS} - {"auto"}
    assert all(backends[name].there for name in ("reference", "torch"))


def test_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instruction set in use and those that this processor runs."""
    built = SimpleNamespace(isa=lambda: "avx2", isas=lambda: ["avx512", "avx2", "baseline"])
    monkeypatch.setattr(extension, "native", built)
    words = "compiled kernels, float32 on the CPU; in use: avx2, of avx512, avx2, baseline"
    assert found("backends")["native"] == Finding("native", True, words)
    monkeypatch.setattr(extension, "native", None)
    monkeypatch.setattr(extension, "why_missing", "not built")
    assert found("backends")["native"] == Finding("native", False, "not built")


def test_why_native_is_missing(tmp_path: Path) -> None:
    """Not built, built for another Python, or not to be loaded: each in its own words."""
    words = (
        "not built: this installation has no compiled part. "
        "Install a C++ compiler (g++ or clang++) and Python's headers, and reinstall regen"
    )
    assert extension._reason(tmp_path, "No module named 'regen._native'") == words
    (tmp_path / "_native.another-python.so").touch()
    assert extension._reason(tmp_path, "No module named 'regen._native'") == words
    name = f"_native{EXTENSION_SUFFIXES[0]}"
    (tmp_path / name).touch()
    assert extension._reason(tmp_path, "file too short") == f"{name} does not load: file too short"


@pytest.mark.parametrize("broken", [False, True])
def test_without_native_the_package_imports(broken: bool, tmp_path: Path) -> None:
    """A compiled part that is missing or does not load is a reason in words, not an error."""
    package = Path(regen.__file__).parent
    shutil.copytree(package, tmp_path / "regen", ignore=shutil.ignore_patterns("_native.*", "__pycache__"))
    if broken:
        (tmp_path / "regen" / f"_native{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    start = "import sys; sys.path.insert(0, sys.argv[1]); from regen.kernels.native import extension; "
    start += "print(extension.why_missing)"
    done = subprocess.run(
        [sys.executable, "-c", start, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(
        f"_native{EXTENSION_SUFFIXES[0]} does not load: " if broken else "not built: "
    )


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is there has a name; one that is not has a reason."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert found("devices")["cuda"].words == "torch was installed without CUDA"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert found("devices")["cuda"].words == "torch finds no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "H100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert found("devices")["cuda"] == Finding("cuda", True, "H100; bfloat16")
    assert found("devices")["cpu"].there


@pytest.mark.parametrize(
    ("built", "words"), [(True, "torch finds no Apple GPU"), (False, "torch was installed without MPS")]
)
def test_apple(built: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an Apple GPU the reason is torch or the machine."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)
    assert found("devices")["mps"] == Finding("mps", False, words)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads than cores are no good, and the text has what to set."""
    monkeypatch.setattr(doctor, "_usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    threads = found("threads")
    assert threads["torch"] == Finding("torch", True, "2 of 2 usable cores")
    assert threads["OMP_NUM_THREADS"].words == "2"
    assert threads["MKL_NUM_THREADS"].words == "not set"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert found("threads")["torch"] == Finding(
        "torch",
        False,
        "8 of 2 usable cores; more threads than cores slow each other down. Set OMP_NUM_THREADS=2",
    )


def test_looking_changes_nothing() -> None:
    """Threads and random numbers are as before."""
    before: Any = (torch.get_num_threads(), torch.get_rng_state().tolist())
    examine()
    assert (torch.get_num_threads(), torch.get_rng_state().tolist()) == before


def test_the_report() -> None:
    """Plain text of at most 80 columns, long words broken at spaces and set in."""
    text = report(
        [
            Section("one", (Finding("a", True, "short"), Finding("longer", False, "word " * 20 + "end"))),
            Section("two", (Finding("b", True, "x" * 100),)),
        ]
    )
    assert text == "\n".join(
        [
            "one",
            "  + a       short",
            "  - longer  " + " ".join(["word"] * 13),
            "            " + " ".join(["word"] * 7) + " end",
            "",
            "two",
            "  + b       " + "x" * 100,
        ]
    )
    assert max(map(len, report(examine()).splitlines())) <= 80
