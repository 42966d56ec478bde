"""Checkpoints that were altered on purpose and given the right checksum: a run is refused, or goes on to its end."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tally import Campaign
from test_saved_files import altered

import regen
from regen.training import Training, checkpoint

Run = Callable[[Path, int], Any]
"""(path of the checkpoint, epochs) -> the fitted estimator."""
CHECKPOINTS = Campaign(
    "altered nodes and tensors of checkpoints, with the right checksum", short=120, long=10_000
)
SERIES = np.sin(np.arange(60) / 2)
ROWS = [[float(k % 5), float(k % 7)] for k in range(48)]


def _forecaster(optimizer: str, schedule: str, bptt: int | str) -> Run:
    def run(path: Path, epochs: int) -> Any:
        training = Training(checkpoint=path, optimizer=optimizer, schedule=schedule, patience=3)
        model = regen.Forecaster(
            window=6, horizon=2, hidden=3, bptt=bptt, max_epochs=epochs, random_state=0, training=training
        )
        return model.fit(SERIES)

    return run


def _gan(path: Path, epochs: int) -> Any:
    training = {"checkpoint": path, "validation": 0.25, "max_steps": 7 * epochs}
    game = {"turns": {"warmup": 1, "cap": 2}}
    model = regen.GAN(code=2, hidden=4, game=game, max_epochs=epochs, random_state=0, training=training)
    return model.fit(ROWS)


def _vae(path: Path, epochs: int) -> Any:
    training = Training(checkpoint=path, schedule="onecycle", optimizer="adamw", batch_size=8)
    model = regen.VariationalAutoencoder(hidden=(4,), max_epochs=2, random_state=0, training=training)
    return model.fit(ROWS)


RUNS: dict[str, Run] = {
    "adam": _forecaster("adam", "constant", "full"),
    "sgd, plateau, streams": _forecaster("sgd", "plateau", 3),
    "inverse": _forecaster("adamw", "inverse", "full"),
    "gan": _gan,
    "vae, onecycle": _vae,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Of each run, a checkpoint from between two checks and the one of the end."""
    folder, found = tmp_path_factory.mktemp("checkpoints"), {}
    write_tree = checkpoint.write_tree
    for name, run in RUNS.items():
        path, between = folder / "run.ckpt", []

        def write(path: Path, tree: Any, between: list[bytes] = between) -> None:
            write_tree(path, tree)
            if "latest" in tree["state"]:
                between.append(path.read_bytes())

        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(checkpoint, "write_tree", write)
            patch.setattr(checkpoint, "PATIENCE", -1e9)
            run(path, 1)
        found[name] = [between[len(between) // 2], path.read_bytes()]
        path.unlink()
    return found


def test_an_altered_checkpoint_is_refused_or_resumes(files: dict[str, list[bytes]], tmp_path: Path) -> None:
    """Each node of the states and each tensor may be anything: there is no error but one in words."""
    path, names = tmp_path / "run.ckpt", sorted(files)
    with CHECKPOINTS as seeds, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            name = names[seed % len(names)]
            draw = random.Random(seed)
            content, what = altered(draw.choice(files[name]), "regen checkpoint", draw)
            path.write_bytes(content)
            try:
                assert len(RUNS[name](path, 2).history_), what
                CHECKPOINTS.count("resumed")
            except ValueError as error:
                assert str(error).startswith("The checkpoint "), f"seed {seed}, {name}: {what}: {error}"
                CHECKPOINTS.count("refused")
            except Exception as error:
                error.add_note(f"seed {seed}, {name}: {what}")
                raise
