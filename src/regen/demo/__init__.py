"""`regen demo`: every system on real data that ships with the package, compared with a baseline, on one page.

Each system is one function that trains, saves its models, and returns its rows of the table and its section of the
page; `SYSTEMS` lists them.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from time import monotonic

from regen.data.io.paths import make_folder
from regen.demo.adversarial import clusters, new_digits
from regen.demo.autoencoders import demand_days, denoised_digits, digit_samples, digits
from regen.demo.recurrent import exercises, sunspots
from regen.demo.result import HEADINGS, System
from regen.report import Section, Table, page
from regen.report.text import aligned

__all__ = ["run"]

SYSTEMS: Sequence[System] = (
    sunspots,
    exercises,
    digits,
    denoised_digits,
    digit_samples,
    demand_days,
    clusters,
    new_digits,
)
ERRORS = (
    "All errors are on data that the network was not trained on. Sunspots: mean absolute error of the forecasts, in"
    " sunspots, 1 to 11 years ahead. Exercises: share of misclassified sequences. Digits: root mean square error of"
    " the pixels, in percent of the range from white to black. Demand: root mean square error, in gigawatts. Clusters"
    " and new digits: how well a nearest-neighbour classifier distinguishes real from generated rows, 0 % is random"
    " guessing and 100 % is always."
)


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
        "regen demo: networks that remember, compress and compete",
        [results, *(outcome.section for outcome in outcomes)],
        folder / "index.html",
        lead=(
            "A feed-forward network treats each input independently. The networks in the first part of this page have"
            " feedback: their previous output is an input of the next step, so they have memory. Those in the second"
            " part compress each input to a code of a few numbers, which must keep what matters; those in the last"
            " part are pairs of networks that compete.",
            f"All data are real except the clusters of points. Trained in {seconds} on this machine."
            + (" This was a quick run of two epochs: the networks have hardly learned." if quick else "")
            + " The inspection page of every network is linked in its section.",
        ),
        foot="Data and their licences: `help(regen.datasets)`. This page needs no network connection.",
    )
    print("\n".join([*aligned([HEADINGS, *cells]), "", f"{seconds}; the page is {written}"]))
    return written
