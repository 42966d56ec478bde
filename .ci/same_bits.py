"""Usage: python .ci/same_bits.py BEFORE.json        the bits of a fixed list of fits, recorded or compared

Trains one estimator of every kind and hashes its weights, history and predictions. Where the file exists, it compares
and names what differs; else it writes it. Bits are those of one machine and one torch: record BEFORE.json with the
older checkout on this machine (``PYTHONPATH=OLD/src``), then run it again with the newer one.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas

import regen

EPOCHS: dict[str, Any] = {"max_epochs": 3, "random_state": 7}


def digest(values: Any) -> str:
    """A short hash of nested arrays, tables, tensors and text."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Mapping):
            for key in sorted(value):
                found.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        elif isinstance(value, pandas.DataFrame | pandas.Series):
            found.update(value.to_csv(float_format="%.17g").encode())
        elif isinstance(value, str) or value is None:
            found.update(repr(value).encode())
        else:
            array = np.asarray(value)
            found.update(str((array.dtype, array.shape)).encode() + np.ascontiguousarray(array).tobytes())

    add(values)
    return found.hexdigest()[:16]


def fitted(model: Any) -> dict[str, Any]:
    """Weights and history without times."""
    history = pandas.DataFrame(model.epochs_)
    history = history[[name for name in history if "seconds" not in name and "time" not in name]]
    weights = {name: tensor.numpy() for name, tensor in model.net_.state_dict().items()}
    return {"weights": weights, "history": history}


def series(cell: str, **options: Any) -> dict[str, str]:
    """A forecaster on a dated series with gaps."""
    y = regen.datasets.sunspots()[:160].copy()
    y[40:44] = np.nan
    model = regen.Forecaster(cell=cell, window=12, horizon=4, hidden=8, **options, **EPOCHS).fit(y)
    scores = model.backtest(regen.datasets.sunspots()[:200], start=160, level=80).forecasts
    step = model.stream().step(50.0)
    found = fitted(model) | {
        "p": model.predict(7, level=80),
        "l": model.loss_per_step_,
        "b": scores,
        "s": step,
    }
    return {name: digest(value) for name, value in found.items()}


def sequences(kind: str) -> dict[str, str]:
    """Sequences of different lengths with gaps."""
    X, labels, X_new, _ = regen.datasets.exercises()
    X, labels, X_new = X[:60], labels[:60], X_new[:10]
    if kind == "classifier":
        model: Any = regen.SequenceClassifier(cell="gru", hidden=8, **EPOCHS).fit(X, labels)
        found = fitted(model) | {"p": model.predict_proba(X_new)}
    else:
        model = regen.SequenceRegressor(hidden=8, dropout=0.2, **EPOCHS).fit(X, [len(x) for x in X])
        found = fitted(model) | {"p": model.predict(X_new)}
    return {name: digest(value) for name, value in found.items()}


def table() -> pandas.DataFrame:
    """Every kind of column, with gaps."""
    generator = np.random.default_rng(3)
    n = 200
    columns = {
        "real": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
        "count": generator.poisson(3, n),
        "flag": generator.random(n) < 0.3,
        "city": generator.choice(np.array(["a", "b", "c"], dtype=object), n),
        "price": generator.lognormal(size=n),
    }
    return pandas.DataFrame(columns)


def codes(model: Any, X: Any, *names: str) -> dict[str, str]:
    """An autoencoder of any kind of data."""
    model.fit(X)
    Z = model.transform(X)
    found = fitted(model) | {
        "z": Z,
        "r": model.reconstruct(X),
        "i": model.inverse_transform(Z[:5]),
        "s": model.score_samples(X),
    }
    calls: dict[str, Callable[[], Any]] = {
        "impute": lambda: model.impute(X, random_state=1),
        "draws": lambda: model.impute(X, n_draws=2, random_state=1),
        "sample": lambda: model.sample(5, random_state=1),
        "likelihood": lambda: model.log_likelihood(X, samples=50, random_state=1),
        "terms": lambda: dict(model.elbo_terms_),
    }
    return {name: digest(value) for name, value in (found | {name: calls[name]() for name in names}).items()}


def game(model: Any, X: Any, y: Any = None) -> dict[str, str]:
    """A GAN of any kind of data."""
    model.fit(X, y)
    found = fitted(model) | {
        "sample": model.sample(5, random_state=1),
        "scores": model.score_samples(X, y),
        "quality": {name: value for name, value in model.quality_.items() if value is not None},
        "invert": model.invert(X[:3], None if y is None else y[:3], steps=5, random_state=1),
        "between": model.interpolate(steps=4, random_state=1),
    }
    return {name: digest(value) for name, value in found.items()}


def fits() -> dict[str, Callable[[], dict[str, str]]]:
    """The fixed list."""
    digits, labels = regen.datasets.digits()
    digits, labels = digits[:240], labels[:240]
    X = regen.datasets.exercises()[0][:40]
    turns = regen.Game(turns="scores", penalty="gradient", pack=2)
    return {
        **{
            f"forecaster {cell}": lambda cell=cell: series(cell)
            for cell in ("elman", "diagonal", "jordan", "gru", "lstm")
        },
        "forecaster bptt": lambda: series("lstm", bptt=4),
        "forecaster recursive": lambda: series("gru", decoding="recursive", dropout=0.1, layers=2),
        "forecaster reference": lambda: series("lstm", training={"backend": "reference", "loss": "huber"}),
        "classifier": lambda: sequences("classifier"),
        "regressor": lambda: sequences("regressor"),
        "autoencoder table": lambda: codes(regen.Autoencoder(code=2, **EPOCHS), table()),
        "autoencoder tied": lambda: codes(
            regen.Autoencoder(code=4, tied=True, penalty={"l1": 0.1}, **EPOCHS), digits.reshape(-1, 64)
        ),
        "autoencoder images": lambda: codes(regen.Autoencoder(code=4, backbone="conv", **EPOCHS), digits),
        "autoencoder sequences": lambda: codes(regen.Autoencoder(code=4, backbone="lstm", **EPOCHS), X),
        "denoiser table": lambda: codes(
            regen.DenoisingAutoencoder(corruption="mask", code=2, **EPOCHS), table(), "impute", "draws"
        ),
        "denoiser images": lambda: codes(
            regen.DenoisingAutoencoder(code=4, backbone="conv", **EPOCHS), digits
        ),
        "vae table": lambda: codes(
            regen.VariationalAutoencoder(code=2, **EPOCHS), table(), "sample", "likelihood", "impute", "terms"
        ),
        "vae sequences": lambda: codes(
            regen.VariationalAutoencoder(code=2, backbone="gru", **EPOCHS), X, "sample"
        ),
        "gan table": lambda: game(regen.GAN(hidden=(16, 16), **EPOCHS), table().dropna()),
        "gan labels": lambda: game(
            regen.GAN(hidden=(16, 16), game=turns, **EPOCHS),
            table().dropna(),
            table().dropna()["city"].to_numpy(),
        ),
        "gan sequences": lambda: game(
            regen.GAN(backbone="gru", hidden=(8,), **EPOCHS | {"max_epochs": 1}), [x[:20] for x in X]
        ),
        "dcgan": lambda: game(regen.DCGAN(channels=4, **EPOCHS | {"max_epochs": 1}), digits, labels),
    }


def main(path: Path) -> int:
    """Record or compare; 1 where bits differ."""
    found = {}
    for name, fit in fits().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[name] = fit()
        print(name, *found[name].values(), flush=True)
    if not path.exists():
        path.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    before = json.loads(path.read_text())
    differing = [
        f"{name}: {key}"
        for name in found
        for key in found[name]
        if found[name][key] != before.get(name, {}).get(key)
    ]
    print(
        "\n".join(differing)
        or f"{len(found)} fits, {sum(map(len, found.values()))} results: the same bits as before."
    )
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
