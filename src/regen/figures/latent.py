"""What a code holds: its units, a walk along one of them, the map of the rows, neighbours, and what is repaired."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen._check import Choice, Constraint, Either, Nothing, check_parameters
from regen.figures.images import code_map, image_rows
from regen.figures.restored import restored
from regen.figures.style import (
    BLUE,
    GREY,
    RULE,
    SHADED,
    TWO_SIDED,
    VERMILLION,
    colour_key,
    key,
    labelled,
    new_figure,
    shown,
)
from regen.inspection.display import DisplayRows
from regen.inspection.finding import figure_of
from regen.inspection.latent.codes import CodeMap, Codes, LatentTraversal, Neighbours
from regen.inspection.latent.repair import Repair

__all__ = ["neighbours", "places", "repaired", "units", "walk"]

ENDINGS = {1: "st", 2: "nd", 3: "rd"}
BARS, LINES = 24, 4
"""Bars, and lines, of which the names can be read."""
LETTERS = 16
"""Of a name that stands beside a figure; more leave no room for the figure on a phone."""
UNITS: Mapping[str, Constraint] = {"of": Either((Nothing(), Choice(("lost", "kl", "variance"))))}


@figure_of.register
def units(finding: Codes, *, of: str | None = None) -> Any:
    """A bar for each unit of a code, the one that matters most first; units that are not in use are grey.

    What to read: a few long bars and many short ones tell that a smaller code would do as well.

    Parameters
    ----------
    of : "lost", what the loss grows by when the unit says its mean, in percent; "kl", its divergence from the prior
        in nats; "variance" over the rows. None is "kl" where there is a prior, else "lost".
    """
    check_parameters("Codes.plot", UNITS, {"of": of})
    of = of or ("lost" if finding.kl is None else "kl")
    if of == "kl" and finding.kl is None:
        raise ValueError("of='kl' is for a VariationalAutoencoder, whose code has a prior. Take of='lost'.")
    share = 100 * (finding.losses / finding.loss - 1) if finding.loss > 0 else finding.losses
    sizes = np.asarray({"lost": share, "kl": finding.kl, "variance": finding.variance}[of])
    titles = {
        "lost": "loss without the unit (% more)",
        "kl": "divergence from the prior (nats per row)",
        "variance": "variance over the rows",
    }
    order = np.argsort(-sizes, kind="stable")[:BARS]
    names = [f"unit {k}" for k in order]
    figure = bars(names, sizes[order], [BLUE if finding.active[k] else GREY for k in order], titles[of])
    if len(sizes) > BARS:
        figure.update_yaxes(title_text=f"the first {BARS} of {len(sizes)} units")
    return figure


@figure_of.register
def walk(finding: LatentTraversal, *, columns: int = LINES) -> Any:
    """What codes along a line stand for.

    What to read: what changes from left to right is what the unit says; what stays, it does not.

    Parameters
    ----------
    columns : of a table, how many are drawn: those that change most.
    """
    title = "share of the way" if finding.unit is None else f"value of unit {finding.unit}"
    seen, at = finding.decoded, finding.positions
    if seen.kind == "images":
        return _pictures_along(seen, at, title)
    if seen.kind == "sequences":
        return _sequences_along(seen, at, title)
    change = np.ptp(seen.values, axis=0)
    most = np.argsort(-change, kind="stable")[:columns]
    figure = labelled({_cut(seen.names[k]): (at, seen.values[:, k]) for k in most}, mode="lines+markers")
    figure.update_xaxes(title_text=title)
    figure.update_yaxes(title_text="what is restored (standard deviations)", range=None)
    return figure


@figure_of.register
def places(finding: CodeMap, labels: ArrayLike | None = None) -> Any:
    """Rows as points of a plane, over what its places stand for; see `code_map`.

    Parameters
    ----------
    labels : (n,) what is drawn at each point, such as a class; None draws dots.
    """
    decoded = finding.decoded
    if decoded is None or decoded.kind != "images":
        return code_map(finding.points, labels, axes=finding.axes)
    side = round(len(decoded) ** 0.5)
    grid = decoded.values.reshape(side, side, *decoded.values.shape[1:])
    under = {"decoded": grid, "extent": finding.extent, "limits": decoded.limits}
    return code_map(finding.points, labels, axes=finding.axes, **under)  # type: ignore[arg-type]


@figure_of.register
def neighbours(finding: Neighbours, *, feature: int = 0) -> Any:
    """The rows asked about, and below or over each the rows nearest in the code.

    What to read: neighbours should be alike in what matters to you. Where they are not, the code has learned to tell
    something else.

    Parameters
    ----------
    feature : of sequences, which one is drawn.
    """
    seen, k = finding.data, finding.nearest.shape[1]
    if seen.kind == "images":
        near = {_ordinal(rank + 1): seen.values[finding.nearest[:, rank]] for rank in range(k)}
        return image_rows({"row": seen.values[finding.rows], **near}, limits=seen.limits)
    if seen.kind == "sequences":
        asked, nearest = finding.rows[:4], finding.nearest[:4, 0]
        lines = {"row": seen.values[asked, :, feature], "nearest": seen.values[nearest, :, feature]}
        return restored(lines, unit=seen.names[feature])
    together = np.concatenate([finding.rows[:4, None], finding.nearest[:4]], axis=1)
    names = [f"row {row}" if rank == 0 else _ordinal(rank) for rank, row in _ranked(together)]
    return table_of_rows(seen.values[together.ravel()], seen.names, names)


@figure_of.register
def repaired(finding: Repair) -> Any:
    """How far off every cell is before the repair and after it.

    What to read: after should be lower than before nearly everywhere. Of images, the maps are in one colour scale.
    """
    if finding.shape is not None:
        before, after = (
            np.sqrt((each**2).reshape(finding.shape).mean(axis=0)) for each in (finding.before, finding.after)
        )
        return _two_maps(before, after, "error (standard deviations)")
    order = np.argsort(-finding.before, kind="stable")[:BARS]
    names = [finding.names[k] for k in order]
    figure = bars(names, finding.before[order], [RULE] * len(order), "error (standard deviations)")
    figure.data[0].update(name="before", text=None)
    worse = finding.after[order] > finding.before[order]
    figure.add_bar(
        x=finding.after[order],
        y=np.arange(len(order)),
        width=0.35,
        orientation="h",
        name="after",
        marker={"color": np.where(worse, VERMILLION, BLUE).tolist()},
        hovertemplate="after %{x:.3g}<extra></extra>",
    )
    words = {"before": GREY, "after": BLUE} | ({"after, and worse": VERMILLION} if worse.any() else {})
    figure.update_layout(title=key(words), barmode="overlay", margin_r=12)
    return figure


def bars(names: list[str], sizes: NDArray[Any], colours: Any, title: str) -> Any:
    """Bars that lie below each other, with a name each; the first on top."""
    at = np.arange(len(names))
    figure = new_figure(height=100 + 22 * len(names), hovermode="closest")
    figure.add_bar(
        x=sizes,
        y=at,
        orientation="h",
        marker={"color": colours},
        name=shown(title),
        text=[f"{size:.3g}" for size in sizes],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x:.4g}<extra></extra>",
    )
    figure.update_yaxes(
        tickvals=at, ticktext=[shown(name, LETTERS) for name in names], autorange="reversed", showgrid=False
    )
    figure.update_xaxes(title_text=shown(title), rangemode="tozero")
    if np.nanmin(sizes, initial=0.0) < 0:  # room for numbers at both ends
        low, high = float(np.nanmin(sizes)), max(float(np.nanmax(sizes)), 0.0)
        figure.update_xaxes(range=[low - 0.3 * (high - low), high + 0.1 * (high - low)], rangemode=None)
    figure.update_layout(margin_r=56)
    return figure


def _pictures_along(seen: DisplayRows, at: NDArray[Any], title: str) -> Any:
    """Images side by side, each over its place on the line."""
    figure = image_rows(seen.values, limits=seen.limits, columns=len(seen))
    X = seen.values.shape[-1]
    figure.update_xaxes(
        visible=True,
        tickvals=(X + 1) * np.arange(len(at)) + X / 2 - 0.5,
        ticktext=[f"{place:.2g}" for place in at],
        ticks="",
        showline=False,
        title_text=title,
    )
    figure.update_layout(height=(figure.layout.height or 0) + 50)
    return figure


def _sequences_along(seen: DisplayRows, at: NDArray[Any], title: str) -> Any:
    """The first feature of sequences in one picture, from the palest to the darkest."""
    figure = new_figure()
    for k, (steps, place) in enumerate(zip(seen.values[..., 0], at, strict=True)):
        share = k / (len(at) - 1)
        colour = "#" + "".join(
            f"{round(low + (high - low) * share):02x}" for low, high in ((201, 0), (222, 60), (238, 110))
        )
        figure.add_scatter(
            x=np.arange(len(steps)),
            y=steps,
            mode="lines",
            name=f"{place:.2g}",
            line={"color": colour, "width": 2},
            hovertemplate="%{y:.3g}",
        )
    ends = {f"{title} {at[0]:.2g}": "#8fb4d4", f"{at[-1]:.2g}": "#003c6e"}
    figure.update_layout(title=key(ends))
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text=shown(seen.names[0]))
    return figure


def table_of_rows(values: NDArray[Any], columns: Sequence[str], names: Sequence[str]) -> Any:
    """Rows (m, E) of a table as shades of their columns, in standard deviations."""
    limit = float(np.nanmax(np.abs(values), initial=1e-9))
    figure = new_figure(height=120 + 20 * len(values), hovermode="closest")
    figure.add_heatmap(
        z=np.clip(values, -3, 3),
        zmin=-min(limit, 3),
        zmax=min(limit, 3),
        colorscale=TWO_SIDED,
        colorbar=colour_key("sd"),
        customdata=np.broadcast_to(np.array(columns, dtype=object), values.shape),
        hovertemplate="%{customdata}: %{z:.2f} standard deviations<extra></extra>",
        name="rows",
    )
    places = np.arange(len(columns))
    figure.update_xaxes(
        title_text="column",
        tickvals=places,
        ticktext=[shown(name, LETTERS) for name in columns],
        tickangle=-45,
    )
    at = np.arange(len(names))
    figure.update_yaxes(tickvals=at, ticktext=names, autorange="reversed", showgrid=False)
    return figure


def _two_maps(before: NDArray[Any], after: NDArray[Any], title: str) -> Any:
    """Two images of errors side by side."""
    Y, X = before.shape
    figure = new_figure(height=60 + round(200 * min(max(Y / X, 0.5), 1.6)), hovermode="closest")
    high = float(max(before.max(), after.max(), 1e-12))
    for k, (name, errors) in enumerate((("before", before), ("after", after))):
        own = str(k + 1) if k else ""
        figure.add_heatmap(
            z=errors,
            zmin=0,
            zmax=high,
            xaxis=f"x{own}",
            yaxis=f"y{own}",
            name=name,
            colorscale=SHADED,
            showscale=k == 1,
            colorbar=colour_key("error"),
            hovertemplate=f"{name}: %{{z:.3g}} at row %{{y}}, column %{{x}}<extra></extra>",
        )
        figure.layout[f"xaxis{own}"] = {
            "domain": [0.53 * k, 0.47 + 0.53 * k],
            "anchor": f"y{own}",
            "title": {"text": f"{name}: {float(np.sqrt((errors**2).mean())):.3g}"},
            "showticklabels": False,
            "ticks": "",
            "constrain": "domain",
        }
        figure.layout[f"yaxis{own}"] = {
            "anchor": f"x{own}",
            "scaleanchor": f"x{own}",
            "autorange": "reversed",
            "visible": False,
            "constrain": "domain",
        }
    figure.update_layout(
        title={"text": shown(title), "x": 0, "xref": "container", "y": 0.98, "font": {"size": 13}}
    )
    return figure


def _ranked(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Each number (m, k) with its place in its row."""
    return [(rank, row) for each in rows.tolist() for rank, row in enumerate(each)]


def _cut(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _ordinal(rank: int) -> str:
    return f"{rank}{ENDINGS.get(rank if rank < 20 else rank % 10, 'th')}"
