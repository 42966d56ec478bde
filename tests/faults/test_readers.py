"""Damaged data files: read as a reference reader reads them, or refused in a sentence, in bounded memory."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tally import Campaign

SECONDS = 300
"""For a request; a try takes milliseconds."""
BATCH = 500
"""Tries of a request."""


class Tries:
    """A process that reads damaged files, and its folder in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reader_tries.py")), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, kind: str, first: int, count: int) -> dict[str, int]:
        """The outcomes of tries; fails with the seed of a try that hangs, ends the process or goes wrong."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{kind} {first} {count}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            seed = (self.folder / "seed").read_text()
            pytest.fail(f"the try {seed} {'ended the process' if ready else 'hangs'}")
        answer = json.loads(line)
        assert not answer["failures"], "\n".join(answer["failures"])
        return answer["counts"]


@pytest.fixture(scope="module")
def tries() -> Iterator[Tries]:
    """The process, for all kinds of files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        process = Tries(Path(folder))
        yield process
        with process.process:  # closes the pipes
            process.process.kill()


KINDS = {
    "csv": ("CSV files", 250, 60_000),
    "gz": ("packed CSV files", 250, 60_000),
    "parquet": ("Parquet files", 150, 30_000),
    "npy": ("NPY files", 250, 60_000),
    "npz": ("NPZ files", 250, 60_000),
    "png": ("PNG and JPEG pictures", 250, 40_000),
    "ts": ("sequences in .ts files", 250, 60_000),
    "wide": ("sequences in tables", 150, 40_000),
}
CAMPAIGNS = {kind: Campaign(f"damage in {name}", short, long) for kind, (name, short, long) in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tries: Tries, kind: str) -> None:
    """Values as a reference reader has them, or a ValueError or OSError that names the file: no crash, no hang."""
    campaign = CAMPAIGNS[kind]
    with campaign as seeds:
        every = list(seeds)
        for start in range(0, len(every), BATCH):
            part = every[start : start + BATCH]
            for outcome, times in tries.run(kind, part[0], len(part)).items():
                campaign.count(outcome, times)
