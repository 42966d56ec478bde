"""Sections of every report: training, data, and how to load the model."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

import numpy as np

from regen import figures
from regen.estimators._base import Estimator
from regen.figures.style import columns_of
from regen.report.card import card
from regen.report.data import InspectionData
from regen.report.page import Picture, Section, Table

__all__ = ["data_section", "loading_section", "training_section"]

SECONDS = ((3600, "hours"), (60, "minutes"))
TASKS: Mapping[str, tuple[str, str]] = {
    "predict": ("predict", "predict {run} DATA"),
    "backtest": ("evaluate forecasts along a series", "backtest {run} DATA"),
    "encode": ("compress rows to codes", "encode {run} DATA"),
    "score": ("score rows", "score {run} DATA"),
    "denoise": ("remove noise from rows", "denoise {run} DATA -o FILE"),
    "impute": ("fill in missing values", "impute {run} DATA -o FILE"),
    "sample": ("sample new rows", "sample {run} -n 64 -o FILE"),
}
"""By capability, a task and its command."""
FORECAST = ("forecast the next steps", "predict {run} --level 80,95")


def training_section(model: Estimator, facts: Mapping[str, Any]) -> Section:
    """Learning curves, the reason of stopping, the backend and the parameters that differ from their defaults."""
    columns = columns_of(model.history_)
    epochs = f"{model.n_epochs_} epoch{'' if model.n_epochs_ == 1 else 's'}"
    seconds = facts.get("seconds", columns.get("seconds", [0.0])[-1])
    text = [f"{type(model).__name__}, {epochs} in {_duration(float(seconds))}. {model.stopped_}"]
    if 0 < model.best_epoch_ < model.n_epochs_:
        text.append(f"The kept weights are those of epoch {model.best_epoch_}.")
    text.append(f"Backend: {model.backend_}." if "backend_" in vars(model) else "")
    content: list[Picture | Table] = [
        Picture(figures.learning_curves(model.history_), _curves(columns), wide=False)
    ]
    own = {name: repr(value) for name, value in model.get_params(deep=False).items()}
    default = {name: repr(value) for name, value in type(model)().get_params(deep=False).items()}
    rows = [[name, value] for name, value in own.items() if value != default[name]]
    note = "All other parameters have their default values."
    content.append(Table(["parameter", "value"], rows, note) if rows else Table(["parameters"], [[note]]))
    versions = facts.get("versions", {})
    if versions:
        text.append("Made with " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".")
    return Section("How it trained", [each for each in text if each], content)


def data_section(model: Estimator, data: InspectionData | None, absent: str) -> Section:
    """A summary of the data; without data, what the fitted attributes say about them.

    absent : why there are no data, as text.
    """
    if data is None:
        return Section("What it was trained on", [absent, *_fitted_on(model)])
    what = "These are the training data" if data.own else "These are not the training data"
    table, words = card(data, vars(model).get("form_", {}).get("kind", ""))
    source = f"{what}: {data.source}." if data.source else f"{what}."
    return Section("What it was trained on", [source, words], [table])


def loading_section(model: Estimator, run: str) -> Section:
    """The commands that use the model."""
    tasks = [TASKS[each] for each in model.capabilities if each in TASKS]
    if "backtest" in model.capabilities:
        tasks = [FORECAST, *tasks[1:]]
    rows = [["load it in Python", f"`regen.load({run!r})`"]]
    rows += [[task, f"`regen {command.format(run=quote(run))}`"] for task, command in tasks]
    rows.append(["make this report again", f"`regen inspect {quote(run)} DATA`"])
    text = "The file holds weights and parameters, and no code that is executed when it is loaded."
    return Section("How to load it", text, [Table(["task", "command"], rows)])


def _duration(seconds: float) -> str:
    for length, name in SECONDS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.1f} seconds"


def _curves(columns: Mapping[str, Any]) -> str:
    losses = [name for name in columns if name.endswith(".loss") and not name.startswith("schedule.")]
    if len([name for name in losses if name != "validation.loss"]) > 1:
        text = "The losses of both players; each rises when the other player improves."
        validation = (
            " On validation data: how far the quality of the generated rows is from that of real rows."
        )
        return text + (validation if "validation.loss" in losses else "")
    if "validation.loss" not in losses:
        return "Loss of each epoch on the training data; there were no validation data."
    validation, training = (
        columns["validation.loss"],
        next(columns[n] for n in losses if n != "validation.loss"),
    )
    at = int(np.nanargmin(validation)) if np.isfinite(validation).any() else -1
    best = f"{validation[at]:.3g} on validation data and {training[at]:.3g} on training data"
    return f"Loss of each epoch. At the best epoch, {best}."


def _fitted_on(model: Estimator) -> list[str]:
    """What the fitted attributes say about the training data."""
    fitted = vars(model)
    text = []
    if "layout_" in fitted:
        names = ", ".join(map(str, fitted["layout_"]["names"]))
        text.append(f"The model was fitted on {fitted['layout_']['n_steps']} steps of {names}.")
    elif "form_" in fitted:
        kind = {"table": "a table", "images": "images", "sequences": "sequences"}[fitted["form_"]["kind"]]
        text.append(f"The model was fitted on {kind}, {model.n_features_in_} numbers each.")
    if "classes_" in fitted:
        text.append(f"Its labels are {', '.join(map(str, fitted['classes_'][:12]))}.")
    return text
