"""A linear autoencoder with squared error finds the space of the first principal components (Baldi & Hornik 1989)."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA

import regen

BEYOND = 1.01
"""Error allowed, as a multiple of that of PCA. Measured: 1.0005 to 1.002, tied or not."""
DEGREES = 2.0
"""Largest angle allowed between the two spaces. Measured: 0.2 to 0.4."""


class Fitted(NamedTuple):
    """Standardised rows (n, F), the same restored, PCA of them, and the decoder's columns (F, Z)."""

    rows: NDArray[np.float64]
    restored: NDArray[np.float64]
    pca: PCA
    columns: NDArray[np.float64]

    def ratio(self, components: int | None = None) -> float:
        """Error of `restored` over that of PCA, optionally with fewer components."""
        kept = self.pca.components_[:components]
        projected = self.pca.mean_ + (self.rows - self.pca.mean_) @ kept.T @ kept
        ours, theirs = ((what - self.rows) ** 2 for what in (self.restored, projected))
        return float(ours.sum() / theirs.sum())


def fitted(X: NDArray[np.float64], code: int, epochs: int, tied: bool = False) -> Fitted:
    """A linear autoencoder of X (n, F) with `code` units, and PCA."""
    plan = {"validation": 0.0, "batch_size": 64, "schedule": "onecycle"}
    model = regen.Autoencoder(
        code=code,
        hidden=(),
        output="real",
        tied=tied,
        max_epochs=epochs,
        learning_rate=1e-2,
        random_state=0,
        training=plan,
    ).fit(X, bounds=None)
    mean, deviation = X.mean(0), np.where(X.std(0) == 0, 1, X.std(0))
    rows = (X - mean) / deviation
    restored = (model.reconstruct(X) - mean) / deviation
    weight = model.net_.encoder.layers[0].weight.T if tied else model.net_.decoder.layers[0].weight
    return Fitted(rows, restored, PCA(code).fit(rows), weight.detach().double().numpy())


def angle(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest principal angle between the spaces of the columns of a (F, Z) and b (F, Z), in degrees."""
    cosines = np.linalg.svd(np.linalg.qr(a)[0].T @ np.linalg.qr(b)[0], compute_uv=False)
    return float(np.degrees(np.arccos(cosines.min().clip(-1, 1))))


@pytest.mark.parametrize("tied", [False, True])
def test_it_finds_the_principal_components(tied: bool) -> None:
    """As good as PCA within 1 %, never better, and in the same space; one component less or another is noticed."""
    found = fitted(load_breast_cancer().data, code=5, epochs=100, tied=tied)
    assert 1 - 1e-6 < found.ratio() < BEYOND
    assert angle(found.columns, found.pca.components_.T) < DEGREES
    assert 1 / found.ratio(components=4) > BEYOND, "PCA with one component less must fall out of the bound"
    others = PCA(6).fit(found.rows).components_[1:].T
    assert angle(found.columns, others) > 45, "components 2 to 6 must fall out of the bound"


def test_it_restores_digits_as_pca_does() -> None:
    """64 pixels, 3 of them constant, to 8 numbers: PCA's error within 1 %; an untrained net's is far off."""
    X = load_digits().data
    assert 1 - 1e-6 < fitted(X, code=8, epochs=50).ratio() < BEYOND
    assert fitted(X, code=8, epochs=1).ratio() > 1.2
