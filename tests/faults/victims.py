"""Fits that are killed: a process that forks one child for each, and ends it at a chosen moment.

Importing torch takes seconds; a fork of a process that has done so takes milliseconds. Started as a program, it reads
a job from each line of its input and writes how the child ended: the number of its signal, and its exit code.
"""

import json
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Self, final

FOLDER = Path(__file__).resolve().parent
CALLS = ("write", "fsync", "replace", "unlink", "open")
"""Operations on files in the midst of which a child is killed."""
SIZES: dict[str, list[str]] = {
    "Forecaster": ["--window", "8", "--horizon", "2", "--hidden", "4", "--dropout", "0.3"],
    "SequenceClassifier": ["--hidden", "4", "--dropout", "0.3"],
    "SequenceRegressor": ["--hidden", "4"],
    "Autoencoder": ["--code", "2", "--hidden", "6"],
    "DenoisingAutoencoder": ["--code", "2", "--hidden", "6"],
    "VariationalAutoencoder": ["--code", "2", "--hidden", "6"],
    "GAN": ["--code", "2", "--hidden", "6", "--max-steps", "30"],
    "DCGAN": ["--channels", "2", "--max-steps", "12", "--batch-size", "12"],
}
"""Options of a small `regen fit` of each estimator."""
DATA = {
    "series": "series.csv",
    "sequences": "sequences.npz",
    "rows": "rows.csv",
    "labelled rows": "rows.csv",
    "labelled images": "images.npy",
}


@final
class Victims:
    """The process that forks the children; a context."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.communicate(timeout=60)

    def run(self, **job: Any) -> dict[str, Any]:
        """Run a job to its end, whatever that is."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(job), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]


def die() -> None:
    """At once: no handler, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Half:
    """A file of which only half of what is written reaches the disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, content: bytes) -> int:
        """Half of it, and the end."""
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        die()
        return 0

    def close(self) -> None:
        """Never reached."""


def kill_at(call: str, number: int) -> None:
    """Let this process die in the midst of an operation on files, the one with that number."""
    name = "fdopen" if call == "write" else call
    plain, count = getattr(os, name), [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] < number:
            return plain(*arguments, **options)
        if call == "write":
            return Half(plain(*arguments, **options))
        if random.random() < 0.5:
            plain(*arguments, **options)
        die()

    setattr(os, name, counted)


def prepare(job: dict[str, Any]) -> None:
    """Write checkpoints all the time, and make ready for the end."""
    from regen.training import checkpoint, loop

    loop.CHECK_EVERY = 5
    checkpoint.WRITE_EVERY, checkpoint.WRITE_SHARE = 0.0, float("inf")
    checkpoint.PATIENCE = job["patience"]
    random.seed(job["seed"])
    if "call" in job:
        kill_at(job["call"], job["number"])
    if "after" in job:
        send = job["signal"]
        if send == signal.SIGKILL:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends a process as SIGKILL does
        else:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), send))
        signal.setitimer(signal.ITIMER_REAL, job["after"])


def fit(job: dict[str, Any]) -> None:
    """A fit from Python with a checkpoint; its model is saved when it was not interrupted."""
    import fits

    import regen

    folder = Path(job["folder"])
    fitted = fits.fit(job["name"], training={"checkpoint": str(folder / "checkpoint")})
    if not fitted.stopped_.startswith("Interrupted"):
        regen.save(fitted, folder / "model.safetensors")


def command(job: dict[str, Any]) -> None:
    """`regen fit`, or `regen resume` where there is a run to resume."""
    from regen.__main__ import main
    from regen.estimators import ESTIMATORS

    (kind,) = (kind for kind in ESTIMATORS if kind.__name__ == job["name"])
    run = os.path.join(job["folder"], "run")
    words = ["resume", run]
    if not os.path.exists(os.path.join(run, "run.json")):
        data = os.path.join(job["data"], DATA[kind.command.data])
        words = ["fit", kind.command.name, data, "-o", run, *SIZES[kind.__name__]]
        words += ["--max-epochs", "2", "--random-state", "0", "--validation", "0.25"]
    sys.argv = ["regen", *words]
    main()


def write_data(folder: Path) -> None:
    """The files that the commands are fitted on."""
    import fits
    import numpy as np

    from regen.data.io.tables import write_table

    write_table(folder / "series.csv", {"y": fits.SERIES})
    write_table(folder / "rows.csv", {f"c{k}": column for k, column in enumerate(fits.ROWS.T)})
    np.savez(folder / "sequences.npz", X=fits.SEQUENCES, y=fits.LABELS)
    np.save(folder / "images.npy", fits.IMAGES)


def child(job: dict[str, Any]) -> int:
    """Run a job; the exit code."""
    os.dup2(os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    try:
        prepare(job)
        (command if job["cli"] else fit)(job)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
        return 99
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return 0


def serve() -> None:
    """Fork a child for each job."""
    import fits
    import torch

    from regen.__main__ import main  # so that the children need not import it

    assert main
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fits.fit("Forecaster")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = 98
            try:
                code = child(json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        ended = os.waitstatus_to_exitcode(status)
        print(json.dumps({"signal": max(-ended, 0), "code": max(ended, 0)}), flush=True)


if __name__ == "__main__":
    sys.path[:] = [str(FOLDER), *sys.argv[1:]]
    serve()
