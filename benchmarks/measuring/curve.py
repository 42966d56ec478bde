"""A measure against steps of training, on a run that goes on from its checkpoint."""

import csv
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parents[2] / "build" / "bench"


def curve(
    fit: Callable[[int, str], Any],
    measure: Callable[[Any], Mapping[str, float]],
    steps: range,
    out: Path,
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Rows of `steps`, of the result of `measure` at that step, and of the processor time of all its fits.

    `fit` trains a model up to so many steps, going on from a checkpoint. Both files stay, so that a run that was cut
    off, or that has more steps, goes on from the last row; a run without its checkpoint begins again.
    """
    kept = BUILD / f"{out.stem}.checkpoint"
    kept.parent.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    if out.exists() and kept.exists():
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        kept.unlink(missing_ok=True)
    for count in steps:
        if rows and count <= int(rows[-1]["steps"]):
            continue
        begun = time.process_time()
        model = fit(count, str(kept))
        spent = time.process_time() - begun + (float(rows[-1]["fit_cpu_s"]) if rows else 0.0)
        rows.append({**about, "steps": count, **measure(model), "fit_cpu_s": round(spent, 1)})
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
        with out.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    return rows
