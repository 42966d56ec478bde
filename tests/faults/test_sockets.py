"""Nothing needs a network: fits, files, the command line and reports work where sockets are forbidden."""

import subprocess
import sys
from pathlib import Path

CHILD = """
import socket, sys, warnings

def forbidden(*_, **__):
    raise AssertionError("a socket was opened")

sys.addaudithook(lambda event, _: forbidden() if event in ("socket.__new__", "socket.connect") else None)
for name in ("create_connection", "getaddrinfo"):
    setattr(socket, name, forbidden)
try:
    socket.socket()
except AssertionError:
    print("forbidden")
warnings.simplefilter("ignore")
import numpy as np
import regen
from regen.cli import app

def command(*words):
    try:
        app(list(words))
    except SystemExit as end:
        assert not end.code, (words, end.code)

y = np.sin(np.arange(60) / 3)
model = regen.Forecaster(window=6, horizon=2, hidden=4, max_epochs=1, random_state=0).fit(y)
regen.save(model, "a.safetensors")
assert np.array_equal(regen.load("a.safetensors").predict(), model.predict())
open("y.csv", "w").write("y\\n" + "".join(f"{x}\\n" for x in y))
command("fit", "forecaster", "y.csv", "--max-epochs", "1", "--hidden", "4", "-o", "run")
command("predict", "run", "-o", "next.csv")
command("inspect", "run")
print("done")
"""


def test_no_sockets(tmp_path: Path) -> None:
    """In a process of its own; the twin, a socket, is noticed."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "forbidden" and lines[-1] == "done"
    assert (tmp_path / "run" / "report.html").exists() and (tmp_path / "next.csv").exists()
