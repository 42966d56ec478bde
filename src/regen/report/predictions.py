"""Sections on predictions compared with actual values, and on what the recurrent network remembers."""

from typing import Any

import numpy as np

from regen import figures, inspection
from regen.figures.style import columns_of
from regen.inspection.recurrent.parts import recurrent_parts
from regen.report.card import cell_text
from regen.report.data import InspectionData, last
from regen.report.page import Picture, Section, Table

__all__ = ["memory_section", "prediction_section"]

PREDICTS, REMEMBERS = "What it predicts", "What it remembers"
LEVELS = (80, 95)
GATE = {"forget": "The forget gate", "update": "The update gate", "state": "The state"}
WINDOWS, ROWS = 20, 256
"""Windows of a series, and sequences, on which the network is inspected."""
SCORES = {
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "smape": "symmetric percentage error (%)",
    "mase": "error, in errors of the naive forecast at fit",
    "naive_mae": "mean absolute error of the naive forecast",
    "skill": "reduction of the error of the naive forecast (share)",
}
FITTED = "the weights were fitted to most of these data, so expect larger errors on new ones"


def prediction_section(model: Any, data: InspectionData | None) -> Section | None:
    """Forecasts, or predictions compared with the labels or targets."""
    if "backtest" in model.capabilities:
        return _forecasts(model, data)
    if data is None or "predict" not in model.capabilities:
        return None
    return _labels(model, data) if "classes_" in vars(model) else _targets(model, data)


def _forecasts(model: Any, data: InspectionData | None) -> Section:
    ahead, H = model.predict(level=LEVELS), model.horizon
    name = str(model.layout_["names"][0])
    caption = f"The forecast of the {H} steps after the end of the training data."
    if data is None:
        columns = columns_of(ahead)
        rows = [
            [str(k + 1), *map(cell_text, row)] for k, row in enumerate(zip(*columns.values(), strict=True))
        ]
        return Section(PREDICTS, caption, [Table(["step", *columns], rows)])
    result = model.backtest(data.X, start=0.8, level=LEVELS)
    content: list[Picture | Table] = [
        Picture(
            figures.forecast(data.X, result.forecasts, time=data.time, column=name),
            f"{result.n_origins} forecasts over the last fifth of the series. Each begins at a dot and uses only the"
            f" steps to the left of it; {_exposure(model, data)}.",
        ),
        Table(
            ["score", "value"],
            [[_score_name(score), f"{value:.4g}"] for score, value in result.scores.items()],
        ),
    ]
    if data.own:
        chart = figures.forecast(data.X, ahead, time=data.time, column=name)
        content.append(Picture(chart, caption, wide=False))
    return Section(PREDICTS, [_compared_with_naive(result)], content)


def _exposure(model: Any, data: InspectionData) -> str:
    """How far the model was fitted to the data that it is evaluated on."""
    if data.note:
        return data.note
    if not data.own:
        return "it was not trained on these data, as far as is known"
    if "validation.loss" in columns_of(model.history_):
        return "the weights were not fitted to this part, but selected by it"
    return FITTED


def _compared_with_naive(result: Any) -> str:
    error, naive = result.scores["mae"], result.scores["naive_mae"]
    share = -100 * result.scores["skill"]
    if np.isnan(share):
        return (
            f"The mean absolute error of its forecasts is {error:.4g}; there is no error of repeating the previous"
            " season to compare it with."
        )
    change = f"{abs(share):.0f} % {'less' if share < 0 else 'more'} than"
    return (
        f"The mean absolute error of its forecasts is {error:.4g}, {change} that of repeating the previous season"
        f" ({naive:.4g})."
    )


def _score_name(name: str) -> str:
    if name.startswith("coverage_"):
        return f"coverage of the {name.removeprefix('coverage_')} % interval (%)"
    return SCORES.get(name, name)


def _labels(model: Any, data: InspectionData) -> Section:
    predicted = model.predict(data.X)
    if data.y is None:
        names, counts = np.unique(predicted, return_counts=True)
        rows = [[name, count] for name, count in zip(names.tolist(), counts.tolist(), strict=True)]
        text = "The data have no labels to compare the predictions with."
        return Section(PREDICTS, text, [Table(["class", "predicted sequences"], rows)])
    actual = np.asarray(data.y)
    accuracy = float(np.mean(predicted == actual))
    _, counts = np.unique(actual, return_counts=True)
    text = (
        f"{100 * accuracy:.0f} % of {len(actual)} sequences are classified correctly; the most frequent class alone"
        f" is correct for {100 * counts.max() / len(actual):.0f} %."
    )
    return Section(
        PREDICTS, [text, _caution(data)], [Picture(figures.confusion(actual, predicted), wide=False)]
    )


def _targets(model: Any, data: InspectionData) -> Section:
    predicted = np.asarray(model.predict(data.X), dtype=np.float64)
    if data.y is None or predicted.ndim > 1:
        ends = f"from {predicted.min():.4g} to {predicted.max():.4g}"
        return Section(PREDICTS, f"It predicts values {ends}; there are no targets to compare them with.")
    actual = np.asarray(data.y, dtype=np.float64)
    error = float(np.abs(predicted - actual).mean())
    baseline = float(np.abs(actual - np.median(actual)).mean())
    text = f"The mean absolute error is {error:.4g}; that of always predicting the median is {baseline:.4g}."
    chart = figures.predicted_vs_actual(actual, predicted)
    return Section(PREDICTS, [text, _caution(data)], [Picture(chart, wide=False)])


def _caution(data: InspectionData) -> str:
    exposure = data.note or (FITTED if data.own else "")
    return f"Note that {exposure}." if exposure else ""


def memory_section(model: Any, data: InspectionData | None) -> Section | None:
    """Gates, half-lives, gradients, losses per copy and saliency of a recurrent network."""
    if data is None or not {"predict", "reconstruct", "encode"} & set(model.capabilities):
        return None
    if not recurrent_parts(model.fitted_net()):
        return None
    X, y = _inspected_part(model, data)
    gates = inspection.gates(model, X)
    content = _gate_pictures(gates)
    flow = inspection.gradient_flow(model, X, y)
    content.append(Picture(flow.plot(), " ".join(flow.sentences()[:2]), wide=False))
    if y is not None or not _takes_targets(model):
        losses = inspection.loss_per_copy(model, X, y)
        content.append(Picture(losses.plot(), " ".join(losses.sentences()), wide=False))
        gated = "input" in gates.values or "update" in gates.values
        ablation = inspection.ablate(model, X, y, of="gates" if gated else "units")
        content.append(Picture(ablation.plot(), " ".join(ablation.sentences(2)), wide=False))
    saliency = inspection.saliency(model, X, rows=ROWS // 4)
    content.append(Picture(saliency.plot(), " ".join(saliency.sentences()[:2]), wide=False))
    return Section(REMEMBERS, gates.sentences(3), content)


def _takes_targets(model: Any) -> bool:
    """Whether the targets are `y`, not the data themselves."""
    return "predict" in model.capabilities and "backtest" not in model.capabilities


def _inspected_part(model: Any, data: InspectionData) -> tuple[Any, Any]:
    """The end of a series, or some sequences with their targets."""
    if "backtest" in model.capabilities:
        return last(data.X, WINDOWS * (model.window_ + model.horizon)), None
    some = data.subset(ROWS)
    return some.X, some.y if _takes_targets(model) else None


def _gate_pictures(gates: inspection.Gates) -> list[Picture | Table]:
    """The unit of the largest variation, one gate of all units, and their half-lives where they have some."""
    table = columns_of(gates.units())
    most = int(np.argmin(table["rank"]))
    first = int(table["unit"][most])
    place: dict[str, Any] = {"layer": int(table["layer"][most]), "direction": str(table["direction"][most])}
    word = next((gate for gate in ("forget", "update") if gate in gates.values), "state")
    content: list[Picture | Table] = [
        Picture(
            gates.plot(unit=first, **place),
            f"Unit {first}, which varies most, over the last sequence.",
        ),
        Picture(
            gates.plot(word=word, **place),
            f"{GATE[word]} of all units, those of the longest half-life on top.",
            wide=False,
        ),
    ]
    if np.isfinite(table["half_life"].astype(float)).any():
        chart = gates.plot(of="half_life", **place)
        content.append(Picture(chart, "Steps until a unit has forgotten half of its content.", wide=False))
    return content
