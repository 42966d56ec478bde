"""Checkpoint files of the first release candidate resume, and new files have their format."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from regen.training.checkpoint import read_tree

GOLDEN = Path(__file__).parent / "checkpoints"
FIELDS: dict[str, Any] = {"optimizer": "sgd", "schedule": "plateau"}
"""Of the run that was interrupted at its fortieth step and left `two_players.safetensors`."""


def paths(tree: Any, prefix: str = "") -> set[str]:
    """The place of every leaf of a tree of dicts."""
    if not isinstance(tree, dict):
        return {prefix}
    return (
        set().union(*(paths(value, f"{prefix}/{key}") for key, value in tree.items())) if tree else {prefix}
    )


def test_a_file_of_before_resumes(experiment: Any, tmp_path: Path) -> None:
    """From its step on, to the end of an uninterrupted run up to rounding, which differs between processors."""
    path = tmp_path / "run.safetensors"
    shutil.copy(GOLDEN / "two_players.safetensors", path)
    whole = experiment(players=2)
    expected = whole.run(**FIELDS)
    resumed = experiment(players=2, seed=99)  # its own seed must not matter
    history = resumed.run(checkpoint=path, **FIELDS)
    step = int(history.resumed.split()[-1].rstrip("."))
    assert step > 20 and 0 < resumed.moves < whole.moves
    torch.testing.assert_close(resumed.weights(), whole.weights(), rtol=0, atol=1e-5)
    assert [row["step"] for row in history.rows] == [row["step"] for row in expected.rows]
    assert (history.stopped, history.best_epoch) == (expected.stopped, expected.best_epoch)
    fresh = experiment(players=2, seed=99)
    fresh.run(**FIELDS)
    assert (fresh.weights() - whole.weights()).abs().max() > 1e-3, "a run that does not resume must differ"


@pytest.mark.usefixtures("often")
def test_new_files_have_the_same_format(experiment: Any, crash: Any, tmp_path: Path) -> None:
    """The same tree of names, and the same identity of the run."""
    path = tmp_path / "run.safetensors"
    with pytest.raises(crash):
        experiment(players=2, crash=40).run(checkpoint=path, **FIELDS)
    old, new = read_tree(GOLDEN / "two_players.safetensors"), read_tree(path)
    assert paths(old) == paths(new)
    assert old["whose"] == new["whose"]
