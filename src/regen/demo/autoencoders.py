"""Autoencoders: digits compressed, denoised, imputed and sampled; days of electricity demand."""

from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, SimpleImputer

from regen import datasets, figures
from regen.demo.result import Outcome, Row, learned, save_with_report
from regen.estimators import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder
from regen.report import InspectionData, Link, Picture, Section

__all__ = ["demand_days", "denoised_digits", "digit_samples", "digits"]

Images = NDArray[np.float32]

KNOWN = 1437
"""Training digits; the other 360 are for testing."""
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
    "Handwritten digits of 8 x 8 pixels. An autoencoder is a pair of networks trained together: the encoder maps the"
    " 64 pixels to a code of a few numbers; the decoder restores the pixels from the code alone.",
    "Principal component analysis (PCA) is the best linear method; the networks are nonlinear.",
)
REPAIRED = (
    "A denoising autoencoder is trained to restore digits from corrupted inputs, with new corruption in every batch."
    " It learns how pixels depend on each other.",
    "For imputation it is trained on incomplete data: half of every second training digit is missing, and the true"
    " values are never used. Imputation changes only the missing pixels.",
)
SAMPLES = (
    "A variational autoencoder (VAE) also learns a distribution of codes: they follow a standard normal distribution"
    " without holes. The decoder turns a code drawn from it into a new digit.",
    "No labels are used.",
)
DAYS = (
    "Half-hourly electricity demand in England and Wales. An LSTM encodes 48 values, a day that may begin at any half"
    " hour, as two numbers; another LSTM restores the day from them, step by step.",
    "It is trained on eight weeks of the summer of 2000 and tested on the following four. PCA with two components"
    " combines two shapes linearly; the network can also shift a day in time.",
)


def digits(folder: Path, max_epochs: int) -> Outcome:
    """Digits compressed from 64 numbers to 2 and to 8, and restored, compared with PCA."""
    known, new, _ = _digits()
    rows: list[Row] = []
    links: list[Link] = []
    shown = {"input": new[:10]}
    models = {}
    for code in (8, 2):
        model = Autoencoder(code, max_epochs=max_epochs, random_state=0, **SIZE).fit(known)
        links.append(
            save_with_report(model, folder, f"digits-{code}", f"autoencoder to {code}", _test_data(new))
        )
        restored, linear = model.reconstruct(new), _by_pca(known, new, code)
        name, other = f"autoencoder to {code}", f"PCA to {code}"
        rows.append(_row(name, "digits", restored, other, linear, new))
        shown |= {f"{code} numbers": restored[:10], other: linear[:10]}
        models[code] = model
    words = {row.network: row for row in rows}
    caption = (
        "Ten test digits and their reconstructions from 8 and 2 numbers. With 2 numbers the root mean square error of"
        f" a pixel is {words['autoencoder to 2'].error:.0f} % of the range from white to black; with 2 principal"
        f" components {words['autoencoder to 2'].baseline_error:.0f} %."
    )
    content = [
        Picture(figures.image_rows(shown), caption, wide=False),
        Picture(
            figures.learning_curves(models[8].history_, unit="nats per pixel"),
            learned("8 numbers", models[8]),
            wide=False,
        ),
    ]
    return Outcome(rows[::-1], Section("Autoencoder: digits in two numbers", DIGITS, content, links))


def denoised_digits(folder: Path, max_epochs: int) -> Outcome:
    """Noisy and half-erased digits, restored by denoisers; compared with PCA, pixel means and nearest digits."""
    known, new, rng = _digits()
    noisy = np.clip(new + NOISE * rng.standard_normal(new.shape), 0, 1).astype(np.float32)
    training = {"patience": None, "schedule": "cosine"}
    options: dict[str, Any] = {"hidden": 256, "max_epochs": max_epochs, "random_state": 0, **SIZE}
    model = DenoisingAutoencoder(1.0, code=128, training=training, **options).fit(known)
    links = [save_with_report(model, folder, "digits-denoiser", "denoiser", _test_data(new))]
    clean = model.denoise(noisy)
    errors = {code: _error(_by_pca(known, noisy, code), new) for code in (4, 8, 12, 16, 24)}
    best = min(errors, key=errors.__getitem__)
    smooth = _by_pca(known, noisy, best)
    rows = [_row("denoiser", "noisy digits", clean, f"PCA to {best}", smooth, new)]
    shown = {"input": noisy[:10], "denoiser": clean[:10], f"PCA to {best}": smooth[:10], "true": new[:10]}
    caption = (
        f"Digits with noise of {100 * NOISE:.0f} % of the range from white to black, denoised by the network and by"
        f" PCA with the number of components that is best on these digits ({best})."
    )
    content = [Picture(figures.image_rows(shown), caption, wide=False)]
    gaps, broken = _erased(known, rng.integers(0, 8, len(known))), _erased(new, np.arange(len(new)) % 4)
    model = DenoisingAutoencoder(0.0, code=256, training=training, **options).fit(gaps)
    links.append(save_with_report(model, folder, "digits-gaps", "denoiser of gaps", _test_data(broken)))
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
    shown = {"input": broken[:10], "denoiser": filled[:10], "nearest 5": nearest[:10], "true": new[:10]}
    caption = (
        "Digits with a missing half, imputed by the denoiser and by the mean of the five most similar digits, and the"
        " true digits. The errors in the table are those of the missing pixels."
    )
    content.append(Picture(figures.image_rows(shown), caption, wide=False))
    command = f"`regen impute {quote(str(folder / 'digits-gaps'))} DATA -o FOLDER`"
    words = [*REPAIRED, f"Saved: {command}."]
    return Outcome(rows, Section("Denoising autoencoder: noisy and incomplete digits", words, content, links))


def digit_samples(folder: Path, max_epochs: int) -> Outcome:
    """Codes of digits in the plane of a variational autoencoder, and sampled digits."""
    known, new, _ = _digits()
    options: dict[str, Any] = {"likelihood": "bernoulli", "max_epochs": max_epochs, "random_state": 0, **SIZE}
    model = VariationalAutoencoder(CODE, **options).fit(known)
    link = save_with_report(model, folder, "digits-vae", "VAE", _test_data(new))
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
            "The codes of 360 test digits. The background shows the images that the decoder generates from codes at"
            " each position.",
            wide=False,
        ),
        Picture(
            figures.image_rows(model.sample(81, random_state=0, means=True)),
            f"Digits decoded from codes drawn from the prior. The mean KL divergence of a digit's code is"
            f" {terms['kl']:.1f} nats, its mean reconstruction loss {-terms['reconstruction']:.1f} nats.",
            wide=False,
        ),
    ]
    command = f"`regen sample {quote(str(folder / 'digits-vae'))} -n 64 --means -o new.png`"
    return Outcome(
        rows,
        Section(
            "VAE: a map of digits",
            [*SAMPLES, f"Sample more: {command}."],
            content,
            [link],
        ),
    )


def demand_days(folder: Path, max_epochs: int) -> Outcome:
    """A sequence autoencoder on half-hourly demand: a day in two numbers, compared with PCA."""
    demand = datasets.demand("numpy") / 1000
    past, later = demand[: WEEKS * 7 * DAY], demand[WEEKS * 7 * DAY :]
    known, new = (np.lib.stride_tricks.sliding_window_view(y, DAY)[::2, :, None] for y in (past, later))
    options: dict[str, Any] = {"hidden": 32, "learning_rate": 5e-3, "training": {"patience": None}}
    model = Autoencoder(CODE, "lstm", max_epochs=min(max_epochs, 40), random_state=0, **options).fit(known)
    test = InspectionData(new[::4], source="`regen.datasets.demand()`, the four weeks for testing", own=False)
    link = save_with_report(model, folder, "demand-days", "LSTM autoencoder", test)
    restored, linear = model.reconstruct(new), _by_pca(known, new, CODE)
    rows = [Row("LSTM to 2", "demand", _error(restored, new), "PCA to 2", _error(linear, new), " GW")]
    some = [k * 7 * DAY // 4 + 5 * k for k in range(5)]
    lines = {"actual": new, "LSTM, two numbers": restored, "PCA, two numbers": linear}
    first = np.arange(0, len(new), 3)
    hours = first % 24  # a new one begins every hour
    content = [
        Picture(
            figures.restored(
                {name: each[some, :, 0] for name, each in lines.items()},
                unit="demand (GW)",
                steps="half hours",
            ),
            "Five test days, each beginning at another hour.",
        ),
        Picture(
            figures.code_map(model.transform(new[first]), hours),
            "The codes of the days, labelled by the hour at which each begins, not an input of the network:"
            f" days that begin at the same hour have similar codes. {_weekends(model.transform(new[::24]))}",
            wide=False,
        ),
        Picture(
            figures.learning_curves(model.history_, unit="squared standard deviations"),
            learned("LSTM", model),
            wide=False,
        ),
    ]
    return Outcome(rows, Section("Sequence autoencoder: a day of demand", DAYS, content, [link]))


def _weekends(codes: NDArray[Any]) -> str:
    """How well codes (n, 2) of whole days, from a Monday on, separate weekends from working days, as a sentence."""
    weekend = np.arange(len(codes)) % 7 >= 5
    work, rest = (codes[kind].mean(axis=0) for kind in (~weekend, weekend))
    nearer = np.linalg.norm(codes - rest, axis=1) < np.linalg.norm(codes - work, axis=1)
    return (
        f"Of {len(codes)} whole days, {int((nearer == weekend).sum())} are closer to the mean code of their own kind,"
        " working day or weekend, than to that of the other."
    )


def _order() -> NDArray[np.int64]:
    """The order of the digits before the split into training and test digits."""
    return np.random.default_rng(0).permutation(1797)


def _test_data(images: Images) -> InspectionData:
    """The test digits with their labels."""
    labels = datasets.digits()[1][_order()[KNOWN:]]
    return InspectionData(images, labels, source="`regen.datasets.digits()`, the 360 for testing", own=False)


def _digits() -> tuple[Images, Images, np.random.Generator]:
    """Training digits (1437, 8, 8), test digits (360, 8, 8), and a random generator."""
    images = datasets.digits()[0][_order()]
    return images[:KNOWN], images[KNOWN:], np.random.default_rng(1)


def _erased(images: Images, halves: NDArray[np.int64]) -> Images:
    """Images (n, 8, 8), each without one of its four halves; complete where its number is 4 or more."""
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


def _error(predicted: NDArray[Any], true: NDArray[Any]) -> float:
    """Root mean square difference of two arrays (n, ...)."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def _row(
    network: str, data: str, predicted: NDArray[Any], baseline: str, other: NDArray[Any], true: NDArray[Any]
) -> Row:
    """Errors of pixels, in percent of the range from white to black."""
    return Row(network, data, 100 * _error(predicted, true), baseline, 100 * _error(other, true), " %")
