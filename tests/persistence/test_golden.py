"""Models saved by the first version of the format load for ever, and answer what they answered then."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen.persistence.container import read, write

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FILES = ("forecaster-format-1.safetensors", "classifier-format-1.safetensors")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def answers() -> dict[str, Any]:
    """What the golden models said when they were saved."""
    return json.loads((GOLDEN / "answers-format-1.json").read_text())


def test_the_forecaster(answers: dict[str, Any]) -> None:
    """Forecasts, intervals and dates of a dated series with gaps, from an LSTM with full peepholes."""
    model = regen.load(GOLDEN / FILES[0])
    said = model.predict(4, level=80)
    np.testing.assert_allclose(said["spots"], answers["forecast"], **CLOSE)
    np.testing.assert_allclose(said["spots-hi-80"], answers["high"], **CLOSE)
    assert [str(date.date()) for date in said.index] == answers["dates"]
    assert (model.cell.peephole, model.training.clip, model.training.max_time) == ("full", None, "5m")


def test_the_classifier(answers: dict[str, Any]) -> None:
    """Probabilities of sequences of different lengths, and labels that are text."""
    model = regen.load(GOLDEN / FILES[1])
    x = [np.array(sequence) for sequence in answers["sequences"]]
    np.testing.assert_allclose(model.predict_proba(x), answers["probabilities"], **CLOSE)
    assert model.classes_.tolist() == ["fast", "slow"]


def test_swapped_gates_are_caught(answers: dict[str, Any]) -> None:
    """A reader that takes the input gate for the forget gate would not pass."""
    model = regen.load(GOLDEN / FILES[0])
    with torch.no_grad():
        weight = model.net_.reader.weight_ih_l0
        weight[:4] = weight[[2, 3, 0, 1]]
    assert not np.allclose(model.predict(4), answers["forecast"], **CLOSE)


def test_a_lost_peephole_is_caught(answers: dict[str, Any]) -> None:
    """A reader that drops the smallest weights would not pass."""
    model = regen.load(GOLDEN / FILES[0])
    with torch.no_grad():
        model.net_.reader.weight_co_l0.zero_()
    assert not np.allclose(model.predict(4), answers["forecast"], **CLOSE)


@pytest.mark.parametrize("name", FILES)
def test_the_bytes(name: str, tmp_path: Path) -> None:
    """The same document and tensors are written to the same bytes, today and then."""
    document, tensors = read(GOLDEN / name)
    write(tmp_path / name, document, tensors)
    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_parameters_that_came_later_keep_their_default(tmp_path: Path) -> None:
    """A file that lacks a parameter, as it will once parameters are added, takes its default."""
    document, tensors = read(GOLDEN / FILES[0])
    del document["params"]["dropout"], document["params"]["training"]["training"]["clip"]
    write(tmp_path / "m", document, tensors)
    model = regen.load(tmp_path / "m")
    assert model.dropout == regen.Forecaster().dropout
    assert model.training.clip == regen.Training().clip
