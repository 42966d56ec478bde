"""How a model was trained, what it was trained on, and how to load it: sections that every page has."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

import numpy as np

from regen import figures
from regen.estimators._base import Estimator
from regen.figures.style import columns_of
from regen.report.card import card
from regen.report.data import Given
from regen.report.page import Picture, Section, Table

__all__ = ["loading", "trained", "trained_on"]

SECONDS = ((3600, "hours"), (60, "minutes"))
USES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Forecaster": (
        ("forecast what follows", "predict {run} --level 80,95"),
        ("score it along a series", "backtest {run} DATA"),
    ),
    "SequenceClassifier": (("tell sequences apart", "predict {run} DATA"),),
    "SequenceRegressor": (("tell a number of each sequence", "predict {run} DATA"),),
    "Autoencoder": (("compress rows to codes", "encode {run} DATA"), ("find anomalies", "score {run} DATA")),
    "DenoisingAutoencoder": (
        ("take noise off rows", "denoise {run} DATA -o FILE"),
        ("fill in what is missing", "impute {run} DATA -o FILE"),
    ),
    "VariationalAutoencoder": (
        ("draw new rows", "sample {run} -n 64 -o FILE"),
        ("compress rows to codes", "encode {run} DATA"),
    ),
    "GAN": (
        ("make new rows", "sample {run} -n 64 -o FILE"),
        ("score rows from 1 to 100", "score {run} DATA"),
    ),
    "DCGAN": (("make new images", "sample {run} -n 64 -o new.png"), ("score images", "score {run} DATA")),
}
"""What each estimator is for, and the command."""


def trained(model: Estimator, facts: Mapping[str, Any]) -> Section:
    """How training went: its curves, why it ended, what was set, who ran it."""
    columns = columns_of(model.history_)
    epochs = f"{model.n_epochs_} epoch{'' if model.n_epochs_ == 1 else 's'}"
    seconds = facts.get("seconds", columns.get("seconds", [0.0])[-1])
    text = [f"{type(model).__name__}, {epochs} in {_lasting(float(seconds))}. {model.stopped_}"]
    if 0 < model.best_epoch_ < model.n_epochs_:
        text.append(f"The weights that were kept are those of epoch {model.best_epoch_}.")
    text.append(f"It ran on {model.backend_}." if "backend_" in vars(model) else "")
    content: list[Picture | Table] = [
        Picture(figures.learning_curves(model.history_), _curves(columns), wide=False)
    ]
    own = {name: repr(value) for name, value in model.get_params(deep=False).items()}
    usual = {name: repr(value) for name, value in type(model)().get_params(deep=False).items()}
    rows = [[name, value] for name, value in own.items() if value != usual[name]]
    words = "All other parameters have their defaults."
    content.append(Table(["parameter", "value"], rows, words) if rows else Table(["parameters"], [[words]]))
    versions = facts.get("versions", {})
    if versions:
        text.append("Made with " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".")
    return Section("How it trained", [each for each in text if each], content)


def trained_on(model: Estimator, given: Given | None, absent: str) -> Section:
    """The card of the data; of data that are gone, what the model itself knows of them.

    absent : in words, why there are no data.
    """
    if given is None:
        return Section("What it was trained on", [absent, *_remembered(model)])
    what = (
        "These are the data that it was trained on"
        if given.own
        else "These are other data than it was trained on"
    )
    table, words = card(given, vars(model).get("form_", {}).get("kind", ""))
    source = f"{what}: {given.source}." if given.source else f"{what}."
    return Section("What it was trained on", [source, words], [table])


def loading(model: Estimator, run: str) -> Section:
    """The lines that use the model again."""
    name = type(model).__name__
    rows = [["load it in Python", f"`regen.load({run!r})`"]]
    rows += [[use, f"`regen {command.format(run=quote(run))}`"] for use, command in USES.get(name, ())]
    rows.append(["make this page again", f"`regen inspect {quote(run)} DATA`"])
    text = "The file holds weights and settings, nothing that is executed when it is read."
    return Section("How to load it", text, [Table(["to", "say"], rows)])


def _lasting(seconds: float) -> str:
    for length, name in SECONDS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.1f} seconds"


def _curves(columns: Mapping[str, Any]) -> str:
    losses = [name for name in columns if name.endswith(".loss") and not name.startswith("schedule.")]
    if len([name for name in losses if name != "validation.loss"]) > 1:
        words = "The losses of both players; each rises when the other gets better."
        more = " Held out: how far from perfect the rows were that it made, beside rows held out."
        return words + (more if "validation.loss" in losses else "")
    if "validation.loss" not in losses:
        return "Loss of each pass over the training data; nothing was held out."
    told, seen = columns["validation.loss"], next(columns[n] for n in losses if n != "validation.loss")
    at = int(np.nanargmin(told)) if np.isfinite(told).any() else -1
    best = f"{told[at]:.3g} on what was held out and {seen[at]:.3g} on what was learned"
    return f"Loss of each pass. At its best, {best}."


def _remembered(model: Estimator) -> list[str]:
    """What a model knows of its data."""
    known = vars(model)
    told = []
    if "layout_" in known:
        names = ", ".join(map(str, known["layout_"]["names"]))
        told.append(f"The model was fitted on {known['layout_']['n_steps']} steps of {names}.")
    elif "form_" in known:
        kind = {"table": "a table", "images": "images", "sequences": "sequences"}[known["form_"]["kind"]]
        told.append(f"The model was fitted on {kind}, {model.n_features_in_} numbers each.")
    if "classes_" in known:
        told.append(f"It knows the labels {', '.join(map(str, known['classes_'][:12]))}.")
    return told
