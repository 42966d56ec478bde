"""The command line as a shell runs it: exit codes, streams and the signal of Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import regen as package


def process(*words: str, cwd: Path) -> subprocess.Popen[str]:
    """A real process of the command line."""
    command = [sys.executable, "-m", "regen", *words]
    environment = os.environ | {"COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, **pipes)


def test_a_real_process(sales: str, tmp_path: Path) -> None:
    """From a shell: a sentence on stderr, exit code 2, no traceback."""
    running = process("fit", "forecaster", sales, "--window", "99", cwd=tmp_path)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (2, "")
    assert err == (
        "y has 48 steps; window=99 and horizon=12 need at least 111. Shorten the window or give more data.\n"
    )


@pytest.mark.parametrize(("number", "cause"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_in_a_real_process(sales: str, tmp_path: Path, number: signal.Signals, cause: str) -> None:
    """What a terminal or a scheduler sends: the run is saved, exit code 130 or 143."""
    options = ("--max-epochs", "1000000", "--patience", "none")
    checkpoint = tmp_path / "runs/sales/checkpoint.safetensors"
    running = process("fit", "forecaster", sales, "--window", "6", "--hidden", "3", *options, cwd=tmp_path)
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.1)
    time.sleep(0.5)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    assert f"Interrupted by {cause} in epoch" in err
    assert err.splitlines()[-1] == "The run is saved in runs/sales. Continue it with: regen resume runs/sales"
    assert checkpoint.exists()
    assert "Traceback" not in err
    package.load(tmp_path / "runs/sales").predict()


@pytest.mark.parametrize(
    ("module", "name", "code"),
    [
        ("torch", "SIGINT", 130),
        ("sklearn.base", "SIGINT", 130),
        ("typer", "SIGINT", 130),
        ("torch", "SIGTERM", 143),
    ],
)
def test_a_signal_while_the_program_starts(tmp_path: Path, module: str, name: str, code: int) -> None:
    """The signal in the middle of an import: a sentence, the exit code, no traceback."""
    stop = f"""
import importlib.abc, os, signal, sys

class Stop(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, Stop())
import regen.__main__
regen.__main__.main()
"""
    result = subprocess.run(
        [sys.executable, "-c", stop], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    cause = {"SIGINT": "Ctrl-C"}.get(name, name)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", f"Interrupted by {cause}.\n")


def test_sizes_that_no_machine_has(sales: str, tmp_path: Path) -> None:
    """A network too large for the memory, or for any: a sentence, exit code 2, no folder."""
    for hidden in ("100000000", "10000000000"):
        running = process("fit", "forecaster", sales, "--window", "6", "--hidden", hidden, cwd=tmp_path)
        _, err = running.communicate(timeout=60)
        assert err == "There is not enough memory for this. Choose smaller sizes, or give less data.\n"
        assert running.returncode == 2 and not (tmp_path / "runs").exists()
