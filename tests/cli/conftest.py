"""Files to fit on, and the command line as a function."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import regen as package
from regen.cli import app
from regen.data.io.image_files import write_images
from regen.data.io.tables import read_table

Command = Callable[..., Result]

AUTOENCODERS: dict[str, Any] = {
    "autoencoder": package.Autoencoder,
    "denoiser": package.DenoisingAutoencoder,
    "vae": package.VariationalAutoencoder,
}
Y = np.round(10 * np.sin(np.arange(48) / 2) + 20, 3)


@pytest.fixture
def regen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `regen` with arguments in a folder of its own, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return command


@pytest.fixture
def output(regen: Command) -> Callable[..., list[str]]:
    """Run `regen`, which must succeed, and return the lines of stdout."""

    def command(*arguments: object) -> list[str]:
        result = regen(*arguments)
        assert result.exit_code == 0, result.output
        return list(result.stdout.splitlines())

    return command


@pytest.fixture
def refusal(regen: Command) -> Callable[..., str]:
    """Run `regen`, which must exit with code 2, and return its one line on stderr."""

    def command(*arguments: object) -> str:
        result = regen(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        return str(result.stderr.rstrip("\n"))

    return command


@pytest.fixture
def sales(tmp_path: Path) -> str:
    """A CSV file of a monthly series: a column of dates and two of numbers."""
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


@pytest.fixture(scope="session")
def autoencoder_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every autoencoder on pictures and on a table, and their data."""
    folder = tmp_path_factory.mktemp("autoencoders")
    images = (package.datasets.digits()[0][:40] * 255).astype(np.uint8)
    write_images(folder / "pictures", images)
    x = np.random.default_rng(0).random((40, 3)).round(3)
    lines = [f"{a},{b},{c},{'xyz'[k % 3]},{k}" for k, (a, b, c) in enumerate(x)]
    lines[3] = f",{lines[3].partition(',')[2]}"
    (folder / "table.csv").write_text("\n".join(["a,b,c,kind,number", *lines]) + "\n")
    cells = read_table(folder / "table.csv").drop_columns(["number"])
    for name, kind in AUTOENCODERS.items():
        options: dict[str, Any] = {"code": 2, "hidden": (4,), "max_epochs": 1, "random_state": 0}
        for data, X in (("pictures", images[:, None]), ("table", cells)):
            package.save(kind(**options).fit(X), f"{folder / f'{name}-{data}'}/")
            (folder / f"{name}-{data}" / "run.json").write_text(json.dumps({"label": ["number"]}))
    return folder


@pytest.fixture
def autoencoder_files(autoencoder_runs: Path, regen: Command, tmp_path: Path) -> None:
    """Copy `autoencoder_runs` to the folder in which `regen` runs."""
    shutil.copytree(autoencoder_runs, tmp_path, dirs_exist_ok=True)
