"""The doctor tells what is there and why something is not, as data and as text."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen import doctor
from regen.doctor import Finding, Section, examine, report
from regen.kernels import BACKENDS


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
    """What pyproject.toml lets users install beside the core is what the doctor looks for."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    listed = {
        (re.split(r"[\[><=]", requirement)[0], extra)
        for extra, requirements in project["optional-dependencies"].items()
        for requirement in requirements
        if extra != "dev" and not requirement.startswith("regen[")
    }
    assert set(doctor.OPTIONAL.items()) == listed


def test_backends() -> None:
    """Every backend that can be asked for is there; those still to come say so."""
    backends = found("backends")
    assert {name for name, finding in backends.items() if finding.there} == set(BACKENDS) - {"auto"}
    for name in {"native", "triton"} - set(BACKENDS):
        assert backends[name] == Finding(name, False, "not built in this version")


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
    """More threads than cores are no good, and what to set is said."""
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
