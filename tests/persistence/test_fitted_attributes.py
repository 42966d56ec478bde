"""Every fitted attribute that a model needs is required at load, in its type and its shape."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen._schema import Optional
from regen.persistence.container import read, write
from regen.persistence.values import Packer, Unpacker

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*-format-2.safetensors"))
BY_NAME = {path.name.removesuffix("-format-2.safetensors"): path for path in GOLDEN}


def refusal(name: str, changes: dict[str, Any], path: Path) -> str:
    """The reason that a golden model is refused for with other fitted attributes; ... takes one away."""
    document, tensors = read(BY_NAME[name])
    unpacker = Unpacker(tensors)
    unpacker.unpack({"dict": document["params"]})
    fitted = unpacker.unpack({"dict": document["fitted"]}) | changes
    packer = Packer()
    kept = {attribute: value for attribute, value in fitted.items() if value is not ...}
    document["fitted"] = packer.pack(kept, "fitted")["dict"]
    write(path, document, packer.tensors)
    try:
        regen.load(path)
    except ValueError as error:
        return (
            str(error)
            .removeprefix(f"{str(path)!r} is damaged or was altered: ")
            .removesuffix(". Save the model again.")
        )
    return "loads"


def learned(name: str) -> dict[str, Any]:
    """The fitted attributes of a golden model."""
    return regen.load(BY_NAME[name]).fitted_state()


@pytest.mark.parametrize("name", BY_NAME)
def test_no_attribute_may_be_missing(name: str, tmp_path: Path) -> None:
    """Each is named, unless the estimator can do without; each that fit sets is in the table."""
    model = regen.load(BY_NAME[name])
    forms, state = model.forms, learned(name)
    assert set(state) <= {*forms, "net_"}
    assert {each for each, form in forms.items() if not isinstance(form, Optional)} <= set(state)
    assert refusal(name, {}, tmp_path / "m") == "loads"
    for attribute in state:
        if attribute == "stream_":
            assert refusal(name, {attribute: ...}, tmp_path / "m") == "stream_ is not that of bptt=3"
        elif not isinstance(forms.get(attribute), Optional):
            words = f"the fitted attribute {attribute!r} is missing"
            assert refusal(name, {attribute: ...}, tmp_path / "m") == words
    assert refusal(name, {"other_": 1}, tmp_path / "m") == (
        f"'other_' is no fitted attribute of {type(model).__name__}"
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_no_attribute_may_be_of_another_type(name: str, tmp_path: Path) -> None:
    """A tuple, which none is, in the place of each."""
    for attribute in learned(name):
        found = refusal(name, {attribute: (1, "x")}, tmp_path / "m")
        assert found.startswith(f"{attribute} must be ") and found.endswith(" It is a tuple of 2"), found


ONE = np.ones(1)
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "columns": (
        "forecaster",
        {"center_": np.ones(2)},
        "center_ must be an array of finite floats of shape (F,) (F = 1). It is an array of float64 of shape (2,)",
    ),
    "floats": (
        "forecaster",
        {"center_": np.ones(1, int)},
        "center_ must be an array of finite floats of shape (F,) (F = 1). It is an array of int64 of shape (1,)",
    ),
    "not finite": (
        "forecaster",
        {"scale_": ONE * np.nan},
        "scale_ must be an array of finite floats from 0 of shape (F,) (F = 1). It is an array of float64 of shape"
        " (1,)",
    ),
    "negative": (
        "classifier",
        {"scale_": -ONE},
        "scale_ must be an array of finite floats from 0 of shape (features,) (features = 1). It is an array of"
        " float64 of shape (1,)",
    ),
    "window": (
        "forecaster",
        {"window_": 5},
        "tail_ must be an array of finite floats of shape (window, F) (F = 1, window = 5). It is an array of"
        " float64 of shape (4, 1)",
    ),
    "bool": ("regressor", {"one_target_": 1}, "one_target_ must be a bool. It is 1"),
    "labels": (
        "classifier",
        {"classes_": np.array(["slow", "fast"])},
        "classes_ must be an array of outputs sorted labels (outputs = 2). It is an array of <U4 of shape (2,)",
    ),
    "count": ("gan", {"n_features_in_": 0}, "n_features_in_ must be an int in [1, 9.22337e+18]. It is 0"),
    "features": ("vae", {"n_features_in_": 3}, "form_ describes 1 features, and the model has 3"),
    "shares": ("gan", {"label_shares_": np.ones(3) / 3}, "label_shares_ are not those of the labels"),
    "terms": (
        "vae",
        {"elbo_terms_": {"elbo": 1.0}},
        "elbo_terms_ must be a dict with elbo, reconstruction, kl. It is a dict of 1",
    ),
}


@pytest.mark.parametrize(("name", "changes", "words"), WRONG.values(), ids=WRONG)
def test_sizes_and_values(name: str, changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """The refusal names the attribute, what it must be, and what it is."""
    assert refusal(name, changes, tmp_path / "m") == words


ZONE = "the time zone or the frequency of the dates is unknown: 'No time zone found with key Mars/Base'"
NESTED: dict[str, tuple[str, str, list[Any], Any, str]] = {
    "name": (
        "forecaster",
        "layout_",
        ["shape"],
        "table",
        "layout_['shape'] must be one of 'series', 'frame'. It is 'table'",
    ),
    "zone": ("forecaster", "layout_", ["tz"], "Mars/Base", ZONE),
    "dates": (
        "forecaster",
        "layout_",
        ["dtype"],
        "datetime64[x]",
        "the dates of the series cannot be 'datetime64[x]'",
    ),
    "step": (
        "forecaster",
        "layout_",
        ["step", "count"],
        0,
        "layout_['step']['count'] must be an int in [1, 2.14748e+09]. It is 0",
    ),
    "kind": (
        "autoencoder",
        "form_",
        ["layout", "kinds", 0],
        "number",
        "form_['layout']['kinds'][0] must be one of 'real', 'nonnegative', 'unit', 'binary', 'counts', 'categorical'."
        " It is 'number'",
    ),
    "other kind": (
        "autoencoder",
        "form_",
        ["layout", "kinds", 0],
        "counts",
        "the encoded numbers are not those of the kinds of the columns",
    ),
    "levels": (
        "gan",
        "form_",
        ["layout", "levels", 3],
        None,
        "the categorical column 'city' has other values than its kind",
    ),
    "dtype": ("dcgan", "form_", ["layout", "dtype"], "<U3", "images cannot be of '<U3'"),
    "channels": (
        "dcgan",
        "form_",
        ["layout", "shape"],
        [3, 6, 5],
        "the layout of images with 3 channels has other numbers of them",
    ),
    "state": (
        "stream_forecaster",
        "stream_",
        ["before"],
        torch.zeros(2),
        "stream_['before'] must be a tensor of floats of shape (*, 1, *). It is an array of torch.float32 of shape"
        " (2,)",
    ),
}


@pytest.mark.parametrize(("name", "attribute", "path", "value", "words"), NESTED.values(), ids=NESTED)
def test_parts_of_attributes(
    name: str, attribute: str, path: list[Any], value: Any, words: str, tmp_path: Path
) -> None:
    """The refusal names the part, or what does not fit together."""
    changed = copy.deepcopy(learned(name)[attribute])
    owner = changed
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    assert refusal(name, {attribute: changed}, tmp_path / "m") == words


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    """The state of a stream that its network cannot continue is found at load, not at the first forecast."""
    stream = copy.deepcopy(learned("stream_forecaster")["stream_"])
    stream["state"] = [torch.zeros(1, 1, 7)]
    assert refusal("stream_forecaster", {"stream_": stream}, tmp_path / "m") != "loads"


@pytest.mark.parametrize("name", BY_NAME)
def test_a_loaded_net_is_in_eval_mode(name: str) -> None:
    """Dropout and batch statistics are off in every module, and no gradient is left."""
    net = regen.load(BY_NAME[name]).net_
    assert not any(module.training for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_parameter_of_a_later_version_needs_no_value_of_fit(tmp_path: Path) -> None:
    """A model of an earlier version, without a parameter that was added since, is loaded and predicts."""
    document, tensors = read(BY_NAME["forecaster"])
    del document["params"]["dropout"], document["fitted"]["fitted_with_"]["dict"]["dropout"]
    write(tmp_path / "m", document, tensors)
    assert len(regen.load(tmp_path / "m").predict()) == 2
