"""What a model compresses, repairs and creates."""

from typing import Any

import numpy as np

from regen import figures, inspection
from regen.estimators.adversarial._base import AdversarialEstimator
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.vae import VariationalAutoencoder
from regen.figures.style import columns_of
from regen.inspection.display import pictured as as_drawn
from regen.report.card import shown_value
from regen.report.data import Given
from regen.report.page import Picture, Section, Table

__all__ = ["compresses", "creates"]

ROWS, POINTS, SHOWN = 2000, 400, 10
"""Rows that are looked at, points of a map, and rows that are drawn."""
MADE = 500
"""Rows of two numbers that are drawn as points."""
LABELS = 12
"""Labels that can be told apart in a map, at most."""


def compresses(model: Any, given: Given | None) -> Section | None:
    """What the code holds: its units and what they stand for, the map of the rows, what is lost, what is repaired."""
    if given is None or not isinstance(model, AutoencodingEstimator):
        return None
    some = given.some(ROWS)
    found = inspection.codes(model, some.X)
    content: list[Picture | Table] = [*_restored(found, model, some)]
    walk = found.traversal()
    units, along = (
        Picture(found.plot(), found.sentences()[2], wide=False),
        Picture(
            walk.plot(),
            f"What unit {walk.unit} stands for, from rare to rare. {walk.sentences()[-1]}",
            wide=False,
        ),
    )
    content += [units, along]
    drawn = found.map()
    content.append(
        Picture(
            _thinned(drawn, some.y), f"{drawn.sentences()[0]} Rows that are alike lie together.", wide=False
        )
    )
    near = found.neighbours(n=4)
    content.append(
        Picture(near.plot(), "Some rows, and those whose codes are nearest to theirs.", wide=False)
    )
    if found.repair is not None:
        content += _repaired(found.repair)
    return Section(
        "What it compresses", [*found.sentences()[:2], _odd(model, some), *found.sentences()[3:]], content
    )


def _thinned(drawn: inspection.CodeMap, y: Any) -> Any:
    """The map with fewer points, and labels where there are few of them."""
    rows = np.linspace(0, len(drawn.points) - 1, min(len(drawn.points), POINTS)).round().astype(int)
    labels = None if y is None or len(np.unique(np.asarray(y))) > LABELS else np.asarray(y)[rows]
    kept = inspection.CodeMap(
        drawn.points[rows], drawn.by, drawn.axes, drawn.kept, drawn.decoded, drawn.extent
    )
    return kept.plot(labels=labels)


def _restored(found: inspection.Codes, model: AutoencodingEstimator, some: Given) -> list[Picture | Table]:
    """Some rows, and what the code keeps of them."""
    rows = np.linspace(0, len(some.X) - 1, min(len(some.X), SHOWN)).round().astype(int)
    again = found.reconstructed(rows)
    given = found.data.take(rows)
    caption = "Rows as they were given, and as they are restored from their codes."
    if given.kind == "images":
        drawn = figures.image_rows({"given": given.values, "restored": again.values}, limits=given.limits)
        return [Picture(drawn, caption, wide=False)]
    if given.kind == "sequences":
        lines = {"given": given.values[:5, :, 0], "restored": again.values[:5, :, 0]}
        return [Picture(figures.restored(lines, unit=given.names[0]), caption)]
    return [_columns_restored(found)]


def _columns_restored(found: inspection.Codes) -> Table:
    """How much of each column of a table the code keeps."""
    every = found.reconstructed(np.arange(len(found.data)))
    wrong, spread = (every.values - found.data.values) ** 2, np.nanvar(found.data.values, axis=0)
    kept = 100 * (1 - np.nanmean(wrong, axis=0) / np.where(spread > 0, spread, np.nan))
    order = np.argsort(np.nan_to_num(kept), kind="stable")[:SHOWN]
    rows = [[found.data.names[k], f"{kept[k]:.0f} %"] for k in order]
    return Table(["column", "kept of its variance"], rows, "The columns of which the code keeps least.")


def _odd(model: AutoencodingEstimator, some: Given) -> str:
    """How many rows are anomalies, and the oddest of them."""
    scores = model.score_samples(some.X)
    odd, first = int((scores < model.threshold_).sum()), int(scores.argmin())
    return f"{odd} of {len(scores)} rows are anomalies by its threshold; the oddest is row {first}."


def _repaired(repair: inspection.Repair) -> list[Picture | Table]:
    content: list[Picture | Table] = [Picture(repair.plot(), repair.sentences()[0], wide=False)]
    if repair.examples is not None:
        rows = {name: shown.values for name, shown in repair.examples.items()}
        limits = next(iter(repair.examples.values())).limits
        drawn = figures.image_rows(rows, limits=limits)
        content.append(Picture(drawn, "Rows as they were, spoilt as in training, and restored.", wide=False))
    return content


def creates(model: Any, given: Given | None) -> Section | None:
    """New rows, drawn by a model of their distribution or made by one of two that compete."""
    if isinstance(model, AdversarialEstimator):
        return _made(model, given)
    if not isinstance(model, VariationalAutoencoder):
        return None
    terms = model.elbo_terms_
    text = (
        f"Codes drawn from the bell stand for rows that nobody gave. On average a row costs {terms['kl']:.3g} nats to"
        f" say its code and {-terms['reconstruction']:.3g} to say the rest; as densities, these may be below 0."
    )
    drawn = model.sample(64, random_state=0, means=model.form_["kind"] == "images")
    return Section("What it creates", text, [pictured(model, drawn)])


def _made(model: AdversarialEstimator, given: Given | None) -> Section:
    """How the two competed, and what came of it."""
    X, y = (None, None) if given is None else (given.X, given.y if model.n_labels_ else None)
    found = inspection.training_game(model, X, y)
    content: list[Picture | Table] = [
        _plane(model, X)
        or pictured(model, model.sample(64, random_state=0), "Rows that the generator made."),
        Picture(found.plot(), "The game, epoch by epoch.", wide=False),
        Picture(found.plot(of="scores"), "How real rows look to the discriminator in the end.", wide=False),
    ]
    if found.nearest is not None:
        words = " ".join(found.nearest.sentences())
        content.append(
            Picture(found.nearest.plot(), f"Generated rows, and the nearest of the data. {words}", wide=False)
        )
    return Section("What it creates", found.sentences(), content)


def _plane(model: Any, X: Any) -> Picture | None:
    """Generated rows of two numbers over the real ones; None where rows are anything else."""
    if X is None or model.form_["kind"] != "table" or np.ndim(X) != 2 or np.shape(X)[1] != 2:
        return None
    columns = columns_of(X) or {f"x{k}": np.asarray(X)[:, k] for k in range(2)}
    if any(column.dtype.kind not in "biuf" for column in columns.values()):
        return None
    real = np.stack(list(columns.values()), axis=1).astype(np.float64)
    real = real[np.linspace(0, len(real) - 1, min(len(real), MADE)).round().astype(int)]
    made = model.sample(min(len(real), MADE), random_state=0)
    made = np.stack(list((columns_of(made) or {"0": made[:, 0], "1": made[:, 1]}).values()), axis=1)
    first, second = columns
    return Picture(
        figures.points(real, made, axes=(first, second)),
        "Rows that the generator made, over as many of the data.",
        wide=False,
    )


def pictured(model: Any, rows: Any, caption: str = "Rows that were drawn.") -> Picture | Table:
    """Rows of a model in the form to be shown: images, sequences, or a table of the first."""
    kind = model.form_["kind"]
    if kind == "images":
        C, Y, X = (int(size) for size in model.form_["layout"]["shape"])
        seen = as_drawn(np.asarray(rows, dtype=np.float64), (C, Y, X))
        least, most = float(seen.min()), float(seen.max())
        limits = (0.0, max(most, 1e-9)) if least >= 0 else (least, most)
        return Picture(figures.image_rows(seen, limits=limits), caption, wide=False)
    if kind == "sequences":
        lines = [np.asarray(row, dtype=np.float64).reshape(len(row), -1)[:, 0] for row in list(rows)[:5]]
        longest = max(map(len, lines))
        padded = np.stack([np.pad(line, (0, longest - len(line)), constant_values=np.nan) for line in lines])
        return Picture(figures.restored({"drawn": padded}), caption)
    if isinstance(rows, np.ndarray):
        columns = {f"x{k}": rows[:, k] for k in range(rows.shape[1])}
    else:
        columns = columns_of(rows)
    few = list(columns)[:8]
    cells = [[shown_value(columns[name][k]) for name in few] for k in range(min(len(rows), 8))]
    left = f" {len(columns) - 8} more columns are not shown." if len(columns) > 8 else ""
    return Table(few, cells, f"{caption}{left}")
