"""Bad input to GAN and DCGAN gets one clear sentence, and a failed fit leaves the former state."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import regen

pytestmark = pytest.mark.filterwarnings(
    "ignore:The generated rows cover:UserWarning", "ignore:The discriminator has won:UserWarning"
)
X = np.random.default_rng(0).normal(size=(40, 3))
IMAGES = np.random.default_rng(0).random((40, 6, 5))
TRAINING = {"batch_size": 8, "max_steps": 2}
GAPS = np.where(np.eye(40, 3) > 0, np.nan, X)


def gan(**options: Any) -> regen.GAN:
    """A small estimator that trains for two steps."""
    return regen.GAN(**{"hidden": (4,), "random_state": 0, "training": TRAINING} | options)


def dcgan(**options: Any) -> regen.DCGAN:
    """A small estimator that trains for two steps."""
    return regen.DCGAN(**{"channels": 2, "random_state": 0, "training": TRAINING} | options)


FITS: list[tuple[Any, dict[str, Any], tuple[Any, ...], str]] = [
    (
        gan,
        {},
        (GAPS,),
        "X has missing values (NaN), and GAN requires complete rows. Impute them first, for example with"
        " regen.DenoisingAutoencoder().impute, or drop those rows.",
    ),
    (
        dcgan,
        {},
        (np.where(IMAGES > 0.99, np.nan, IMAGES),),
        "X has missing values (NaN), and DCGAN requires complete rows.",
    ),
    (gan, {}, (X[:1],), "GAN needs at least 6 training rows. Got n_samples=1."),
    (gan, {}, (X, np.zeros(40)), "y has only one class, 0.0. Leave y out, or give rows of several labels."),
    (gan, {}, (X, X[:, 0]), "Unknown label type: continuous"),
    (gan, {}, (X, np.arange(39)), "Found input variables with inconsistent numbers of samples: [40, 39]"),
    (
        gan,
        {},
        (IMAGES[:, None],),
        "X of shape (40, 1, 6, 5) looks like images, which regen.DCGAN generates. GAN is for tables, points and"
        " sequences (n, T, F); for images without convolutions set backbone='mlp'.",
    ),
    (gan, {}, (IMAGES > 0.5,), "X of shape (40, 6, 5) looks like images, which regen.DCGAN generates."),
    (
        dcgan,
        {},
        (X,),
        "DCGAN takes images (n, Y, X) or (n, C, Y, X), or flat ones with image_shape=(Y, X). Got X of shape (40, 3).",
    ),
    (gan, {}, (np.full((40, 2), np.inf),), "Column 0 of X has an infinite value in row 0."),
    (gan, {"output": "unit"}, (X,), "Column 0 of X is 'unit', which allows numbers in [0, 1]. Got 1.304"),
    (
        gan,
        {"code": 0},
        (X,),
        "The 'code' parameter of GAN must be one of 'auto' or an int in [1, inf). Got 0 instead.",
    ),
    (
        gan,
        {"backbone": "conv"},
        (X,),
        "The 'backbone' parameter of GAN must be one of 'auto', 'mlp', 'recurrent', ",
    ),
    (gan, {"output": "reals"}, (X,), "The 'output' parameter of GAN must be one of 'auto', 'real', "),
    (
        gan,
        {"hidden": 0},
        (X,),
        "The 'hidden' parameter of GAN must be one of 'auto' or an int in [1, inf) or a tuple of",
    ),
    (
        regen.GAN,
        {"training": {"validation": 0.1}},
        (X,),
        "validation=0.1 holds out 4 rows; the quality measures need at least 6. Raise validation, set validation=0,"
        " or give more rows.",
    ),
]


@pytest.mark.parametrize(("make", "options", "data", "message"), FITS, ids=[each[-1][:30] for each in FITS])
def test_refusals_of_fit(make: Any, options: dict[str, Any], data: tuple[Any, ...], message: str) -> None:
    """Data that cannot be used for training, and parameters out of their range."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        make(**options).fit(*data)


def test_constant_columns_stay_constant() -> None:
    """They come back unchanged, together with those that vary."""
    constant = np.c_[X[:, 0], np.full(40, 7.0)]
    fitted = gan(output="real").fit(constant)
    sample = fitted.sample(500, random_state=0)
    assert np.isfinite(sample).all() and np.isfinite(fitted.score_samples(constant)).all()
    alone = gan().fit(pd.DataFrame({"a": np.full(40, "x"), "b": X[:, 0]}))
    assert set(alone.sample(20)["a"]) == {"x"}
    constant_pixels = dcgan().fit(np.where(np.arange(5) == 2, 0.0, IMAGES))
    assert np.isfinite(constant_pixels.sample(3)).all()


def test_fewer_rows_than_a_batch() -> None:
    """A batch then holds rows more than once; all of them are whole."""
    few = regen.GAN(hidden=(4,), max_epochs=1, training={"batch_size": 64, "max_steps": 3}).fit(X[:7])
    assert few.history_["step"].iloc[-1] == 3


NO_LABEL = "This GAN was fitted with labels. Give label, one of 'a', 'b', or one for each row."
USES: dict[str, tuple[Any, str]] = {
    "n": (lambda m: m.sample(0), "The 'n' parameter of GAN must be an int in [1, inf). Got 0 instead."),
    "label": (
        lambda m: m.sample(2, label=1),
        "This GAN was fitted without labels. Fit it with y, or leave label out.",
    ),
    "truncation": (
        lambda m: m.sample(2, truncation=0),
        "The 'truncation' parameter of GAN must be a number in (0, inf).",
    ),
    "lengths": (
        lambda m: m.sample(2, lengths=[1, 2]),
        "lengths applies to sequences, and this GAN was not fitted on sequences. Leave it out.",
    ),
    "codes": (
        lambda m: m.inverse_transform(np.zeros((2, 5))),
        "Z must have 3 columns, the size of the code. Got 5 columns.",
    ),
    "ends": (
        lambda m: m.interpolate(np.zeros(2)),
        "Z must have 3 columns, the size of the code. Got 2 columns.",
    ),
    "steps": (
        lambda m: m.interpolate(steps=1),
        "The 'steps' parameter of GAN must be an int in [2, inf). Got 1 instead.",
    ),
    "steps of invert": (
        lambda m: m.invert(X, steps=0),
        "The 'steps' parameter of GAN must be an int in [1, inf). Got 0 instead.",
    ),
    "columns": (
        lambda m: m.score_samples(X[:, :2]),
        "X has 2 features, but GAN is expecting 3 features as input.",
    ),
    "gaps": (
        lambda m: m.score_samples(GAPS),
        "X has missing values (NaN), and GAN requires complete rows.",
    ),
    "few": (
        lambda m: m.quality(X[:5]),
        "k=5 neighbours need k >= 1 and more than k samples of each kind.",
    ),
    "labelled: none": (lambda m: m.inverse_transform(np.zeros((2, 3))), NO_LABEL),
    "labelled: none to invert": (lambda m: m.invert(X), NO_LABEL),
    "labelled: unknown": (
        lambda m: m.sample(2, label="c"),
        "Unknown label 'c'. The labels of fit are 'a', 'b'.",
    ),
    "labelled: unknown y": (
        lambda m: m.score_samples(X, ["z"] * 40),
        "Unknown label 'z'. The labels of fit are 'a', 'b'.",
    ),
    "labelled: count": (
        lambda m: m.sample(2, label=["a"] * 3),
        "label must be a single label or 2 labels. Got an array of shape (3,).",
    ),
}


@pytest.mark.parametrize("case", USES)
def test_refusals_of_a_fitted_gan(case: str) -> None:
    """Arguments out of their range, and labels that are unknown, missing or not expected."""
    use, message = USES[case]
    fitted = gan().fit(X, np.resize(["a", "b"], 40) if case.startswith("labelled") else None)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        use(fitted)


def test_a_failed_fit_leaves_the_former_state() -> None:
    """Also when it fails late: the samples are the same bits."""
    fitted = gan().fit(X)
    before = fitted.sample(5, random_state=0)
    with pytest.raises(ValueError, match="missing values"):
        fitted.fit(GAPS)
    assert np.array_equal(fitted.sample(5, random_state=0), before)
    fitted.set_params(code=2)
    with pytest.raises(
        ValueError, match=r"^code=2 was set after fit, which had code='auto'\. Fit again, or set it"
    ):
        fitted.sample(2)


def test_unknown_parameters() -> None:
    """The closest one is named."""
    with pytest.raises(TypeError, match=r"^GAN has no parameter 'games'\. Did you mean 'game'\?$"):
        regen.GAN(games=None)
    with pytest.raises(TypeError, match=r"^DCGAN has no parameter 'chanels'\. Did you mean 'channels'\?$"):
        regen.DCGAN(chanels=3)
