"""`regen demo`: every system on real data that ships with the package, beside its naive baseline, on one page.

Each system is one function that trains, saves its models, and returns its rows of the table and its section of the
page; `SYSTEMS` lists them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from os.path import join
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from regen import datasets, figures
from regen.data.paths import make_folder
from regen.estimators import Forecaster, SequenceClassifier
from regen.estimators.backtest import Backtest
from regen.persistence import save
from regen.report import Picture, Section, Table, page

__all__ = ["run"]

HEADINGS = ("network", "data", "error", "naive baseline", "its error", "difference")
ERRORS = (
    "The error on sunspots is the mean distance between forecast and truth, in sunspots, 1 to 11 years ahead;"
    " on exercises the share of sequences told wrongly. All of it on data that the network was not trained on."
)
CYCLE, WINDOW, LEVELS = 11, 33, (80, 95)
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


@final
@dataclass(frozen=True)
class Row:
    """A network and a baseline: the errors of both on data that neither has learned from, the lower the better."""

    network: str
    data: str
    error: float
    baseline: str
    baseline_error: float
    unit: str = ""

    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `HEADINGS`."""
        share = round(100 * (self.error / self.baseline_error - 1)) if self.baseline_error else 0
        words = f"{abs(share)} % {'less' if share < 0 else 'more'}" if share else "none"
        error, other = (f"{each:.1f}{self.unit}" for each in (self.error, self.baseline_error))
        return (self.network, self.data, error, self.baseline, other, words)


class Outcome(NamedTuple):
    """What a system gives to the demo."""

    rows: Sequence[Row]
    section: Section


def run(output: str | PathLike[str], *, quick: bool = False) -> Path:
    """Train every system, print one table, and write the page and the models.

    Parameters
    ----------
    output : folder for ``index.html`` and a folder for each model; made if need be. Files of an earlier demo are
        replaced.
    quick : train for two epochs only, to see that all works; the results are then poor.

    Returns
    -------
    The path of the page.

    Raises
    ------
    OSError
        When the folder cannot be written, which is found out before training begins.
    """
    folder, began = Path(output), monotonic()
    make_folder(folder)
    outcomes = [system(folder, 2 if quick else 100) for system in SYSTEMS]
    cells = [row.cells() for outcome in outcomes for row in outcome.rows]
    seconds = f"{monotonic() - began:.0f} seconds"
    results = Section("Results", ERRORS, [Table(HEADINGS, cells)])
    written = page(
        "regen demo: networks that remember",
        [results, *(outcome.section for outcome in outcomes)],
        folder / "index.html",
        lead=(
            "A feed-forward network answers each question afresh. The networks on this page have feedback: what they"
            " said before comes back to them with the next input, and so they remember.",
            f"Real data, trained in {seconds} on the machine that wrote this page."
            + (" This was a quick run of two epochs: the networks have hardly learned." if quick else ""),
        ),
        foot="Data and their licences: `help(regen.datasets)`. This page needs no network connection.",
    )
    print("\n".join([*_aligned([HEADINGS, *cells]), "", f"{seconds}; the page is {written}"]))
    return written


def sunspots(folder: Path, max_epochs: int) -> Outcome:
    """Elman RNN and LSTM on the yearly sunspots: learn from the first 80 %, forecast from every later year."""
    y = datasets.sunspots("pandas")
    known = round(0.8 * len(y))
    models, tests, rows = {}, {}, []
    for name, cell in (("Elman RNN", "elman"), ("LSTM", "lstm")):
        # Cycles differ in height, so each window is scaled by its own mean and size.
        model = Forecaster(cell, WINDOW, CYCLE, normalize="mean", max_epochs=max_epochs, random_state=0)
        model.fit(y[:known])
        test = model.backtest(y, start=known, stride=1, level=LEVELS)
        rows.append(Row(name, "sunspots", test.scores["mae"], "a season ago", test.scores["naive_mae"]))
        save(model.update(y[known:]), join(folder, f"sunspots-{cell}", ""))
        models[name], tests[name] = model, test
    return Outcome(rows, _sunspots_section(folder, y, models, tests))


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
                figures.learning_curves(model.history_, unit=deviations), _learned(name, model), wide=False
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
    save(model, join(folder, "exercises-lstm", ""))
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
        Picture(figures.learning_curves(model.history_, unit="nats"), _learned("LSTM", model), wide=False),
        Picture(steps, EXERCISES_STEPS),
    ]
    return Outcome(rows, Section("Telling sequences apart: seven exercises", EXERCISES, content))


System = Callable[[Path, int], Outcome]
SYSTEMS: Sequence[System] = (sunspots, exercises)


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


def _learned(name: str, model: Forecaster | SequenceClassifier) -> str:
    return f"{name}: loss of each pass over the training data, {model.n_epochs_} in all. {model.stopped_}"


def _confused(y: NDArray[Any], told: NDArray[Any]) -> str:
    """The caption of a confusion matrix, with the worst confusion."""
    pairs, counts = np.unique(np.stack([y, told])[:, y != told], axis=1, return_counts=True)
    right = f"{100 - wrong(y, told):.0f} % of {len(y)} sequences are told rightly: the diagonal."
    if not len(counts):
        return right
    true, taken = pairs[:, counts.argmax()]
    return f"{right} The commonest mistake: {true} taken for {taken}, {counts.max()} times."


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows of text in columns, those of numbers set to the right; a rule under the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for k, row in enumerate(rows):
        cells = [
            cell.rjust(width) if any(other[c][:1].isdigit() for other in rows) else cell.ljust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
        if k == 0:
            yield "  ".join("-" * width for width in widths)
