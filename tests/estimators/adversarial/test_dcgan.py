"""DCGAN: images of any size and type, features of the discriminator, labels."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import regen
from regen.nets.adversarial import make_gan_nets

pytestmark = pytest.mark.filterwarnings(
    "ignore:The generated rows cover:UserWarning",
    "ignore:The discriminator has won:UserWarning",
    "ignore:Generated rows may be copies:UserWarning",
)
RNG = np.random.default_rng(0)


def bars(n: int = 60, Y: int = 8, X: int = 8) -> tuple[Any, Any]:
    """Grey images (n, Y, X) of a vertical or a horizontal bar, and which it is."""
    images, labels = np.full((n, Y, X), 0.1), np.arange(n) % 2
    for k, image in enumerate(images):
        place = RNG.integers(1, 6)
        image[(slice(None), place) if labels[k] else (place, slice(None))] = 0.9
    return images + 0.05 * RNG.random(images.shape), labels


def model(steps: int = 3, **options: Any) -> regen.DCGAN:
    """A small DCGAN, trained for a few steps."""
    training = {"batch_size": 8, "max_steps": steps, **options.pop("training", {})}
    return regen.DCGAN(**{"channels": 2, "code": 5, "random_state": 0} | options, training=training)


IMAGES, UPRIGHT = bars()


@given(st.integers(8, 80), st.integers(8, 80), st.integers(1, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_nets_of_every_height_and_width(Y: int, X: int, C: int, norm: bool) -> None:
    """The generator makes images of exactly that size, the critic takes them, for all sizes of 8 to 80."""
    generator, critic = make_gan_nets(
        "conv", features=C * Y * X, outputs=C * Y * X, code=3, shape=(C, Y, X), channels=1, norm=norm
    )
    image = generator(torch.randn(2, 3))
    assert image.shape == (2, C * Y * X)
    assert critic(image).shape == (2,)
    assert critic.features(image).shape[0] == 2


@pytest.mark.parametrize("shape", [(28, 28), (3, 9, 14), (2, 21, 8), (13, 47)])
def test_odd_sizes_come_back(shape: tuple[int, ...]) -> None:
    """Samples have the size and the channels of the images."""
    images = RNG.random((30, *shape))
    fitted = model(2).fit(images)
    assert fitted.sample(3).shape == (3, *shape)
    assert fitted.score_samples(images).shape == (30,)
    assert fitted.interpolate(steps=4).shape == (4, *shape)


@pytest.mark.parametrize(
    ("kind", "images"),
    [
        ("uint8", (IMAGES * 255).astype(np.uint8)),
        ("bool", IMAGES > 0.5),
        ("float32", IMAGES.astype(np.float32)),
        ("real", IMAGES * 10 - 5),
        ("flat", IMAGES.reshape(60, 64)),
    ],
)
def test_pixels_of_every_kind(kind: str, images: Any) -> None:
    """Samples have the dtype, shape and range of the data."""
    fitted = model(image_shape=(8, 8) if kind == "flat" else None).fit(images)
    sample = fitted.sample(5, random_state=0)
    assert sample.dtype == images.dtype and sample.shape == (5, *images.shape[1:])
    if kind in ("float32", "flat"):
        assert sample.min() >= 0 and sample.max() <= 1
    if kind == "bool":
        assert set(np.unique(sample)) <= {False, True}


def test_features() -> None:
    """The features are those of the critic, float32, with names, and do not depend on the batch."""
    fitted = model(10).fit(IMAGES, UPRIGHT)
    features = fitted.transform(IMAGES)
    assert features.dtype == np.float32 and features.shape == (60, len(fitted.get_feature_names_out()))
    assert fitted.get_feature_names_out()[:2].tolist() == ["dcgan0", "dcgan1"]
    with torch.no_grad():
        inputs = fitted.modality_.layout.inputs(torch.from_numpy(IMAGES.reshape(60, 64).astype(np.float32)))
        alone = fitted.discriminator_.features(inputs).numpy()
    np.testing.assert_allclose(features, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.transform(IMAGES[3:5]), features[3:5], rtol=1e-4, atol=1e-5)
    named = model(2).set_output(transform="pandas").fit(IMAGES).transform(IMAGES[:2])
    assert named.columns[0] == "dcgan0"


def test_features_as_inputs_of_a_classifier() -> None:
    """A linear classifier of the features distinguishes unseen vertical from horizontal bars."""
    piped = make_pipeline(model(40, channels=4), LogisticRegression(max_iter=1000)).fit(IMAGES, UPRIGHT)
    new, labels = bars(40)
    assert piped.score(new, labels) > 0.9


def test_evaluation_changes_nothing() -> None:
    """Scores and features leave the statistics of batch norms unchanged: repeated calls give the same bits."""
    fitted = model(6).fit(IMAGES)
    before = {name: value.clone() for name, value in fitted.net_.state_dict().items()}
    first = fitted.score_samples(IMAGES)
    fitted.transform(IMAGES)
    fitted.sample(3)
    fitted.quality(IMAGES, random_state=0)
    fitted.invert(IMAGES[:2], steps=2)
    assert all(torch.equal(value, before[name]) for name, value in fitted.net_.state_dict().items())
    assert np.array_equal(first, fitted.score_samples(IMAGES))
    assert not fitted.net_.training


@pytest.mark.parametrize(
    "options", [{"norm": False}, {"game": {"spectral_norm": True}}, {"game": {"pack": 2}}], ids=str
)
def test_options_of_the_nets(options: dict[str, Any]) -> None:
    """Without norm, with spectral norm and in packs the model trains and samples."""
    assert np.isfinite(model(2, **options).fit(IMAGES).sample(2)).all()


@pytest.mark.parametrize("objective", ["nonsaturating", "minimax", "hinge", "least_squares", "wasserstein"])
def test_objectives(objective: str) -> None:
    """With every objective the model trains and samples by label."""
    fitted = model(2, norm=False, game={"objective": objective}).fit(IMAGES, UPRIGHT)
    assert np.isfinite(fitted.sample(2, label=1)).all()


def test_no_running_statistics_without_norm() -> None:
    """Without norm no net has running means or variances."""
    norms = [name for name, _ in model(1, norm=False).fit(IMAGES).net_.named_buffers()]
    assert not any("running" in name for name in norms)


def test_images_of_another_size_are_refused() -> None:
    """By score_samples and transform alike."""
    fitted = model(1).fit(IMAGES)
    for use in (fitted.score_samples, fitted.transform):
        with pytest.raises(
            ValueError, match=r"^X has images of \(1, 8, 7\) channels, rows and columns\. Those fitted"
        ):
            use(IMAGES[:, :, :7])
