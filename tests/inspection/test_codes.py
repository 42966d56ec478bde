"""What `codes` finds in a code is there: units, losses without them, walks, maps, neighbours and repairs."""

import re
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

import regen
from regen.data.corruption import corrupt
from regen.inspection.latent.codes import _principal, codes

OPTIONS: dict[str, Any] = {
    "max_epochs": 8,
    "random_state": 0,
    "training": {"validation": 0, "patience": None},
}


def table(n: int = 200) -> np.ndarray:
    """Rows of five columns that three numbers tell, one of them hardly."""
    z = np.random.default_rng(0).normal(size=(n, 3)) * [3.0, 1.0, 0.05]
    return z @ np.random.default_rng(1).normal(size=(3, 5)) + 7.0


@cache
def fitted(kind: str, code: int = 3) -> Any:
    """A model of the table."""
    kinds = {
        "plain": regen.Autoencoder(code, hidden=(), **OPTIONS),
        "vae": regen.VariationalAutoencoder(code, hidden=(16,), beta=1.0, **OPTIONS),
        "denoiser": regen.DenoisingAutoencoder(0.5, code=code, hidden=(16,), **OPTIONS),
    }
    return kinds[kind].fit(table())


def standard(X: np.ndarray) -> np.ndarray:
    """The table as the encoder reads it."""
    return (X - table().mean(axis=0)) / table().std(axis=0)


def test_losses_are_those_of_the_model() -> None:
    """The loss, and the loss with a unit at its mean, are what decoding such codes gives."""
    model, X = fitted("plain"), table()
    found, Z = codes(model, X), model.transform(X)
    np.testing.assert_array_equal(found.values.values, Z)

    def error(code: np.ndarray) -> float:
        return float(np.mean((standard(model.inverse_transform(code)) - standard(X)) ** 2))

    np.testing.assert_allclose(found.loss, error(Z), rtol=1e-4)
    np.testing.assert_allclose(found.blind, error(np.repeat(Z.mean(axis=0)[None], len(Z), axis=0)), rtol=1e-4)
    losses = []
    for unit in range(3):
        held = Z.copy()
        held[:, unit] = Z[:, unit].mean()
        losses.append(error(held))
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
    assert not np.allclose(found.losses, np.roll(losses, 1), rtol=1e-2), "the wrong unit is reported"
    np.testing.assert_array_less(found.loss + 1e-3, losses)
    assert found.order.tolist() == np.argsort(-found.losses).tolist()


def test_units_are_a_table() -> None:
    """A row for each unit, ranked by what is lost without it."""
    found = codes(fitted("plain"), table())
    units = pd.DataFrame(found.units())
    assert list(units) == ["unit", "mean", "variance", "active", "loss", "lost", "share", "rank"]
    np.testing.assert_allclose(units["lost"], units["loss"] - found.loss)
    assert units.set_index("rank").loc[1, "unit"] == found.order[0]
    assert pd.DataFrame(found.frame()).shape == (200, 3)
    np.testing.assert_allclose(units["variance"], found.values.values.var(axis=0), rtol=1e-5)


def test_divergences_are_those_of_fit() -> None:
    """On the rows of fit the divergence of each unit and its use are what the model has recorded."""
    model = fitted("vae")
    found = codes(model, table())
    assert found.kl is not None
    np.testing.assert_allclose(found.kl, model.kl_per_unit_, rtol=1e-6)
    np.testing.assert_array_equal(found.active, model.active_units_)
    assert not np.allclose(codes(model, table()[:50]).kl, model.kl_per_unit_, rtol=1e-3)
    assert "kl" in pd.DataFrame(found.units())


def test_a_constant_unit_is_not_in_use() -> None:
    """A unit whose weights in the decoder are zero loses nothing, and one that never changes varies by nothing."""
    model = regen.Autoencoder(3, hidden=(), **OPTIONS).fit(table())
    with torch.no_grad():
        weights = [p for p in model.decoder_.parameters() if p.ndim == 2]
        weights[0][:, 1] = 0
    found = codes(model, table())
    assert found.active.tolist() == [True, False, True]
    assert found.losses[1] == pytest.approx(found.loss, rel=1e-6)
    assert "2 of the 3 units of the code are in use." in found.sentences()


def test_a_traversal_varies_one_unit() -> None:
    """From the 1st to the 99th percentile, the others at their mean or at a row's; each place is decoded."""
    model = fitted("plain")
    found, Z = codes(model, table()), model.transform(table())
    traversal = found.traversal(1, n=5)
    np.testing.assert_allclose(traversal.codes[[0, -1], 1], np.percentile(Z[:, 1], (1, 99)), rtol=1e-5)
    np.testing.assert_allclose(
        traversal.codes[:, [0, 2]], np.repeat(Z.mean(axis=0)[None, [0, 2]], 5, axis=0), rtol=1e-5
    )
    np.testing.assert_array_equal(traversal.restored, model.inverse_transform(traversal.codes))
    np.testing.assert_allclose(traversal.decoded.values, standard(traversal.restored), atol=1e-4)
    np.testing.assert_array_equal(found.traversal(1, row=7).codes[:, 2], np.repeat(Z[7, 2], 9))
    assert found.traversal().unit == found.order[0]


def test_between_two_rows() -> None:
    """An interpolation begins at the code of one row and ends at that of the other, evenly."""
    model = fitted("plain")
    found, Z = codes(model, table()), model.transform(table())
    traversal = found.interpolation(3, -1, n=3)
    np.testing.assert_allclose(traversal.codes, [Z[3], (Z[3] + Z[-1]) / 2, Z[-1]], rtol=1e-5)


def test_a_map_by_components() -> None:
    """Places are those of scikit-learn's PCA but for the sign, and so is the share of the variance."""
    found = codes(fitted("plain"), table())
    pca = PCA(2).fit(found.values.values)
    drawn = found.map()
    assert drawn.by == "pca"
    expected = pca.transform(found.values.values)
    np.testing.assert_allclose(np.abs(drawn.points), np.abs(expected), atol=1e-4)
    assert drawn.kept == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-5)
    assert drawn.decoded is not None and len(drawn.decoded) == 121


def test_a_map_of_two_units_is_the_code() -> None:
    """A code of two numbers is drawn as it is, and the picture at a place is what the decoder makes of it."""
    model = fitted("plain", code=2)
    found = codes(model, table())
    drawn = found.map(grid=3)
    np.testing.assert_allclose(drawn.points, found.values.values, rtol=1e-6)
    assert (drawn.by, drawn.kept) == ("code", 1.0)
    left, right, bottom, top = drawn.extent or (0, 0, 0, 0)
    corner = model.inverse_transform(np.array([[left, top], [right, bottom]], dtype=np.float32))
    assert drawn.decoded is not None
    np.testing.assert_allclose(drawn.decoded.values[[0, -1]], standard(corner), atol=1e-4)


@pytest.mark.parametrize("code", [2, 3])
def test_a_map_spans_its_points(code: int) -> None:
    """The decoded grid reaches from the lowest to the highest point in each direction, and no further."""
    drawn = codes(fitted("plain", code=code), table()).map(grid=3)
    (low_x, low_y), (high_x, high_y) = drawn.points.min(axis=0), drawn.points.max(axis=0)
    assert drawn.extent == (low_x, high_x, low_y, high_y)


@given(st.integers(1, 6), st.integers(2, 40), st.integers(0, 2**31))
def test_principal_axes(units: int, rows: int, seed: int) -> None:
    """Axes are orthogonal and of length one, and the share is between 0 and 1: all of it for up to two units."""
    values = np.random.default_rng(seed).normal(size=(rows, units))
    _, axes, kept = _principal(values)
    kinds = min(units, rows, 2)
    np.testing.assert_allclose((axes @ axes.T)[:kinds, :kinds], np.eye(kinds), atol=1e-9)
    assert -1e-9 <= kept <= 1 + 1e-9
    assert units > 2 or kept == pytest.approx(1)


def test_neighbours_are_the_nearest() -> None:
    """The same as by all distances; a row is never its own neighbour, even where others have its code."""
    X = table()
    X[10] = X[20] = X[30]
    model = fitted("plain")
    found, Z = codes(model, X), model.transform(X)
    near = found.neighbours([10, 20, 5], n=4)
    for row, others, far in zip(near.rows, near.nearest, near.distances, strict=True):
        distances = np.linalg.norm(Z - Z[row], axis=1)
        distances[row] = np.inf
        np.testing.assert_allclose(far, np.sort(distances)[:4], atol=1e-5)
        np.testing.assert_allclose(distances[others], far, atol=1e-5)
        assert row not in others
    assert set(near.nearest[0][:2]) == {20, 30}
    assert len(pd.DataFrame(near.frame())) == 12
    assert found.neighbours().rows.tolist() == [0, 28, 56, 85, 113, 142, 170, 199]


def test_a_repair_is_measured() -> None:
    """Before is the noise itself, drawn with the seed; after is what the model makes of it; and the mean is less."""
    model, X = fitted("denoiser"), table()
    found = codes(model, X, random_state=4).repair
    assert found is not None
    read = torch.from_numpy(standard(X).astype(np.float32))
    worse = corrupt(read, "gaussian", 0.5, torch.Generator().manual_seed(4))
    np.testing.assert_allclose(found.before, ((worse - read) ** 2).double().mean(0).sqrt().numpy(), rtol=1e-4)
    with torch.no_grad():
        code = model.encoder_(worse)
        restored = model.prepare(X).model.likelihood.mean(model.decoder_(code))
    np.testing.assert_allclose(
        found.after, ((restored - read) ** 2).double().mean(0).sqrt().numpy(), rtol=1e-3
    )
    assert abs(float(np.sqrt(np.mean(found.before**2))) - 0.5) < 0.03
    assert found.after.mean() < found.before.mean()
    assert not np.allclose(found.before, codes(model, X, random_state=5).repair.before, rtol=1e-3)  # type: ignore[union-attr]


def test_images_sequences_and_gaps() -> None:
    """Every form of data is read: images keep their shape, sequences their lengths, missing values are no error."""
    images = regen.datasets.digits()[0][:60]
    model = regen.DenoisingAutoencoder(
        0.3, "mask", code=4, backbone="conv", hidden=(4,), max_epochs=1, random_state=0
    )
    found = codes(model.fit(images), images)
    assert found.data.values.shape == (60, 8, 8)
    assert found.repair is not None and found.repair.shape == (1, 8, 8)
    assert found.repair.examples is not None
    np.testing.assert_allclose(found.repair.examples["true"].values, images[:10], atol=1e-6)
    assert found.traversal().decoded.values.shape == (9, 8, 8)
    hidden = np.isnan(found.repair.examples["spoilt"].values)
    assert 0.2 < hidden.mean() < 0.4, "three of ten pixels are hidden, and drawn as missing"

    steps = [np.sin(np.arange(5 + k % 3) + k)[:, None] for k in range(12)]
    steps[0][1] = np.nan
    recurrent = regen.Autoencoder(2, "gru", hidden=4, max_epochs=1, random_state=0).fit(steps)
    found = codes(recurrent, steps)
    assert found.data.values.shape == (12, 7, 1)
    assert int(np.isnan(found.data.values).sum()) == sum(7 - len(each) for each in steps) + 1
    assert np.isfinite(found.loss) and found.traversal().decoded.values.shape == (9, 7, 1)

    frame = pd.DataFrame({"a": [1.5, None, 3.5, 2.0] * 5, "kind": ["x", "y", "y", "x"] * 5})
    mixed = regen.Autoencoder(1, hidden=(4,), max_epochs=1, random_state=0).fit(frame)
    found = codes(mixed, frame)
    assert found.data.names == ("a", "kind=x", "kind=y")
    assert np.isfinite([found.loss, *found.losses]).all()
    assert found.map().points.shape == (20, 2)


def test_nothing_is_left_behind() -> None:
    """The same result again; torch's random state and the mode of the network are unchanged."""
    model = fitted("denoiser")
    before, modes = torch.random.get_rng_state(), [m.training for m in model.net_.modules()]
    first, second = codes(model, table()), codes(model, table())
    assert torch.equal(before, torch.random.get_rng_state())
    assert modes == [m.training for m in model.net_.modules()]
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(first.repair.after, second.repair.after)  # type: ignore[union-attr]


def test_words() -> None:
    """The sentences state the numbers."""
    model = fitted("vae")
    found = codes(model, table())
    words = str(found)
    assert found.kl is not None
    assert f"{int(found.active.sum())} of the 3 units of the code" in words
    assert f"is {found.kl.sum():.3g} nats, {found.kl.max():.3g} of them of unit {found.kl.argmax()}." in words
    assert f"Unit {found.order[0]} matters most" in words
    repaired = codes(fitted("denoiser"), table())
    assert repaired.repair is not None and repaired.sentences()[-1] == repaired.repair.sentences()[-1]
    assert re.search(
        r"an error of 0\.\d+ standard deviations; restored, of 0\.\d+, \d+ % less\.", str(repaired)
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: codes(regen.Forecaster(), table()),
            "codes inspects an Autoencoder, DenoisingAutoencoder or VariationalAutoencoder. Got Forecaster instead.",
        ),
        (
            lambda: codes(fitted("plain"), table()[:1]),
            "X has 1 row. Give at least two: units are measured by their variance.",
        ),
        (
            lambda: codes(fitted("plain"), table()).traversal(3),
            "The 'unit' parameter of Codes.traversal must be an int in [0, 2]. Got 3 instead.",
        ),
        (
            lambda: codes(fitted("plain"), table()).interpolation(0, 200),
            "There is no row 200. X has 200 rows.",
        ),
        (
            lambda: codes(fitted("plain"), table()).map("code"),
            "by='code' is for a code of 2 units. This one has 3; take by='pca'.",
        ),
        (
            lambda: codes(fitted("plain"), table()).neighbours(n=200),
            "The 'n' parameter of Codes.neighbours must be an int in [1, 199]. Got 200 instead.",
        ),
    ],
)
def test_refusals(call: Any, sentence: str) -> None:
    """What cannot be inspected is refused in one sentence."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        call()


@pytest.mark.skipif(find_spec("umap") is not None, reason="umap-learn is installed")
def test_umap_is_named_when_missing() -> None:
    """A map by UMAP names the package that it needs."""
    with pytest.raises(
        ImportError,
        match=r"^A map by UMAP needs umap, which is not installed\. Run: pip install 'regen\[umap\]'$",
    ):
        codes(fitted("plain"), table()).map("umap")
