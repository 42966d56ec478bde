"""Fits that are killed at random moments, writes among them, and go on: the bits of a fit that was left alone.

Of every estimator, from Python and from the command line; by SIGKILL, and by Ctrl-C and SIGTERM.
"""

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fits
import pytest
from tally import Campaign
from victims import CALLS, SIZES, Victims, write_data

import regen

CHAIN = 8
"""Kills of one fit before it may end."""
NAMES = tuple(SIZES)
FILES = {True: ["history.csv", "model.safetensors", "run.json"], False: ["checkpoint", "model.safetensors"]}
kills = Campaign(
    "fits of all estimators killed, also in the midst of writes, and resumed", short=16, long=1200
)
signals = Campaign("fits of all estimators ended by Ctrl-C or SIGTERM, and resumed", short=4, long=400)


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    """The process that forks."""
    with Victims() as process:
        yield process


class Fits:
    """The fits of a campaign, in a folder of their own each."""

    def __init__(self, victims: Victims, folder: Path) -> None:
        self._victims, self._root = victims, folder
        self._whole: dict[tuple[str, bool], str] = {}
        (folder / "data").mkdir()
        write_data(folder / "data")

    def run(self, name: str, cli: bool, folder: str, **end: Any) -> dict[str, Any]:
        """A fit that ends by itself, or as `end` says."""
        place = self._root / folder
        place.mkdir(exist_ok=True)
        job = {"name": name, "cli": cli, "folder": str(place), "data": str(self._root / "data"), "seed": 0}
        job |= {"errors": str(self._root / "errors"), "patience": 0.0}
        return self._victims.run(**job | end)

    def errors(self) -> str:
        """What the last one wrote on stderr."""
        return (self._root / "errors").read_text()

    def whole(self, name: str, cli: bool) -> str:
        """The hash of the fit that was left alone."""
        if (name, cli) not in self._whole:
            folder = f"whole {name} {cli}"
            assert self.run(name, cli, folder)["code"] == 0, self.errors()
            self._whole[name, cli] = self.learned(folder, cli)
        return self._whole[name, cli]

    def learned(self, folder: str, cli: bool) -> str:
        """The hash of the model in a folder that holds nothing but what a fit leaves."""
        place = self._root / folder / ("run" if cli else "")
        assert sorted(path.name for path in place.iterdir()) == FILES[cli]
        if cli:
            assert json.loads((place / "run.json").read_text())["finished"]
        return fits.learned(regen.load(place / "model.safetensors"))

    def finish(self, name: str, cli: bool, folder: str) -> None:
        """Let the fit end, and compare."""
        ended = self.run(name, cli, folder)
        finished = cli and ended["code"] == 2 and "is finished" in self.errors()
        assert ended["code"] == 0 or finished, self.errors()
        assert self.learned(folder, cli) == self.whole(name, cli), folder


def death(seed: int) -> dict[str, Any]:
    """A moment: in an operation on files, or after a time."""
    draw = random.Random(seed)
    found: dict[str, Any] = {"seed": seed, "patience": draw.choice([0.0, 5.0])}
    if draw.random() < 0.6:
        return found | {"call": draw.choice(CALLS), "number": draw.randint(1, 12)}
    return found | {"after": draw.uniform(0.001, 0.3), "signal": int(signal.SIGKILL)}


def test_killed_between_the_last_batch_and_the_end_of_its_epoch(victims: Victims, tmp_path: Path) -> None:
    """The checkpoint of the last step, written before that step was checked and its epoch ended, is gone on from."""
    every = Fits(victims, tmp_path)
    every.run("DCGAN", False, "last", seed=0, patience=0.0, call="unlink", number=13)
    every.finish("DCGAN", False, "last")


def test_killed_and_resumed(victims: Victims, tmp_path: Path) -> None:
    """No kill damages a file, loses the run or leaves a file that the next run does not remove."""
    every = Fits(victims, tmp_path)
    seed = -1
    with kills as seeds:
        for seed in seeds:
            chain = seed // CHAIN
            name, cli = NAMES[chain % len(NAMES)], bool((chain + chain // len(NAMES)) % 2)
            folder = f"chain {chain}"
            ended = every.run(name, cli, folder, **death(seed))
            if ended["signal"]:
                assert ended["signal"] in (signal.SIGKILL, signal.SIGALRM), ended
                kills.count("killed")
            else:
                finished = cli and ended["code"] == 2 and "is finished" in every.errors()
                assert ended["code"] == 0 or finished, every.errors()
                kills.count("ended before")
            if seed % CHAIN == CHAIN - 1:
                every.finish(name, cli, folder)
                kills.count("chains with the bits of a fit left alone")
    assert seed >= 0


def test_ended_by_a_signal_and_resumed(victims: Victims, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM leave a run that goes on, whenever they come; a second one right after changes nothing."""
    every = Fits(victims, tmp_path)
    with signals as seeds:
        for seed in seeds:
            draw = random.Random(seed)
            name, cli, folder = NAMES[seed % len(NAMES)], seed % 4 > 0, f"run {seed}"
            number = int(draw.choice([signal.SIGINT, signal.SIGTERM]) if cli else signal.SIGINT)
            ended = every.run(
                name, cli, folder, seed=seed, patience=5.0, after=draw.uniform(0.01, 0.5), signal=number
            )
            begun = (tmp_path / folder / "run").exists()
            assert ended["signal"] in (0, 0 if begun else signal.SIGTERM), ended  # before the command itself
            told = every.errors()
            assert "Traceback" not in told or not cli, told
            assert ended["code"] in ((0, 128 + number) if cli else (0, 99)), told
            assert cli or not ended["code"] or told.rstrip().endswith("KeyboardInterrupt"), told
            signals.count("interrupted" if ended["code"] or "Interrupted" in told else "ended before")
            every.finish(name, cli, folder)
