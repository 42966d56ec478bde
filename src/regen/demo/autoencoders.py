"""Networks that compress and restore: digits to a few numbers and back, repaired and invented; days of demand."""

from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, SimpleImputer

from regen import datasets, figures
from regen.demo.result import Outcome, Row, kept, learned
from regen.estimators import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder
from regen.report import Given, Link, Picture, Section

__all__ = ["days", "digits", "drawn", "repaired"]

Images = NDArray[np.float32]

KNOWN = 1437
"""Digits to learn from; the other 360 are for testing."""
SIZE: dict[str, Any] = {"image_shape": (8, 8), "backbone": "mlp"}
NOISE = 0.4
HALVES = (
    (slice(0, 4), slice(None)),
    (slice(4, 8), slice(None)),
    (slice(None), slice(0, 4)),
    (slice(None), slice(4, 8)),
)
DAY, WEEKS, CODE = 48, 8, 2

DIGITS = (
    "Handwritten digits of 8 x 8 pixels. An autoencoder is two networks trained together: one reads the 64 pixels and"
    " says a few numbers, the code; the other reads only the code and restores the pixels. What the code cannot hold"
    " is lost, so it comes to hold what matters.",
    "Principal components (PCA) do the same with straight lines and planes, and are the best that can be done so. The"
    " networks may bend them.",
)
REPAIRED = (
    "A denoising autoencoder is shown digits that were spoilt on purpose, anew each time, and must restore them as"
    " they were. What it learns is which pixels go with which.",
    "For the half-erased digits it learned from data with gaps: every second digit that it learned from had lost a"
    " half itself, and nobody has told it what was there. Filling in changes the missing pixels alone.",
)
DRAWN = (
    "A variational autoencoder (VAE) learns which codes are usual, too: its codes are scattered around zero like a"
    " bell, without holes. So a code drawn from the bell stands for a digit that nobody wrote.",
    "It was never told which digit is which.",
)
DAYS = (
    "Electricity demand in England and Wales, a value every half hour. An LSTM reads 48 of them, a day that may begin"
    " at any half hour, and keeps two numbers; another LSTM restores the day from these two, step by step.",
    "It learned from eight weeks of the summer of 2000 and is tested on the four weeks that came after. PCA with two"
    " numbers can move along two shapes of a day; the network can turn the clock.",
)


def digits(folder: Path, max_epochs: int) -> Outcome:
    """Digits compressed from 64 numbers to 2 and to 8, and restored, beside PCA."""
    known, new, _ = _digits()
    rows: list[Row] = []
    links: list[Link] = []
    shown = {"given": new[:10]}
    models = {}
    for code in (8, 2):
        model = Autoencoder(code, max_epochs=max_epochs, random_state=0, **SIZE).fit(known)
        links.append(kept(model, folder, f"digits-{code}", f"autoencoder to {code}", _given(new)))
        restored, linear = model.reconstruct(new), _by_pca(known, new, code)
        name, other = f"autoencoder to {code}", f"PCA to {code}"
        rows.append(_row(name, "digits", restored, other, linear, new))
        shown |= {f"{code} numbers": restored[:10], other: linear[:10]}
        models[code] = model
    words = {row.network: row for row in rows}
    caption = (
        "Ten digits that the networks have never seen; below them what 8 and 2 numbers keep of each. With 2 numbers"
        f" the pixels are off by {words['autoencoder to 2'].error:.0f} % of the way from white to black, as a root"
        f" mean square; with 2 principal components by {words['autoencoder to 2'].baseline_error:.0f} %."
    )
    content = [
        Picture(figures.image_rows(shown), caption, wide=False),
        Picture(
            figures.learning_curves(models[8].history_, unit="nats per pixel"),
            learned("8 numbers", models[8]),
            wide=False,
        ),
    ]
    return Outcome(rows[::-1], Section("Compressing: digits in two numbers", DIGITS, content, links))


def repaired(folder: Path, max_epochs: int) -> Outcome:
    """Noisy and half-erased digits, restored by denoisers; beside PCA, the mean and the nearest digits."""
    known, new, chance = _digits()
    noisy = np.clip(new + NOISE * chance.standard_normal(new.shape), 0, 1).astype(np.float32)
    plan = {"patience": None, "schedule": "cosine"}
    options: dict[str, Any] = {"hidden": 256, "max_epochs": max_epochs, "random_state": 0, **SIZE}
    model = DenoisingAutoencoder(1.0, code=128, training=plan, **options).fit(known)
    links = [kept(model, folder, "digits-denoiser", "denoiser", _given(new))]
    clean = model.denoise(noisy)
    errors = {code: _error(_by_pca(known, noisy, code), new) for code in (4, 8, 12, 16, 24)}
    best = min(errors, key=errors.__getitem__)
    smooth = _by_pca(known, noisy, best)
    rows = [_row("denoiser", "noisy digits", clean, f"PCA to {best}", smooth, new)]
    shown = {"given": noisy[:10], "denoiser": clean[:10], f"PCA to {best}": smooth[:10], "true": new[:10]}
    caption = (
        f"Noise of {100 * NOISE:.0f} % of the way from white to black, taken off by the denoiser, and by PCA, with as"
        f" many components as are best on these very digits ({best})."
    )
    content = [Picture(figures.image_rows(shown), caption, wide=False)]
    gaps, broken = _erased(known, chance.integers(0, 8, len(known))), _erased(new, np.arange(len(new)) % 4)
    model = DenoisingAutoencoder(0.0, code=256, training=plan, **options).fit(gaps)
    links.append(kept(model, folder, "digits-gaps", "denoiser of gaps", _given(broken)))
    filled, flat = model.impute(broken), (gaps.reshape(-1, 64), broken.reshape(-1, 64))
    others = {
        "mean of the pixel": SimpleImputer().fit(flat[0]).transform(flat[1]),
        "nearest 5 digits": KNNImputer(n_neighbors=5).fit(flat[0]).transform(flat[1]),
    }
    missing = np.isnan(broken)
    for name, other in others.items():
        pixels = (filled[missing], other.reshape(broken.shape)[missing], new[missing])
        rows.append(_row("denoiser", "half a digit", pixels[0], name, pixels[1], pixels[2]))
    nearest = others["nearest 5 digits"].reshape(broken.shape)
    shown = {"given": broken[:10], "denoiser": filled[:10], "nearest 5": nearest[:10], "true": new[:10]}
    caption = (
        "Digits that lost a half, filled in by the denoiser and by the mean of the five most similar digits; below"
        " them the truth, which neither has seen. The errors in the table are those of the missing pixels."
    )
    content.append(Picture(figures.image_rows(shown), caption, wide=False))
    command = f"`regen impute {quote(str(folder / 'digits-gaps'))} DATA -o FOLDER`"
    words = [*REPAIRED, f"Saved: {command}."]
    return Outcome(rows, Section("Repairing: noisy and half-erased digits", words, content, links))


def drawn(folder: Path, max_epochs: int) -> Outcome:
    """A variational autoencoder's map of the digits, and digits that nobody wrote."""
    known, new, _ = _digits()
    options: dict[str, Any] = {"likelihood": "bernoulli", "max_epochs": max_epochs, "random_state": 0, **SIZE}
    model = VariationalAutoencoder(CODE, **options).fit(known)
    link = kept(model, folder, "digits-vae", "VAE", _given(new))
    rows = [_row("VAE to 2", "digits", model.reconstruct(new), "PCA to 2", _by_pca(known, new, CODE), new)]
    codes, labels = model.transform(new), datasets.digits()[1][_order()[KNOWN:]]
    right, top = 1.1 * np.abs(codes).max(axis=0)
    x, y = np.linspace(-right, right, 11), np.linspace(top, -top, 11)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, CODE)
    decoded = model.inverse_transform(grid).reshape(len(y), len(x), 8, 8)
    extent = (float(x[0]), float(x[-1]), float(y[-1]), float(y[0]))
    terms = model.elbo_terms_
    content = [
        Picture(
            figures.code_map(codes, labels, decoded=decoded, extent=extent),
            "Each digit at its code of two numbers: 360 that the network has never seen. Behind them, what codes at"
            " each place stand for.",
            wide=False,
        ),
        Picture(
            figures.image_rows(model.sample(81, random_state=0, means=True)),
            f"Digits drawn from the bell. On average a digit costs {terms['kl']:.1f} nats to say its code and"
            f" {-terms['reconstruction']:.1f} to say its pixels once the code is known.",
            wide=False,
        ),
    ]
    command = f"`regen sample {quote(str(folder / 'digits-vae'))} -n 64 --means -o new.png`"
    return Outcome(
        rows, Section("Inventing: a map of digits", [*DRAWN, f"More of them: {command}."], content, [link])
    )


def days(folder: Path, max_epochs: int) -> Outcome:
    """A sequence autoencoder on half-hourly demand: a day in two numbers, beside PCA."""
    demand = datasets.demand("numpy") / 1000
    past, later = demand[: WEEKS * 7 * DAY], demand[WEEKS * 7 * DAY :]
    known, new = (np.lib.stride_tricks.sliding_window_view(y, DAY)[::2, :, None] for y in (past, later))
    options: dict[str, Any] = {"hidden": 32, "learning_rate": 5e-3, "training": {"patience": None}}
    model = Autoencoder(CODE, "lstm", max_epochs=min(max_epochs, 40), random_state=0, **options).fit(known)
    days_after = "`regen.datasets.demand()`, the four weeks for testing"
    link = kept(
        model, folder, "demand-days", "LSTM autoencoder", Given(new[::4], source=days_after, own=False)
    )
    restored, linear = model.reconstruct(new), _by_pca(known, new, CODE)
    rows = [Row("LSTM to 2", "demand", _error(restored, new), "PCA to 2", _error(linear, new), " GW")]
    some = [k * 7 * DAY // 4 + 5 * k for k in range(5)]
    lines = {"what came": new, "LSTM, two numbers": restored, "PCA, two numbers": linear}
    first = np.arange(0, len(new), 3)
    hours = first % 24  # a new one begins every hour
    content = [
        Picture(
            figures.restored(
                {name: each[some, :, 0] for name, each in lines.items()},
                unit="demand (GW)",
                steps="half hours",
            ),
            "Five stretches of a day, each begun at another hour, that neither has learned from.",
        ),
        Picture(
            figures.code_map(model.transform(new[first]), hours),
            "The two numbers of each stretch, drawn as the hour at which it begins. Nobody told the network the hour;"
            f" stretches that begin at the same one lie together. {_weekends(model.transform(new[::24]))}",
            wide=False,
        ),
        Picture(
            figures.learning_curves(model.history_, unit="squared standard deviations"),
            learned("LSTM", model),
            wide=False,
        ),
    ]
    return Outcome(rows, Section("Compressing sequences: a day of demand", DAYS, content, [link]))


def _weekends(codes: NDArray[Any]) -> str:
    """Whether codes (n, 2) of whole days from a Monday on tell weekends from working days, in words."""
    weekend = np.arange(len(codes)) % 7 >= 5
    work, rest = (codes[kind].mean(axis=0) for kind in (~weekend, weekend))
    nearer = np.linalg.norm(codes - rest, axis=1) < np.linalg.norm(codes - work, axis=1)
    return (
        f"Of {len(codes)} whole days, {int((nearer == weekend).sum())} lie nearer to the middle of their own kind,"
        " working day or weekend, than to that of the other."
    )


def _order() -> NDArray[np.int64]:
    """The digits in the order in which they are divided into known and new ones."""
    return np.random.default_rng(0).permutation(1797)


def _given(images: Images) -> Given:
    """The digits for testing, with what they are."""
    labels = datasets.digits()[1][_order()[KNOWN:]]
    return Given(images, labels, source="`regen.datasets.digits()`, the 360 for testing", own=False)


def _digits() -> tuple[Images, Images, np.random.Generator]:
    """Digits (1437, 8, 8) to learn from, (360, 8, 8) to test on, and what draws all that is random."""
    images = datasets.digits()[0][_order()]
    return images[:KNOWN], images[KNOWN:], np.random.default_rng(1)


def _erased(images: Images, halves: NDArray[np.int64]) -> Images:
    """Images (n, 8, 8), each without one of its four halves; without none where its number is 4 or more."""
    broken = images.copy()
    for image, half in zip(broken, halves, strict=True):
        if half < len(HALVES):
            image[HALVES[half]] = np.nan
    return broken


def _by_pca(known: NDArray[Any], X: NDArray[Any], code: int) -> NDArray[Any]:
    """X (n, ...) compressed to principal components of `known` (N, ...), and restored."""
    pca = PCA(code).fit(known.reshape(len(known), -1))
    restored: NDArray[Any] = pca.inverse_transform(pca.transform(X.reshape(len(X), -1)))
    return restored.reshape(X.shape)


def _error(said: NDArray[Any], true: NDArray[Any]) -> float:
    """Root mean square distance of two arrays (n, ...)."""
    return float(np.sqrt(np.mean((said - true) ** 2)))


def _row(
    network: str, data: str, said: NDArray[Any], baseline: str, other: NDArray[Any], true: NDArray[Any]
) -> Row:
    """Errors of pixels, in percent of the way from white to black."""
    return Row(network, data, 100 * _error(said, true), baseline, 100 * _error(other, true), " %")
