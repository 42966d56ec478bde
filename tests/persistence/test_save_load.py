"""A loaded model is the saved one: same parameters, same bits; a failed save leaves nothing behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.exceptions import NotFittedError

import regen
from regen import cells
from regen.estimators._base import Estimator
from regen.persistence import KINDS
from regen.training.options import Training

Y = np.sin(np.arange(40) / 2)
TWO = np.stack([Y, np.cos(np.arange(40) / 3)], axis=1)
GAPS = np.where(np.arange(40) % 7 == 3, np.nan, Y)
DATES = pandas.date_range("1990-01-31", periods=40, freq="ME")
SEQUENCES = [np.sin(np.arange(5 + k % 4) / (1 + k % 2)) for k in range(12)]
SMALL = {"hidden": 3, "max_epochs": 1, "random_state": 0}
WINDOW = {"window": 6, "horizon": 3} | SMALL


def forecaster(y: Any = Y, **params: Any) -> Any:
    """A forecaster fitted for one epoch."""
    return regen.Forecaster(**(WINDOW | params)).fit(y)


def polars_series() -> polars.DataFrame:
    """A dated table of polars."""
    return polars.DataFrame({"day": pandas.date_range("2020-01-01", periods=40).to_list(), "y": Y})


FORECASTERS: dict[str, Callable[[], Any]] = {
    "array": forecaster,
    "columns": lambda: forecaster(TWO, channels="independent", layers=2, dropout=0.1),
    "gaps": lambda: forecaster(GAPS),
    "bptt": lambda: forecaster(bptt=3),
    "bptt-gru": lambda: forecaster(bptt=3, cell="gru"),
    "segments": lambda: forecaster(segment=3, decoding="recursive", normalize="mean"),
    "pandas": lambda: forecaster(pandas.Series(Y, DATES, name="spots")),
    "polars": lambda: forecaster(polars_series()),
    "peephole": lambda: forecaster(cell=cells.LSTM(peephole="full")),
    "jordan": lambda: forecaster(cell=cells.Jordan(nonlinearity="relu", proj_size=2), bptt=2),
    "diagonal": lambda: forecaster(cell="diagonal"),
    "constant": lambda: forecaster(np.full(40, 7.0)),
    "plan": lambda: forecaster(training=Training(validation=0.25, loss="mse")),
    "plan-dict": lambda: forecaster(training={"batch_size": 4}),
}


@pytest.mark.parametrize("make", FORECASTERS.values(), ids=FORECASTERS)
def test_a_forecaster_forecasts_the_same_bits(make: Callable[[], Any], tmp_path: Path) -> None:
    """Forecasts, intervals, an update and what follows it are bit for bit those of the model that was saved."""
    model = make()
    loaded = regen.load(regen.save(model, tmp_path / "m.regen"))
    assert same(loaded.predict(), model.predict())
    assert same(loaded.predict(7, level=[80, 95]), model.predict(7, level=[80, 95]))
    if isinstance(model.predict(), np.ndarray):
        more = TWO[:5] if model.n_features_in_ == 2 else Y[:5]
        again = regen.load(tmp_path / "m.regen")
        assert same(again.update(more).predict(), make().update(more).predict())


def test_another_process_forecasts_the_same_bits(forecaster: regen.Forecaster, saved: Path) -> None:
    """What a process of its own forecasts from the file is bit for bit what this one does."""
    line = "torch.set_num_threads(1); print(regen.load(sys.argv[1]).predict().tobytes().hex())"
    command = [sys.executable, "-c", f"import sys, torch, regen; {line}", str(saved)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == forecaster.predict().tobytes().hex(), result.stderr


def same(a: Any, b: Any) -> bool:
    """Whether two results are of one type and equal to the last bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return bool(a.equals(b))


@pytest.mark.parametrize(
    "labels", [np.arange(12) % 2, np.array(["a", "long"])[np.arange(12) % 2]], ids=["int", "text"]
)
@pytest.mark.parametrize("cell", ["gru", cells.LSTM(peephole="output")], ids=["gru", "peephole"])
def test_a_classifier_predicts_the_same_bits(labels: np.ndarray, cell: Any, tmp_path: Path) -> None:
    """Labels and probabilities are bit for bit those of the model that was saved."""
    model = regen.SequenceClassifier(cell=cell, **SMALL).fit(SEQUENCES, labels)
    loaded = regen.load(regen.save(model, tmp_path / "m.regen"))
    assert loaded.predict(SEQUENCES).tolist() == model.predict(SEQUENCES).tolist()
    assert loaded.classes_.dtype == model.classes_.dtype
    assert same(loaded.predict_proba(SEQUENCES), model.predict_proba(SEQUENCES))


@pytest.mark.parametrize("y", [np.arange(12.0), np.arange(24.0).reshape(12, 2)], ids=["one", "two"])
def test_a_regressor_predicts_the_same_bits(y: np.ndarray, tmp_path: Path) -> None:
    """Predictions are bit for bit those of the model that was saved, also with several targets."""
    model = regen.SequenceRegressor(**SMALL).fit(SEQUENCES, y)
    loaded = regen.load(regen.save(model, tmp_path / "m.regen"))
    assert same(loaded.predict(SEQUENCES), model.predict(SEQUENCES))


def test_every_public_estimator_can_be_saved() -> None:
    """The table of classes holds every estimator that regen exports."""
    public = {getattr(regen, name) for name in regen.__all__}
    estimators = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Estimator)}
    assert set(KINDS.values()) == estimators


def test_all_that_was_learned_comes_back(forecaster: regen.Forecaster, saved: Path) -> None:
    """Parameters, history and every fitted attribute are there, and it is saved to the same bytes."""
    loaded = regen.load(saved)
    assert loaded.get_params() == forecaster.get_params()
    assert set(vars(loaded)) == set(vars(forecaster))
    assert loaded.history_.equals(forecaster.history_)
    again = regen.save(loaded, saved.with_name("again.regen"))
    assert again.read_bytes() == saved.read_bytes()


def test_a_model_with_other_weights_is_caught(forecaster: regen.Forecaster, saved: Path) -> None:
    """One weight a millionth larger, and the forecast is another: the comparison of bits is able to fail."""
    twin = regen.load(saved)
    with torch.no_grad():
        list(twin.net_.parameters())[-1].add_(1e-6)
    assert not same(twin.predict(), forecaster.predict())


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    """The global random numbers of torch and numpy stand where they stood."""
    torch.manual_seed(3)
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].tolist()
    regen.load(saved)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numbers


def test_a_folder(forecaster: regen.Forecaster, tmp_path: Path) -> None:
    """A folder, or a path with a slash at its end, gets model.safetensors, and load finds it there."""
    made = regen.save(forecaster, f"{tmp_path}/runs/new/")
    assert made == tmp_path / "runs/new/model.safetensors"
    assert regen.save(forecaster, tmp_path) == tmp_path / "model.safetensors"
    assert same(regen.load(tmp_path / "runs" / "new").predict(), forecaster.predict())


def test_a_link_stays_a_link(forecaster: regen.Forecaster, saved: Path) -> None:
    """Saving to a link replaces the file that it points to."""
    link = saved.with_name("link.regen")
    link.symlink_to(saved)
    regen.save(forecaster, link)
    assert link.is_symlink()
    assert saved.is_file()


def test_a_random_state_instance_is_left_out(tmp_path: Path) -> None:
    """A RandomState is no part of a model: it comes back as None."""
    model = forecaster(random_state=np.random.RandomState(0))
    assert regen.load(regen.save(model, tmp_path / "m")).random_state is None


def test_not_fitted(tmp_path: Path) -> None:
    """An estimator that is not fitted is refused, and no file is made."""
    with pytest.raises(NotFittedError) as caught:
        regen.save(regen.Forecaster(), tmp_path / "m")
    assert str(caught.value) == "This Forecaster is not fitted yet. Call fit before saving it."
    assert list(tmp_path.iterdir()) == []


def test_not_ours(tmp_path: Path) -> None:
    """Anything but regen's own estimators is refused, also a class of the same name."""
    with pytest.raises(ValueError) as caught:
        regen.save({"a": 1}, tmp_path / "m")
    assert str(caught.value) == f"regen.save writes {', '.join(KINDS)}. Got a dict instead."
    with pytest.raises(ValueError, match="Got a Forecaster instead"):
        regen.save(type("Forecaster", (), {})(), tmp_path / "m")


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
FULL_MESSAGE = "{!r} cannot be written: No space left on device. Nothing was left behind."


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [("fsync", FULL, FULL_MESSAGE), ("replace", FULL, FULL_MESSAGE), ("fsync", KeyboardInterrupt(), "")],
    ids=["full disk at fsync", "full disk at replace", "Ctrl-C"],
)
def test_a_failed_save_keeps_the_former_file(
    call: str,
    error: BaseException,
    message: str,
    forecaster: regen.Forecaster,
    saved: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a full disk or after Ctrl-C the former file stays whole and no other file is left."""
    before = saved.read_bytes()

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)) as caught:
        regen.save(forecaster, saved)
    assert str(caught.value) == message.format(str(saved))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_read_only_folder(
    forecaster: regen.Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be written in is named."""

    def denied(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch, pytest.raises(PermissionError) as caught:
        patch.setattr(os, "open", denied)
        regen.save(forecaster, tmp_path / "m.regen")
    assert str(caught.value) == (
        f"{str(tmp_path / 'm.regen')!r} cannot be written: the folder {str(tmp_path)!r} is read-only. Choose another."
    )


def test_a_folder_that_cannot_be_made(forecaster: regen.Forecaster, saved: Path) -> None:
    """A folder below a file, and a file in a missing folder."""
    with pytest.raises(OSError) as caught:
        regen.save(forecaster, f"{saved}/runs/")
    assert str(caught.value) == f"The folder {str(saved) + '/runs/'!r} cannot be made: Not a directory."
    with pytest.raises(FileNotFoundError, match="cannot be written: there is no folder"):
        regen.save(forecaster, saved.parent / "nowhere" / "m.regen")


def test_a_device_that_is_not_there(forecaster: regen.Forecaster, tmp_path: Path) -> None:
    """A model trained on a device that this machine lacks is loaded on one that it has, with a warning."""
    device = next(name for name in ("mps", "cuda") if not torch.get_device_module(name).is_available())
    twin = regen.load(regen.save(forecaster, tmp_path / "m"))
    twin.training = Training(device=device)
    regen.save(twin, tmp_path / "m")
    with pytest.warns(UserWarning) as caught:
        loaded = regen.load(tmp_path / "m")
    assert str(caught[0].message) == (
        f"{str(tmp_path / 'm')!r} was trained with device={device!r}, which this machine lacks. It is loaded with"
        " device='auto'."
    )
    assert loaded.training.device == "auto"
