"""Recurrent networks: forecasts of sunspots, classification of exercises."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from regen import datasets, figures
from regen.demo.result import Outcome, Row, learned, save_with_report
from regen.estimators import Forecaster, SequenceClassifier
from regen.estimators.forecasting.backtest import Backtest
from regen.report import InspectionData, Picture, Section

__all__ = ["error_rate", "exercises", "sunspots"]

CYCLE, WINDOW, LEVELS = 11, 33, (80, 95)
UNSEEN = "the weights were not fitted to these years, which come after 1946"
SUNSPOTS = (
    "The number of sunspots follows a cycle of about 11 years whose height varies. Two networks are trained on the"
    " years 1700 to 1946. From every later year, they forecast the following 11 years.",
    "Both take a window of 33 years, three cycles, as input, one year per step. They are recurrent: the inputs of a"
    " neuron are the new value and the outputs of all neurons at the previous step, so earlier values can influence"
    " the forecast. In the Elman network the output itself is fed back. The LSTM also has memory cells, whose gates"
    " control what is kept, what is added and what is output.",
    "For training, the network is unfolded: one copy for each of the 33 years, all with the same weights. Each passes"
    " its state to the next. Back-propagation through time carries the error of a forecast back through all copies.",
    "An 80 % interval is as wide as needed to contain 80 % of the forecasts in the validation part, the last fifth"
    " before 1947, which the weights were not fitted to. Its coverage holds for later years if they are similar. They"
    " differ: the cycles since 1947 are among the highest on record, so the intervals can contain less than 80 %.",
)
SUNSPOTS_STEPS = (
    "Loss of each unfolded copy: the error of the same 11 years when only the last 1, 2, ... 33 years before them are"
    " the input. It falls as long as more history helps; where it is flat, a longer memory does not help."
)
EXERCISES = (
    "A smartwatch recorded seven physiotherapy exercises of the shoulder: acceleration and rotation, six values per"
    " step, in sequences of 23 to 66 steps. The network is trained on seven people and tested on three others.",
    "The network processes the whole sequence in both directions, three steps at a time; the class is predicted from"
    " the states of all copies.",
)
EXERCISES_STEPS = (
    "Loss of each unfolded copy: the cross-entropy of a prediction after only the first steps. It falls as more of"
    " the movement is observed."
)


def sunspots(folder: Path, max_epochs: int) -> Outcome:
    """Elman RNN and LSTM on the yearly sunspots: learn from the first 80 %, forecast from every later year."""
    y = datasets.sunspots("pandas")
    known = round(0.8 * len(y))
    models, tests, rows, links = {}, {}, [], []
    for name, cell in (("Elman RNN", "elman"), ("LSTM", "lstm")):
        # Cycles differ in height, so each window is normalised by its own mean and scale.
        model = Forecaster(cell, WINDOW, CYCLE, normalize="mean", max_epochs=max_epochs, random_state=0)
        model.fit(y[:known])
        test = model.backtest(y, start=known, stride=1, level=LEVELS)
        rows.append(Row(name, "sunspots", test.scores["mae"], "seasonal naive", test.scores["naive_mae"]))
        data = InspectionData(
            y, source="`regen.datasets.sunspots()`, the years to 1946 to learn from", note=UNSEEN
        )
        links.append(save_with_report(model.update(y[known:]), folder, f"sunspots-{cell}", name, data))
        models[name], tests[name] = model, test
    return Outcome(rows, replace(_sunspots_section(folder, y, models, tests), links=links))


def _sunspots_section(
    folder: Path, y: Any, models: Mapping[str, Forecaster], tests: Mapping[str, Backtest]
) -> Section:
    deviations = "standard deviations"
    losses = {name: model.loss_per_step_ for name, model in models.items()}
    future = models["LSTM"].predict(level=LEVELS)
    content = [
        *(
            Picture(
                figures.forecast(y, test.forecasts, unit="mean of the year"), _forecast_caption(name, test)
            )
            for name, test in tests.items()
        ),
        *(
            Picture(
                figures.learning_curves(model.history_, unit=deviations), learned(name, model), wide=False
            )
            for name, model in models.items()
        ),
        Picture(figures.loss_per_step(losses, unit=deviations), SUNSPOTS_STEPS, wide=False),
        Picture(
            figures.forecast(y, future),
            f"Forecast of the LSTM for the {CYCLE} years after the data.",
            wide=False,
        ),
    ]
    command = f"regen predict {quote(str(folder / 'sunspots-lstm'))} --level 80,95"
    saved = (
        f"The trained networks are saved, updated with all the data: `{command}` forecasts the next years."
    )
    return Section("Forecasting: the sunspot cycle", [*SUNSPOTS, saved], content)


def exercises(folder: Path, max_epochs: int) -> Outcome:
    """LSTM classifier of seven exercises recorded by a smartwatch, tested on other people."""
    X, y, X_new, y_new = datasets.exercises()
    model = SequenceClassifier("lstm", max_epochs=max_epochs, random_state=0).fit(X, y)
    data = InspectionData(
        X_new, y_new, source="`regen.datasets.exercises()`, the three people for testing", own=False
    )
    link = save_with_report(model, folder, "exercises-lstm", "LSTM classifier", data)
    y_pred = model.predict(X_new)
    labels, counts = np.unique(y, return_counts=True)
    nearest = KNeighborsClassifier(n_neighbors=1).fit(_stretched(X, X), y).predict(_stretched(X_new, X))
    guesses = {
        "majority class": np.full(len(y_new), labels[counts.argmax()]),
        "nearest neighbour": nearest,
    }
    rows = [
        Row("LSTM classifier", "exercises", error_rate(y_new, y_pred), name, error_rate(y_new, guess), " %")
        for name, guess in guesses.items()
    ]
    steps = figures.loss_per_step(model.loss_per_step_, segment=model.segment_, unit="nats")
    content = [
        Picture(figures.confusion(y_new, y_pred), _confusion_caption(y_new, y_pred), wide=False),
        Picture(figures.learning_curves(model.history_, unit="nats"), learned("LSTM", model), wide=False),
        Picture(steps, EXERCISES_STEPS),
    ]
    return Outcome(rows, Section("Classification of sequences: seven exercises", EXERCISES, content, [link]))


def error_rate(y: NDArray[Any], y_pred: NDArray[Any]) -> float:
    """Share of wrong labels, in percent.

    y, y_pred : (n,) labels.
    """
    return 100 * float(np.mean(y != y_pred))


def _stretched(X: Iterable[NDArray[Any]], known: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Sequences (T, F) of any length as rows of one: 32 places along each, standardised as the `known` ones are."""
    steps = np.concatenate(list(known))
    center, scale = steps.mean(axis=0), steps.std(axis=0)
    rows = []
    for x in X:
        at = np.linspace(0, len(x) - 1, 32)
        rows.append([np.interp(at, np.arange(len(x)), feature) for feature in ((x - center) / scale).T])
    return np.array(rows).reshape(len(rows), -1)


def _forecast_caption(name: str, test: Backtest) -> str:
    """The caption of a forecast, with the coverage of its intervals."""
    scores = test.scores
    return (
        f"{name}. Each forecast begins at a dot and uses only values left of it. The mean absolute error over"
        f" {test.n_origins} origins is {scores['mae']:.1f} sunspots; that of the seasonal naive forecast is"
        f" {scores['naive_mae']:.1f}. The 80 % interval contains {scores['coverage_80']:.0f} % of the actual values,"
        f" the 95 % interval {scores['coverage_95']:.0f} %."
    )


def _confusion_caption(y: NDArray[Any], y_pred: NDArray[Any]) -> str:
    """The caption of a confusion matrix, with the most frequent error."""
    pairs, counts = np.unique(np.stack([y, y_pred])[:, y != y_pred], axis=1, return_counts=True)
    correct = (
        f"{100 - error_rate(y, y_pred):.0f} % of {len(y)} sequences are classified correctly (the diagonal)."
    )
    if not len(counts):
        return correct
    true, taken = pairs[:, counts.argmax()]
    return f"{correct} The most frequent error: {true} classified as {taken}, {counts.max()} times."
