"""`regen demo`: every system on real data that ships with the package, beside a baseline, on one page.

Each system is one function that trains, saves its models, and returns its rows of the table and its section of the
page; `SYSTEMS` lists them.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from time import monotonic

from regen.data.io.paths import make_folder
from regen.demo.adversarial import clumps, forged
from regen.demo.autoencoders import days, digits, drawn, repaired
from regen.demo.recurrent import exercises, sunspots
from regen.demo.result import HEADINGS, System
from regen.report import Section, Table, page
from regen.report.text import aligned

__all__ = ["run"]

SYSTEMS: Sequence[System] = (sunspots, exercises, digits, repaired, drawn, days, clumps, forged)
ERRORS = (
    "All errors are on data that the network was not trained on. On sunspots: the mean distance between forecast and"
    " truth, in sunspots, 1 to 11 years ahead. On exercises: the share of sequences told wrongly. On digits: the root"
    " mean square distance from the true pixels, in percent of the way from white to black. On demand: the same"
    " distance from the true demand, in gigawatts. On clumps and new digits: how well a row's nearest neighbour tells"
    " whether the row is real or was made, 0 % by a guess and 100 % always."
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
            "A feed-forward network answers each question afresh. The networks in the first half of this page have"
            " feedback: what they said before comes back to them with the next input, and so they remember. Those in"
            " the second half squeeze what they read through a few numbers, and so must find out what matters; the"
            " last ones come in pairs that compete.",
            f"Real data but for the clumps of points, trained in {seconds} on the machine that wrote this page."
            + (" This was a quick run of two epochs: the networks have hardly learned." if quick else "")
            + " Every network has a page of its own on what is found inside it, linked where it is told of.",
        ),
        foot="Data and their licences: `help(regen.datasets)`. This page needs no network connection.",
    )
    print("\n".join([*aligned([HEADINGS, *cells]), "", f"{seconds}; the page is {written}"]))
    return written
