"""Networks that remember: sunspots forecast, exercises told apart."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from regen import datasets, figures
from regen.demo.result import Outcome, Row, kept, learned
from regen.estimators import Forecaster, SequenceClassifier
from regen.estimators.forecasting.backtest import Backtest
from regen.report import Given, Picture, Section

__all__ = ["exercises", "sunspots", "wrong"]

CYCLE, WINDOW, LEVELS = 11, 33, (80, 95)
UNSEEN = "the weights were fitted to none of these years, which come after 1946"
SUNSPOTS = (
    "The spots on the sun come and go in a cycle of about 11 years, never twice to the same height. Two networks"
    " learned from the years 1700 to 1946. From every later year they were then asked for the 11 years that follow.",
    "Both read a window of 33 years, three cycles, one year at a time. Feedback is what makes them recurrent: beside"
    " each new value, every neuron hears what all neurons said a year before, so that something read long ago can"
    " still matter. In the Elman network the output simply comes back. The LSTM also has memory cells, with gates"
    " that decide what is kept, what enters and what is shown.",
    "To learn, the network is unfolded: one copy of it for each of the 33 years, all with the same weights, each"
    " handing its state to the next. The error of a forecast goes back through all the copies, and tells each"
    " weight which way to move.",
    "An 80 % band is as wide as it took to hold 80 % of the forecasts of years that the weights were not fitted to,"
    " the last fifth before 1947. It promises the same for later years as long as they are like those. They were"
    " not quite: the cycles since 1947 are among the highest ever counted. Where a band held less than it promised,"
    " this is why.",
)
SUNSPOTS_STEPS = (
    "Cost of each unfolded copy: how well the same 11 years are forecast when only the last 1, 2, ... 33 years"
    " before them are read. It falls as long as reading further back helps; where it is flat, a longer memory"
    " would be of no use."
)
EXERCISES = (
    "A smartwatch recorded seven physiotherapy exercises of the shoulder: acceleration and rotation, six values at"
    " each step, in sequences of 23 to 66 steps. The network learned from seven people and is tested on three others"
    " whom it has never seen.",
    "Here the question comes at the end: the whole sequence is read, by one copy of the network for every three"
    " steps, from both ends, and the copies' states together tell the class.",
)
EXERCISES_STEPS = (
    "Cost of each unfolded copy: how sure of the right class the network would be if it had to answer after reading"
    " only so many steps. It falls as the movement takes shape."
)


def sunspots(folder: Path, max_epochs: int) -> Outcome:
    """Elman RNN and LSTM on the yearly sunspots: learn from the first 80 %, forecast from every later year."""
    y = datasets.sunspots("pandas")
    known = round(0.8 * len(y))
    models, tests, rows, links = {}, {}, [], []
    for name, cell in (("Elman RNN", "elman"), ("LSTM", "lstm")):
        # Cycles differ in height, so each window is scaled by its own mean and size.
        model = Forecaster(cell, WINDOW, CYCLE, normalize="mean", max_epochs=max_epochs, random_state=0)
        model.fit(y[:known])
        test = model.backtest(y, start=known, stride=1, level=LEVELS)
        rows.append(Row(name, "sunspots", test.scores["mae"], "a season ago", test.scores["naive_mae"]))
        given = Given(y, source="`regen.datasets.sunspots()`, the years to 1946 to learn from", seen=UNSEEN)
        links.append(kept(model.update(y[known:]), folder, f"sunspots-{cell}", name, given))
        models[name], tests[name] = model, test
    return Outcome(rows, replace(_sunspots_section(folder, y, models, tests), links=links))


def _sunspots_section(
    folder: Path, y: Any, models: Mapping[str, Forecaster], tests: Mapping[str, Backtest]
) -> Section:
    deviations = "standard deviations"
    costs = {name: model.loss_per_step_ for name, model in models.items()}
    future = models["LSTM"].predict(level=LEVELS)
    content = [
        *(
            Picture(figures.forecast(y, test.forecasts, unit="mean of the year"), _held(name, test))
            for name, test in tests.items()
        ),
        *(
            Picture(
                figures.learning_curves(model.history_, unit=deviations), learned(name, model), wide=False
            )
            for name, model in models.items()
        ),
        Picture(figures.loss_per_step(costs, unit=deviations), SUNSPOTS_STEPS, wide=False),
        Picture(
            figures.forecast(y, future),
            f"What the LSTM says of the {CYCLE} years after the data.",
            wide=False,
        ),
    ]
    command = f"regen predict {quote(str(folder / 'sunspots-lstm'))} --level 80,95"
    saved = f"The trained networks are saved and have read all the data: `{command}` forecasts what follows."
    return Section("Forecasting: the sunspot cycle", [*SUNSPOTS, saved], content)


def exercises(folder: Path, max_epochs: int) -> Outcome:
    """LSTM classifier on seven exercises that people did with a smartwatch, tested on other people."""
    X, y, X_new, y_new = datasets.exercises()
    model = SequenceClassifier("lstm", max_epochs=max_epochs, random_state=0).fit(X, y)
    given = Given(
        X_new, y_new, source="`regen.datasets.exercises()`, the three people for testing", own=False
    )
    link = kept(model, folder, "exercises-lstm", "LSTM classifier", given)
    told = model.predict(X_new)
    labels, counts = np.unique(y, return_counts=True)
    nearest = KNeighborsClassifier(n_neighbors=1).fit(_stretched(X, X), y).predict(_stretched(X_new, X))
    guesses = {
        "one class for all": np.full(len(y_new), labels[counts.argmax()]),
        "nearest neighbour": nearest,
    }
    rows = [
        Row("LSTM classifier", "exercises", wrong(y_new, told), name, wrong(y_new, guess), " %")
        for name, guess in guesses.items()
    ]
    steps = figures.loss_per_step(model.loss_per_step_, segment=model.segment_, unit="nats")
    content = [
        Picture(figures.confusion(y_new, told), _confused(y_new, told), wide=False),
        Picture(figures.learning_curves(model.history_, unit="nats"), learned("LSTM", model), wide=False),
        Picture(steps, EXERCISES_STEPS),
    ]
    return Outcome(rows, Section("Telling sequences apart: seven exercises", EXERCISES, content, [link]))


def wrong(y: NDArray[Any], told: NDArray[Any]) -> float:
    """Share of labels (n,) told wrongly, in percent.

    y, told : (n,) labels.
    """
    return 100 * float(np.mean(y != told))


def _stretched(X: Iterable[NDArray[Any]], known: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Sequences (T, F) of any length as rows of one: 32 places along each, standardised as the `known` ones are."""
    steps = np.concatenate(list(known))
    center, scale = steps.mean(axis=0), steps.std(axis=0)
    rows = []
    for x in X:
        at = np.linspace(0, len(x) - 1, 32)
        rows.append([np.interp(at, np.arange(len(x)), feature) for feature in ((x - center) / scale).T])
    return np.array(rows).reshape(len(rows), -1)


def _held(name: str, test: Backtest) -> str:
    """The caption of a forecast, with how often its intervals held."""
    scores = test.scores
    return (
        f"{name}. Each forecast begins at a dot and knows nothing of what lies right of it. Over all"
        f" {test.n_origins} starting years its mean error is {scores['mae']:.1f} sunspots; repeating the season"
        f" before errs by {scores['naive_mae']:.1f}. The 80 % band held {scores['coverage_80']:.0f} % of what came,"
        f" the 95 % band {scores['coverage_95']:.0f} %."
    )


def _confused(y: NDArray[Any], told: NDArray[Any]) -> str:
    """The caption of a confusion matrix, with the worst confusion."""
    pairs, counts = np.unique(np.stack([y, told])[:, y != told], axis=1, return_counts=True)
    right = f"{100 - wrong(y, told):.0f} % of {len(y)} sequences are told rightly: the diagonal."
    if not len(counts):
        return right
    true, taken = pairs[:, counts.argmax()]
    return f"{right} The commonest mistake: {true} taken for {taken}, {counts.max()} times."
