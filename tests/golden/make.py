"""Makes the golden models and what they predict. Run it once for each new format, never to repair a failing test.

``python tests/golden/make.py NAME ...`` makes some of them, without names all. `PREDICTIONS` has one entry for each
file; ``tests/persistence/test_golden.py`` calls the same functions on the loaded models.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas

import regen
from regen import cells
from regen.persistence import FORMAT

HERE = Path(__file__).resolve().parent
TINY: dict[str, Any] = {"hidden": 2, "max_epochs": 20, "learning_rate": 0.05, "random_state": 0}
SHORT: dict[str, Any] = {"max_epochs": 2, "random_state": 0}


def spots() -> pandas.Series:
    """A monthly series with gaps."""
    steps = np.arange(30)
    y = np.where(steps % 9 == 4, np.nan, np.round(10 * np.sin(steps / 2) + 20, 3))
    return pandas.Series(y, pandas.date_range("1990-01-31", periods=30, freq="ME"), name="spots")


def forecaster() -> regen.Forecaster:
    """Dated, with gaps, a cell with options and a training plan."""
    plan = regen.Training(clip=None, max_time="5m", loss="mse", batch_size=4)
    cell = cells.LSTM(peephole="full")
    return regen.Forecaster(cell=cell, window=4, horizon=2, training=plan, **TINY).fit(spots())


def stream_forecaster() -> regen.Forecaster:
    """Two columns under truncated BPTT, whose state is saved."""
    y = np.stack([np.sin(np.arange(60) / 3), np.cos(np.arange(60) / 5)], 1).round(3)
    return regen.Forecaster(cell="gru", window=6, horizon=2, bptt=3, **TINY | {"max_epochs": 3}).fit(y)


def sequences() -> list[np.ndarray]:
    """Twelve sequences of four lengths, fast and slow by turns."""
    return [np.round(np.sin(np.arange(5 + k % 4) / (1 + k % 2)), 3) for k in range(12)]


def classifier() -> regen.SequenceClassifier:
    """Labels that are text, sequences of different lengths."""
    labels = np.array(["fast", "slow"])[np.arange(12) % 2]
    return regen.SequenceClassifier(**TINY).fit(sequences(), labels)


def regressor() -> regen.SequenceRegressor:
    """Two targets of sequences of different lengths."""
    y = np.array([[len(x), x[-1]] for x in sequences()])
    return regen.SequenceRegressor(cell="elman", **TINY).fit(sequences(), y)


def table() -> pandas.DataFrame:
    """Every kind of column, with gaps."""
    k = np.arange(40)
    columns = {
        "amount": np.where(k % 7 == 3, np.nan, np.round(np.exp(np.sin(k)) * 10, 2)),
        "count": k % 5,
        "member": k % 3 == 0,
        "city": np.array(["Faro", "Porto", "Beja"], dtype=object)[k % 3],
    }
    return pandas.DataFrame(columns)


def images() -> np.ndarray:
    """Forty bytes images of 6 x 5 with a bright bar each."""
    found = np.zeros((40, 6, 5), np.uint8)
    for k in range(40):
        found[k, k % 6] = 200
        found[k, :, k % 5] = 90 + k
    return found


def autoencoder() -> regen.Autoencoder:
    """A mixed table."""
    return regen.Autoencoder(code=2, hidden=(5,), **SHORT).fit(table())


def denoiser() -> regen.DenoisingAutoencoder:
    """Numbers with gaps."""
    X = np.where(
        np.arange(120).reshape(40, 3) % 11 == 5, np.nan, np.sin(np.arange(120).reshape(40, 3) / 4).round(3)
    )
    return regen.DenoisingAutoencoder(code=2, hidden=(5,), corruption="mask", **SHORT).fit(X)


def image_denoiser() -> regen.DenoisingAutoencoder:
    """Convolutions on images."""
    return regen.DenoisingAutoencoder(code=2, hidden=(4,), **SHORT).fit(images())


def vae() -> regen.VariationalAutoencoder:
    """Sequences of different lengths, with a recurrent backbone."""
    return regen.VariationalAutoencoder(code=2, hidden=(4,), backbone="lstm", **SHORT).fit(sequences() * 2)


def gan() -> regen.GAN:
    """A mixed table with labels."""
    rows = table().fillna(1.0)
    labels = np.array(["a", "b"])[np.arange(40) % 2]
    return regen.GAN(code=2, hidden=(6,), **SHORT | {"max_epochs": 1}).fit(rows, labels)


def dcgan() -> regen.DCGAN:
    """Images of an odd size."""
    return regen.DCGAN(code=3, channels=2, **SHORT | {"max_epochs": 1}).fit(images())


def _forecasts(model: Any) -> dict[str, Any]:
    found = model.predict(4, level=80)
    dates = [str(date.date()) for date in found.index]
    high = next(k for k, name in enumerate(found) if str(name).endswith("-hi-80"))
    return {"forecast": found.iloc[:, 0].tolist(), "high": found.iloc[:, high].tolist(), "dates": dates}


def _images_of(model: Any) -> dict[str, Any]:
    X = images()[:3]
    return {"restored": np.asarray(model.denoise(X)).tolist(), "scores": model.score_samples(X).tolist()}


def _game_of(model: Any, X: Any, y: Any) -> dict[str, Any]:
    codes = np.linspace(-1, 1, 2 * model.code).reshape(2, model.code)
    label = None if y is None else y[:2]
    made = model.inverse_transform(codes, label=label)
    made = made.to_dict("list") if isinstance(made, pandas.DataFrame) else made.tolist()
    return {"scores": model.score_samples(X, y).tolist(), "made": made}


def _table_of(model: Any) -> dict[str, Any]:
    restored = model.reconstruct(table()[:5]).to_dict("list")
    return {"codes": model.transform(table()[:5]).tolist(), "restored": restored}


PREDICTIONS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]] = {
    "forecaster": (forecaster, _forecasts),
    "stream_forecaster": (stream_forecaster, lambda model: {"forecast": model.predict(4).tolist()}),
    "classifier": (
        classifier,
        lambda model: {"probabilities": model.predict_proba(sequences()[:3]).tolist()},
    ),
    "regressor": (regressor, lambda model: {"predicted": model.predict(sequences()[:3]).tolist()}),
    "autoencoder": (autoencoder, _table_of),
    "denoiser": (denoiser, lambda model: {"imputed": model.impute([[np.nan, 0.5, -0.5]]).tolist()}),
    "image_denoiser": (image_denoiser, _images_of),
    "vae": (
        vae,
        lambda model: {
            "codes": model.transform(sequences()[:3]).tolist(),
            "bound": model.score_samples(sequences()[:3]).tolist(),
        },
    ),
    "gan": (gan, lambda model: _game_of(model, table().fillna(1.0)[:4], np.array(["a", "b", "a", "b"]))),
    "dcgan": (dcgan, lambda model: _game_of(model, images()[:3], None)),
}
"""What makes each golden model, and what is compared of it after loading."""


if __name__ == "__main__":
    predictions = HERE / f"predictions-format-{FORMAT}.json"
    known = json.loads(predictions.read_text()) if predictions.exists() else {}
    for name in sys.argv[1:] or PREDICTIONS:
        make, predict = PREDICTIONS[name]
        model = make()
        regen.save(model, HERE / f"{name}-format-{FORMAT}.safetensors")
        known[name] = predict(model)
    predictions.write_text(json.dumps(known, indent=1) + "\n")
