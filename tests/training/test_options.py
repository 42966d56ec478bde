"""The training options: a value with its own refusals that scikit-learn can copy and search."""

import copy
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator, clone

from regen.training import Training


class Holder(BaseEstimator):
    """An estimator with training options among its parameters."""

    def __init__(self, training: Training | None = None) -> None:
        self.training = training


def test_defaults_are_accepted() -> None:
    """The defaults pass their own check, and are what `of` makes of None."""
    Training().check()
    assert Training.of(None) == Training() == Training.of({})
    assert set(Training.constraints) == set(Training().get_params())


def test_of_takes_options_a_dict_or_none(message_of: Any) -> None:
    """Options are returned as they are; a dict gives some fields; anything else is refused."""
    options = Training(clip=None)
    assert Training.of(options) is options
    assert Training.of({"max_time": "5m"}) == Training(max_time="5m")
    words = "training must be a Training, a dict of its fields or None. Got 3 instead."
    assert message_of(ValueError, Training.of, 3) == words


def test_unknown_fields_name_the_closest(message_of: Any) -> None:
    """Misspelt in the constructor, a dict or set_params."""
    words = "Training has no parameter 'max_tme'. Did you mean 'max_time'?"
    assert message_of(TypeError, Training, max_tme=3) == words
    for attempt in (Training.of, lambda fields: Training().set_params(**fields)):
        assert message_of(ValueError, attempt, {"max_tme": 3}) == words


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("optimizer", "adm", "one of 'adam', 'adamw', 'sgd'. Got 'adm' instead. Did you mean 'adam'?"),
        ("loss", "msle", "one of 'auto', 'mse', 'mae', 'huber', 'cross_entropy'. Got 'msle' instead."),
        (
            "schedule",
            "linear",
            "one of 'auto', 'constant', 'inverse', 'cosine', 'step', 'plateau', 'onecycle'. Got 'linear' instead.",
        ),
        ("clip", 0, "a number in (0, inf) or None. Got 0 instead."),
        ("batch_size", 0, "one of 'auto' or an int in [1, inf). Got 0 instead."),
        ("batch_size", 1.5, "one of 'auto' or an int in [1, inf). Got 1.5 instead."),
        ("max_steps", 0, "an int in [1, inf) or None. Got 0 instead."),
        ("max_time", "soon", 'a time such as "90s", "5m" or "2h" or None. Got \'soon\' instead.'),
        ("validation", 1.0, "one of 'auto' or a number in [0, 1). Got 1.0 instead."),
        ("patience", 0, "an int in [1, inf) or None. Got 0 instead."),
        ("device", "gpu", "one of 'auto', 'cpu', 'cuda', 'mps'. Got 'gpu' instead."),
        ("precision", "half", "one of 'auto', 'float32', 'bfloat16'. Got 'half' instead."),
        ("weight_decay", -1, "a number in [0, inf). Got -1 instead."),
        ("checkpoint", 7, "None or a path. Got 7 instead."),
        ("verbose", "no", "a bool. Got 'no' instead."),
    ],
)
def test_refusals(field: str, value: Any, words: str, message_of: Any) -> None:
    """The message names the field, what it must be, what it got, and the closest choice."""
    text = message_of(ValueError, Training(**{field: value}).check)
    assert text.startswith(f"The '{field}' parameter of Training must be {words}")


@pytest.mark.parametrize(
    "fields", [{"max_time": 90}, {"max_time": "2h"}, {"checkpoint": Path("a")}, {"clip": 0.5}]
)
def test_accepted(fields: dict[str, Any]) -> None:
    """The other forms of a field."""
    Training(**fields).check()


def test_scikit_learn_copies_and_searches() -> None:
    """`clone` makes an equal but separate copy; nested names reach its fields."""
    model = Holder(Training(batch_size=8))
    twin = clone(model)
    assert twin.training == model.training and twin.training is not model.training
    twin.set_params(training__max_time="9s")
    assert twin.training.max_time == "9s" and model.training.max_time is None
    assert model.get_params()["training__batch_size"] == 8
    assert copy.deepcopy(model.training) == model.training
