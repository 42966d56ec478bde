"""Models of every kind, saved in every format so far, load and predict what they predicted then."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen.estimators import ESTIMATORS
from regen.persistence.container import FORMAT, read, write

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def golden_models() -> ModuleType:
    """``tests/golden/make.py``, which knows what is compared of each model."""
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODELS = golden_models().PREDICTIONS
FORMATS = tuple(range(1, FORMAT + 1))
EXPECTED = {
    number: json.loads((GOLDEN / f"predictions-format-{number}.json").read_text()) for number in FORMATS
}


def golden_file(name: str, number: int = FORMAT) -> Path:
    """The file of a golden model."""
    return GOLDEN / f"{name}-format-{number}.safetensors"


def assert_alike(actual: Any, expected: Any, where: str) -> None:
    """Nested dicts and lists hold the same text and close numbers."""
    if isinstance(expected, dict):
        assert set(actual) == set(expected), where
        for key, value in expected.items():
            assert_alike(actual[key], value, f"{where}.{key}")
    elif np.asarray(expected).dtype.kind in "USO":
        assert list(actual) == list(expected), where
    else:
        np.testing.assert_allclose(actual, expected, **CLOSE, err_msg=where)


def predictions(name: str, model: Any) -> dict[str, Any]:
    """What a model predicts, after the round trip through JSON that the expected values took."""
    return json.loads(json.dumps(MODELS[name][1](model)))


def test_every_kind_has_a_golden_model() -> None:
    """No estimator without a file, no file without an entry."""
    for number in FORMATS:
        assert {type(regen.load(golden_file(name, number))) for name in MODELS} == set(ESTIMATORS)
        assert set(EXPECTED[number]) == set(MODELS)
    assert {path.name for path in GOLDEN.glob("*.safetensors")} == {
        golden_file(name, number).name for name in MODELS for number in FORMATS
    }


@pytest.mark.parametrize("number", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_predictions(name: str, number: int) -> None:
    """A loaded model predicts what it predicted when it was saved."""
    assert_alike(predictions(name, regen.load(golden_file(name, number))), EXPECTED[number][name], name)


@pytest.mark.parametrize("name", MODELS)
def test_a_scaled_net_is_caught(name: str) -> None:
    """A reader that scales the weights by 1 % would not pass."""
    model = regen.load(golden_file(name))
    with torch.no_grad():
        for weight in model.net_.parameters():
            weight.mul_(1.01)
    with pytest.raises(AssertionError):
        assert_alike(predictions(name, model), EXPECTED[FORMAT][name], name)


def test_parameters() -> None:
    """Options of a cell and a training plan come back."""
    model = regen.load(golden_file("forecaster"))
    assert (model.cell.peephole, model.training.clip, model.training.max_time) == ("full", None, "5m")
    assert regen.load(golden_file("classifier")).classes_.tolist() == ["fast", "slow"]


def test_swapped_gates_are_caught() -> None:
    """A reader that takes the input gate for the forget gate would not pass."""
    model = regen.load(golden_file("forecaster"))
    with torch.no_grad():
        weight = model.net_.reader.weight_ih_l0
        weight[:4] = weight[[2, 3, 0, 1]]
    assert not np.allclose(model.predict(4), EXPECTED[FORMAT]["forecaster"]["forecast"], **CLOSE)


def test_a_lost_peephole_is_caught() -> None:
    """A reader that drops the smallest weights would not pass."""
    model = regen.load(golden_file("forecaster"))
    with torch.no_grad():
        model.net_.reader.weight_co_l0.zero_()
    assert not np.allclose(model.predict(4), EXPECTED[FORMAT]["forecaster"]["forecast"], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_the_bytes(name: str, tmp_path: Path) -> None:
    """The same document and tensors are written to the same bytes, today and then."""
    document, tensors = read(golden_file(name))
    write(tmp_path / name, document, tensors)
    assert (tmp_path / name).read_bytes() == golden_file(name).read_bytes()


def test_parameters_that_came_later_keep_their_default(tmp_path: Path) -> None:
    """A file that lacks a parameter, as it will once parameters are added, takes its default."""
    document, tensors = read(golden_file("forecaster"))
    del document["params"]["dropout"], document["params"]["training"]["training"]["clip"]
    write(tmp_path / "m", document, tensors)
    model = regen.load(tmp_path / "m")
    assert model.dropout == regen.Forecaster().dropout
    assert model.training.clip == regen.Training().clip
