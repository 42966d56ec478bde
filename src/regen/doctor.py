"""What this installation is made of, each part with the reason when it is not there."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from textwrap import wrap
from typing import final

import torch

from regen import __version__
from regen.kernels import BACKENDS
from regen.kernels.native import extension

__all__ = ["Finding", "Section", "examine", "report"]

CORE = ("numpy", "torch", "scikit-learn", "narwhals", "safetensors", "tqdm", "typer")
OPTIONAL = {
    **dict.fromkeys(("pandas", "pyarrow", "duckdb"), "sources"),
    "plotly": "plot",
    "kaleido": "pictures",
    "pillow": "images",
    "umap-learn": "umap",
}
WITHOUT_EXTRA = ("polars",)
WIDTH = 80


@final
@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, whether all is well with it, and what was found, in words."""

    name: str
    there: bool
    words: str


@final
@dataclass(frozen=True)
class Section:
    """Findings under one title."""

    title: str
    findings: tuple[Finding, ...]


def examine() -> list[Section]:
    """Look at the installation and the machine; nothing is changed and nothing heavy is run."""
    return [
        Section("versions", _versions()),
        Section("optional packages", _optional()),
        Section("backends", _backends()),
        Section("devices", _devices()),
        Section("threads", _threads()),
    ]


def report(sections: Sequence[Section]) -> str:
    """The sections as text of at most 80 columns; ``+`` is there, ``-`` is not."""
    lines: list[str] = []
    width = max(len(finding.name) for section in sections for finding in section.findings)
    for section in sections:
        lines += ["", section.title] if lines else [section.title]
        for finding in section.findings:
            head = f"  {'+' if finding.there else '-'} {finding.name:<{width}}  "
            lines += _wrapped(head, finding.words)
    return "\n".join(lines)


def _versions() -> tuple[Finding, ...]:
    found = [Finding("regen", True, __version__), Finding("python", True, platform.python_version())]
    core = {name: _version(name) for name in CORE}
    return (
        *found,
        *(Finding(name, known is not None, known or "not installed") for name, known in core.items()),
    )


def _optional() -> tuple[Finding, ...]:
    findings = []
    for name, extra in [*OPTIONAL.items(), *((name, "") for name in WITHOUT_EXTRA)]:
        found = _version(name)
        line = f"pip install 'regen[{extra}]'" if extra else f"pip install {name}"
        findings.append(Finding(name, found is not None, found or f"not installed. Run: {line}"))
    return tuple(findings)


def _backends() -> tuple[Finding, ...]:
    known = {
        "reference": "one loop over any cell, on any device; returns every gate",
        "torch": "torch's fused operators: elman, lstm without peepholes, gru with reset='after'",
    }
    found = [Finding(name, True, words) for name, words in known.items() if name in BACKENDS]
    return (*found, _native())


def _native() -> Finding:
    native = extension.native
    if native is None:
        return Finding("native", False, extension.why_missing)
    words = "compiled kernels, float32 on the CPU; in use"
    return Finding("native", True, f"{words}: {native.isa()}, of {', '.join(native.isas())}")


def _devices() -> tuple[Finding, ...]:
    cpu = Finding("cpu", True, f"{platform.machine()}, {os.cpu_count()} cores, float32")
    return (_cuda(), _mps(), cpu)


def _cuda() -> Finding:
    if not torch.cuda.is_available():
        why = (
            "torch was installed without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
        )
        return Finding("cuda", False, why)
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    half = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32 only"
    return Finding("cuda", True, f"{names}; {half}")


def _mps() -> Finding:
    if torch.backends.mps.is_available():
        return Finding("mps", True, "Apple GPU, float32")
    built = torch.backends.mps.is_built()
    return Finding("mps", False, "torch finds no Apple GPU" if built else "torch was installed without MPS")


def _threads() -> tuple[Finding, ...]:
    cores, used = _usable_cores(), torch.get_num_threads()
    words = f"{used} of {cores} usable cores"
    if used > cores:
        words += f"; more threads than cores slow each other down. Set OMP_NUM_THREADS={cores}"
    findings = [Finding("torch", used <= cores, words)]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name)
        findings.append(Finding(name, True, "not set" if value is None else value))
    return tuple(findings)


def _usable_cores() -> int:
    """Cores that this process may run on, which a container may have limited."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1


def _version(package: str) -> str | None:
    """The installed version; None when the package is absent or cannot be imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "installed, of unknown version" if find_spec(package) is not None else None


def _wrapped(head: str, words: str) -> list[str]:
    """`words` after `head`, broken at spaces to `WIDTH` columns."""
    first, *rest = wrap(words, WIDTH - len(head), break_long_words=False, break_on_hyphens=False)
    return [head + first, *(" " * len(head) + line for line in rest)]
