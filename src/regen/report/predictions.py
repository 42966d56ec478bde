"""What a model says: forecasts, classes and numbers, held against what is true; and what it remembers to say so."""

from typing import Any

import numpy as np

from regen import figures, inspection
from regen.estimators import Forecaster, SequenceClassifier, SequenceRegressor
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.figures.style import columns_of
from regen.report.card import shown_value
from regen.report.data import Given, last
from regen.report.page import Picture, Section, Table

__all__ = ["predicts", "remembers"]

LEVELS = (80, 95)
GATE = {"forget": "The forget gate", "update": "The update gate", "state": "The state"}
WINDOWS, ROWS = 20, 256
"""Windows of a series, and sequences, that are looked at inside a network."""
SCORES = {
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "smape": "symmetric percentage error (%)",
    "mase": "error, in errors of the naive forecast at fit",
    "naive_mae": "mean absolute error of the naive forecast",
    "skill": "share of the naive error that is saved",
}
SEEN = "the weights were fitted to most of these data, so expect larger errors on new ones"


def predicts(model: Any, given: Given | None) -> Section | None:
    """What the model says of the data, and of what follows them."""
    if isinstance(model, Forecaster):
        return _forecasts(model, given)
    if given is None or not isinstance(model, SequenceClassifier | SequenceRegressor):
        return None
    return _classes(model, given) if isinstance(model, SequenceClassifier) else _numbers(model, given)


def _forecasts(model: Forecaster, given: Given | None) -> Section:
    ahead, H = model.predict(level=LEVELS), model.horizon
    name = str(model.layout_["names"][0])
    words = f"What it says of the {H} steps after the data that it has read."
    if given is None:
        columns = columns_of(ahead)
        rows = [
            [str(k + 1), *map(shown_value, row)] for k, row in enumerate(zip(*columns.values(), strict=True))
        ]
        return Section("What it predicts", words, [Table(["step", *columns], rows)])
    found = model.backtest(given.X, start=0.8, level=LEVELS)
    content: list[Picture | Table] = [
        Picture(
            figures.forecast(given.X, found.forecasts, time=given.time, column=name),
            f"{found.n_origins} forecasts along the last fifth of the series. Each begins at a dot and knows nothing"
            f" of what lies right of it; {_honest(model, given)}.",
        ),
        _scores(found),
    ]
    if given.own:
        drawn = figures.forecast(given.X, ahead, time=given.time, column=name)
        content.append(Picture(drawn, words, wide=False))
    return Section("What it predicts", [_better(found)], content)


def _honest(model: Any, given: Given) -> str:
    """Whether the model had seen what it is held against."""
    if given.seen:
        return given.seen
    if not given.own:
        return "it was not trained on these data, as far as is known"
    if "validation.loss" in columns_of(model.history_):
        return "the weights were not fitted to this part, but chosen by it"
    return SEEN


def _better(found: Any) -> str:
    own, naive = found.scores["mae"], found.scores["naive_mae"]
    share = 100 * (own / naive - 1) if naive else 0.0
    change = f"{abs(share):.0f} % {'less' if share < 0 else 'more'} than"
    return (
        f"Its forecasts are off by {own:.4g} on average, {change} repeating the season before ({naive:.4g})."
    )


def _scores(found: Any) -> Table:
    return Table(["score", "value"], [[_score(name), f"{value:.4g}"] for name, value in found.scores.items()])


def _score(name: str) -> str:
    """A score in words."""
    if name.startswith("coverage_"):
        return f"held by the {name.removeprefix('coverage_')} % interval (%)"
    return SCORES.get(name, name)


def _classes(model: SequenceClassifier, given: Given) -> Section:
    told = model.predict(given.X)
    if given.y is None:
        names, counts = np.unique(told, return_counts=True)
        rows = [[name, count] for name, count in zip(names.tolist(), counts.tolist(), strict=True)]
        return Section(
            "What it predicts",
            "The data have no labels to hold the answers against.",
            [Table(["class", "sequences told so"], rows)],
        )
    true = np.asarray(given.y)
    right = float(np.mean(told == true))
    _, counts = np.unique(true, return_counts=True)
    text = (
        f"{100 * right:.0f} % of {len(true)} sequences are told rightly; always saying the commonest class would be"
        f" right on {100 * counts.max() / len(true):.0f} %."
    )
    return Section(
        "What it predicts", [text, _caution(given)], [Picture(figures.confusion(true, told), wide=False)]
    )


def _numbers(model: SequenceRegressor, given: Given) -> Section:
    said = np.asarray(model.predict(given.X), dtype=np.float64)
    if given.y is None or said.ndim > 1:
        text = f"It tells numbers from {said.min():.4g} to {said.max():.4g}; there is nothing to hold them against."
        return Section("What it predicts", text)
    true = np.asarray(given.y, dtype=np.float64)
    error, plain = float(np.abs(said - true).mean()), float(np.abs(true - np.median(true)).mean())
    text = f"Its answers are off by {error:.4g} on average; always saying the median would be off by {plain:.4g}."
    return Section(
        "What it predicts",
        [text, _caution(given)],
        [Picture(figures.predicted_vs_actual(true, said), wide=False)],
    )


def _caution(given: Given) -> str:
    """What to bear in mind about the data that the answers are held against."""
    words = given.seen or (SEEN if given.own else "")
    return f"Mind that {words}." if words else ""


def remembers(model: Any, given: Given | None) -> Section | None:
    """How a recurrent network reads: its gates, how long it holds, how far gradients and inputs reach."""
    if given is None or not _recurrent(model):
        return None
    X, y = _part(model, given)
    gates = inspection.gates(model, X)
    text = gates.sentences(3)
    content = _inside(gates)
    flow = inspection.gradient_flow(model, X, y)
    content.append(Picture(flow.plot(), " ".join(flow.sentences()[:2]), wide=False))
    if y is not None or not isinstance(model, SequenceClassifier | SequenceRegressor):
        cost = inspection.loss_per_copy(model, X, y)
        content.append(Picture(cost.plot(), " ".join(cost.sentences()), wide=False))
        gated = "input" in gates.values or "update" in gates.values
        lost = inspection.ablate(model, X, y, of="gates" if gated else "units")
        content.append(Picture(lost.plot(), " ".join(lost.sentences(2)), wide=False))
    rested = inspection.saliency(model, X, rows=ROWS // 4)
    content.append(Picture(rested.plot(), " ".join(rested.sentences()[:2]), wide=False))
    return Section("What it remembers", text, content)


def _recurrent(model: Any) -> bool:
    """Whether there is a recurrent net inside."""
    if isinstance(model, Forecaster | SequenceClassifier | SequenceRegressor):
        return True
    return isinstance(model, AutoencodingEstimator) and model.form_["kind"] == "sequences"


def _part(model: Any, given: Given) -> tuple[Any, Any]:
    """The end of a series, or some sequences with their labels: enough to see."""
    if isinstance(model, Forecaster):
        return last(given.X, WINDOWS * (model.window_ + model.horizon)), None
    some = given.some(ROWS)
    return some.X, None if isinstance(model, AutoencodingEstimator) else some.y


def _inside(gates: inspection.Gates) -> list[Picture | Table]:
    """The unit that moves most, all units' most telling gate, and their half-lives where they have some."""
    table = columns_of(gates.units())
    most = int(np.argmin(table["rank"]))
    first = int(table["unit"][most])
    place: dict[str, Any] = {"layer": int(table["layer"][most]), "direction": str(table["direction"][most])}
    word = next((each for each in ("forget", "update") if each in gates.values), "state")
    content: list[Picture | Table] = [
        Picture(
            gates.plot(unit=first, **place),
            f"Unit {first}, which moves most, while the last sequence was read.",
        ),
        Picture(
            gates.plot(word=word, **place),
            f"{GATE[word]} of all units, those that hold longest on top.",
            wide=False,
        ),
    ]
    if np.isfinite(table["half_life"].astype(float)).any():
        lives = Picture(
            gates.plot(of="half_life", **place), "Steps until half of what a unit holds is gone.", wide=False
        )
        content.append(lives)
    return content
