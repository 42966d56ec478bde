"""Every call of the system that a write needs is made to fail once, in turn: nothing is lost and nothing is left.

A library between a process and the system (`fail_nth.c`) lets the n-th call that opens for writing, writes, flushes,
renames or takes memory fail, for n = 1, 2, ... until all of an operation's calls succeed. It sees what C++ and Rust
do, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tally import Campaign

HERE = Path(__file__).resolve().parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or COMPILER is None, reason="the library needs Linux and a C compiler"
)
FAILURES = Campaign("system calls that fail once: open, write, fsync, rename, memory", short=100, long=10_000)

PRELUDE = """
import contextlib, ctypes, gc, io, json, os, shutil, sys, tempfile, warnings
import numpy as np, torch
torch.set_num_threads(1)
import regen
from pathlib import Path
from regen.cli import app
from regen.figures import export
from regen.data.io.tables import write_table
from regen.data.io.arrays import write_array
from regen.data.io.image_files import write_images
from regen.training.checkpoint import read_tree

shim = ctypes.CDLL(None)
folder = Path(sys.argv[1])
most, names = int(sys.argv[2]), sys.argv[3].split(",")
y = np.sin(np.arange(40) / 2)
small = dict(window=6, horizon=3, hidden=3, max_epochs=2, random_state=0)
model = regen.Forecaster(**small).fit(y)
other = regen.Forecaster(**small | {"random_state": 1}).fit(y)
large = regen.Forecaster(**small | {"hidden": 64, "max_epochs": 1}).fit(y)
frame = {"a": np.arange(50), "b": np.arange(50) / 7}

def loads(path):
    return regen.load(path).predict().tobytes()

def whole(path):
    return path.read_bytes()

def fit(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = regen.Forecaster(**small, training={"checkpoint": path}).fit(y)
    words = [str(each.message) for each in caught]
    parted = any("not enough memory for a step" in each for each in words)
    assert parted or found.predict().tobytes() == model.predict().tobytes(), "training went on as ever"
    expected = ("could not be written", "cannot be locked", "not enough memory for a step")
    assert all(any(each in word for each in expected) for word in words), words

keep = tempfile.TemporaryDirectory()
data, browser = Path(keep.name, "data.csv"), Path(keep.name, "browser")
write_table(data, {"a": y})
browser.write_text("#!/bin/sh\\necho '<pre id=\\"out\\">data:image/png;base64,iVBORw0KGgo=</pre>'\\n")
browser.chmod(0o755)
export.installed = lambda name: False
FILES = {"model.safetensors", "history.csv", "run.json", "checkpoint.safetensors"}

def regen_command(*words):
    said, code = io.StringIO(), 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            app(args=list(map(str, words)), prog_name="regen")
        except SystemExit as end:
            code = end.code or 0
    if code:
        assert code in (1, 2) and said.getvalue().strip(), (code, said.getvalue())
        raise OSError(said.getvalue())

def fit_run(path, seed=0):
    options = ("--window", 6, "--horizon", 3, "--hidden", 3, "--max-epochs", 2, "--random-state", seed)
    regen_command("fit", "forecaster", data, "--output", path, "--force", *options)

def run_of(path):
    # What is left of a run: files that are whole, and a run that can be resumed to its end.
    assert {each.name for each in path.iterdir()} <= FILES, list(path.iterdir())
    if not json.loads((path / "run.json").read_text())["finished"]:
        regen_command("resume", path)
    # The folder is flushed after run.json: when only that fails, the run is finished and its checkpoint still there.
    left = {each.name for each in path.iterdir()}
    assert left | {"checkpoint.safetensors"} == FILES, left
    return repr(regen.load(path).predict().to_pydict()), (path / "history.csv").read_text().count("\\n")

def by_browser(path, found=str(browser)):
    export.browser = lambda: found
    model.plot().write(path)

OPERATIONS = {
    "fit": (fit_run, None, run_of),
    "refit": (fit_run, lambda path: fit_run(path, 1), run_of),
    "svg": (lambda path: by_browser(path, None), lambda path: path.write_bytes(b"former"), whole),
    "png": (by_browser, lambda path: path.write_bytes(b"former"), whole),
    "model": (lambda path: regen.save(model, path), lambda path: regen.save(other, path), loads),
    "load": (regen.load, lambda path: regen.save(large, path), whole),
    "checkpoint": (fit, None, lambda path: read_tree(path)["state"]["step"] >= 0),
    "csv": (lambda path: write_table(path, frame), lambda path: write_table(path, {"a": np.arange(3)}), whole),
    "csv.gz": (lambda path: write_table(path, frame), lambda path: write_table(path, {"a": np.arange(3)}), whole),
    "parquet": (lambda path: write_table(path, frame), lambda path: write_table(path, {"a": np.arange(3)}), whole),
    "npz": (lambda path: write_array(path, y), lambda path: write_array(path, y[:3]), whole),
    "html": (
        lambda path: model.plot().write(path),
        lambda path: path.write_bytes(b"former"),
        lambda path: b"former" if path.read_bytes() == b"former" else path.read_bytes()[-8:],
    ),
}
KINDS = {"open": 1, "write": 2, "fsync": 4, "rename": 8, "memory": 16}
"""
LOOP = """
def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

def tried(name, act, before, read, new, path, bits, n):
    if before is not None:
        before(path)
    else:
        remove(path)
    former = read(path) if before is not None else None
    gc.collect()
    outcome = "worked all the same"
    shim.fail_nth(bits, n)
    try:
        act(path)
    except (OSError, MemoryError, RuntimeError) as error:
        failed = shim.failed()
        shim.fail_nth(0, 0)
        outcome, words = "refused", str(error)
        memory = isinstance(error, MemoryError) or "memory" in words or "alloc" in words
        assert memory or str(path) in words or str(folder) in words, (name, bits, n, type(error), words)
    else:
        failed = shim.failed()
        shim.fail_nth(0, 0)
    here = {each.name for each in folder.iterdir()}
    assert here <= {path.name}, (name, bits, n, outcome, here)
    assert read(path) in (former, new) if here else former is None, (name, bits, n, outcome)
    return outcome if failed else None

for name in names:
    act, before, read = OPERATIONS[name]
    path = folder / f"file.{name}"
    if before is not None:
        before(path)
    act(path)
    new = read(path)
    for kind, bits in KINDS.items():
        if kind == "memory" and name in ("fit", "refit"):
            continue  # libraries that read tables end the process
        for n in range(1, most + 1):
            outcome = tried(name, act, before, read, new, path, bits, n)
            if outcome is None:
                break
            print(f"{name}: {outcome}")
    remove(path)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    target = tmp_path_factory.mktemp("shim") / "fail_nth.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(target), str(HERE / "fail_nth.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return target


def failed_calls(names: str, shim: Path, folder: Path, most: int) -> list[str]:
    """What came of some operations when each of their calls, of every kind the first `most`, failed."""
    command = [sys.executable, "-c", PRELUDE + LOOP, str(folder), str(most), names]
    result = subprocess.run(
        command, env=os.environ | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return [line for line in result.stdout.splitlines() if ": " in line]


def test_every_call_fails_once(shim: Path, tmp_path: Path) -> None:
    """The former file or the new one is whole, no other is left, and the error names the path; training goes on."""
    is_long = os.environ.get("REGEN_FAULTS") == "long"
    names, most = (
        ("model,load,checkpoint,csv,csv.gz,parquet,npz,html,svg,png,fit,refit", 400)
        if is_long
        else ("model,load,checkpoint,csv,svg,refit", 3)
    )
    outcomes = failed_calls(names, shim, tmp_path, most)
    with FAILURES as seeds:
        for outcome, _ in zip(outcomes, seeds, strict=False):
            FAILURES.count(outcome)
    assert len(outcomes) > 20
    assert "checkpoint: worked all the same" in outcomes
    assert {f"{name}: refused" for name in names.split(",") if name not in ("checkpoint", "fit")} <= set(
        outcomes
    )
