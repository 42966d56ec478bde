"""`regen doctor --check`: every file of a run is verified, and what can be recovered is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regen as package
from regen._files import FileLock

Command = Callable[..., Any]
GOLDEN = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a small forecaster, as `regen fit` leaves it, with its checkpoint."""
    folder = tmp_path / "run"
    folder.mkdir()
    training = {"checkpoint": folder / "checkpoint.safetensors"}
    model = package.Forecaster(
        window=6,
        horizon=3,
        hidden=3,
        max_epochs=2,
        random_state=0,
        training=training,
    ).fit(np.sin(np.arange(40) / 2))
    package.save(model, folder)
    columns = model.epochs_
    rows = [",".join(columns), *(",".join(map(repr, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "history.csv").write_text("\n".join(rows) + "\n")
    facts = {"estimator": "Forecaster", "data": "y.csv", "command": "regen fit forecaster y.csv"}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def flip(path: Path) -> None:
    """One wrong bit in the last byte."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def checked(regen: Command, path: Path, code: int) -> str:
    """The output of the check in one line, which must end with this exit code."""
    result = regen("doctor", "--check", path)
    assert (result.exit_code, result.stderr) == (code, ""), result.output
    return " ".join(result.stdout.split())


def test_an_intact_run(regen: Command, run: Path) -> None:
    """Each file has its line, and there is nothing to do."""
    found = checked(regen, run, 0)
    assert found == (
        "files + model.safetensors intact: a Forecaster, 2 epochs + checkpoint.safetensors intact: a training after 2"
        " epochs, at step 2 + run.json intact: how a Forecaster is trained + history.csv intact: 2 epochs"
    )


def test_a_damaged_model_is_recovered_from_its_checkpoint(regen: Command, run: Path) -> None:
    """The checkpoint is intact, so that the command that continues it is named."""
    flip(run / "model.safetensors")
    found = checked(regen, run, 1)
    assert (
        "- model.safetensors is damaged or was altered: its content does not have the checksum that"
        " was written with it." in found
    )
    assert (
        "recovery + what to do The checkpoint holds the training up to step 2. Continue it, which writes the"
        f" model anew, with: regen resume {run}"
    ) in found


def test_a_training_that_has_not_ended(regen: Command, run: Path) -> None:
    """Without a model, the checkpoint is enough; that is no damage."""
    (run / "model.safetensors").unlink()
    (run / "history.csv").unlink()
    assert f"with: regen resume {run}" in checked(regen, run, 0)
    (run / "run.json").unlink()
    found = checked(regen, run, 0)
    assert f"training={{'checkpoint': '{run}/checkpoint.safetensors'}}" in found.replace("' ", "'")


def test_nothing_is_left(regen: Command, run: Path) -> None:
    """Neither model nor checkpoint is whole: the command that trains again is named."""
    flip(run / "model.safetensors")
    flip(run / "checkpoint.safetensors")
    found = checked(regen, run, 1)
    assert (
        "nothing of the training can be recovered. Train it again with: regen fit forecaster y.csv" in found
    )
    (run / "model.safetensors").unlink()
    (run / "checkpoint.safetensors").unlink()
    assert "- model.safetensors missing, and there is no checkpoint" in checked(regen, run, 1)


def test_damage_that_the_model_survives(regen: Command, run: Path) -> None:
    """A damaged checkpoint, history and description, each with what it means."""
    flip(run / "checkpoint.safetensors")
    (run / "history.csv").write_text("epoch,step\n1,2,3\n")
    (run / "run.json").write_text("{")
    found = checked(regen, run, 1)
    assert "+ model.safetensors intact" in found
    for name in ("checkpoint.safetensors", "history.csv", "run.json"):
        assert f"- {name}" in found
    assert "a row has more or fewer values than the header" in found
    assert "The model does not need it." in found and "regen.load(...).history_" in found
    assert "The model can be used without run.json; regen resume cannot." in found
    (run / "history.csv").write_text("epoch,step\n1,2\n")
    (run / "run.json").write_text('{"estimator": "GAN"}')
    found = checked(regen, run, 1)
    assert "it has 1 rows, and the model was trained for another number of epochs" in found
    assert "it describes a GAN, and the model is another" in found


def test_single_files(regen: Command, refusal: Command, run: Path) -> None:
    """A model or a checkpoint by its path, also of an older format; what is not there is refused."""
    assert "intact: a Forecaster" in checked(regen, run / "model.safetensors", 0)
    assert "intact: a training after" in checked(regen, run / "checkpoint.safetensors", 0)
    old = shutil.copy(GOLDEN / "golden" / "gan-format-1.safetensors", run / "old")
    assert "can be read: a GAN, 1 epoch, of format 1, which has no checksum" in checked(regen, Path(old), 0)
    old = shutil.copy(GOLDEN / "training" / "checkpoints" / "turns.safetensors", run / "turns")
    assert "intact: a training after" in checked(regen, Path(old), 0)
    for name in ("model.safetensors", "checkpoint.safetensors"):
        flip(run / name)
        found = checked(regen, run / name, 1)
        assert "damaged" in found and "Copy the file again from where it is intact." in found
    assert refusal("doctor", "--check", run / "modle.safetensors").startswith("There is no file or folder")


def test_a_run_that_is_being_trained(regen: Command, run: Path) -> None:
    """The process that trains is named."""
    lock = FileLock(run / "checkpoint.safetensors")
    assert lock.acquire() is None
    try:
        assert "in use by this process" in checked(regen, run, 0)
    finally:
        lock.release()
