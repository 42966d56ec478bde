"""The command line as a shell runs it: exit codes, streams and the signal of Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def test_ctrl_c_in_a_real_process(sales: str, tmp_path: Path) -> None:
    """The signal that a terminal sends: the run is saved, exit code 130."""
    plan = ("--max-epochs", "1000000", "--patience", "none", "--checkpoint", "c")
    running = process("fit", "forecaster", sales, "--window", "6", "--hidden", "3", *plan, cwd=tmp_path)
    deadline = time.monotonic() + 90
    while not (tmp_path / "c").exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.1)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Interrupted by Ctrl-C in epoch" in err
    assert err.splitlines()[-1] == "The run is saved in runs/sales."
    assert "Traceback" not in err
    package.load(tmp_path / "runs/sales").predict()
