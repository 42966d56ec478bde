"""Files to fit on, and the command line as a function."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from regen.cli import app

Command = Callable[..., Result]

Y = np.round(10 * np.sin(np.arange(48) / 2) + 20, 3)


@pytest.fixture
def regen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `regen` with some words in a folder of its own, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return command


@pytest.fixture
def sales(tmp_path: Path) -> str:
    """A CSV file of a monthly series of two columns, beside a column of dates."""
    dates = np.datetime64("2020-01") + np.arange(48)
    lines = [f"{date}-01,{y},{y + 1:.3f}" for date, y in zip(dates, Y, strict=True)]
    (tmp_path / "sales.csv").write_text("\n".join(["month,units,price", *lines]) + "\n")
    return "sales.csv"


@pytest.fixture
def waves(tmp_path: Path) -> str:
    """A CSV file with a row per sequence, of two lengths, and a column of labels."""
    lines = ["kind,a,b,c,d"]
    for k in range(16):
        steps = [f"{np.sin(t / (1 + k % 2)):.3f}" for t in range(4 - k % 3 // 2)]
        lines.append(",".join([["fast", "slow"][k % 2], *steps, *[""] * (4 - len(steps))]))
    (tmp_path / "waves.csv").write_text("\n".join(lines) + "\n")
    return "waves.csv"
