"""The CSV of the grid, and the table made of it."""

import csv
import math
import statistics
from collections.abc import Iterable
from pathlib import Path

COLUMNS = (
    "family", "peer", "T", "B", "I", "H", "input_grad", "backend", "threads", "rounds", "ours_s", "peer_s", "ratio",
    "gflops", "peak_gflops", "share", "output_error", "gradient_error",
)  # fmt: skip
KEY = COLUMNS[:7]


def read(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows by their place on the grid; none where there is no file."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {tuple(row[column] for column in KEY): row for row in csv.DictReader(file)}


def write(path: Path, rows: dict[tuple[str, ...], dict[str, str]]) -> None:
    """All rows, in place of what the file held."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        table.writerows(rows.values())


def place(row: dict[str, str]) -> str:
    return f"T={row['T']} B={row['B']} I={row['I']} H={row['H']}"


def show(rows: Iterable[dict[str, str]]) -> None:
    """One line for each family and peer: ratios over its points, the worst, and the share of the peak."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["family"], row["peer"], row["input_grad"]), []).append(row)
    print(f"\n{'':15}{'':15}{'':>6}{'times as fast as the peer':>28}{'':26}{'share of the':>13}")
    print(f"{'family':15}{'peer':15}{'points':>6}{'mean':>8}{'worst':>8}{'below 1':>9}", end="")
    print(f"   {'at':26}{'peak, H>=128':>13}")
    for (family, peer, input_grad), found in groups.items():
        ratios = [float(row["ratio"]) for row in found]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        worst = min(found, key=lambda row: float(row["ratio"]))
        below = sum(ratio < 1 for ratio in ratios)
        name = family + (" +dx" if input_grad == "True" else "")
        print(f"{name:15}{peer:15}{len(found):6}{mean:8.2f}{float(worst['ratio']):8.2f}{below:9}", end="")
        shares = [float(row["share"]) for row in found if row.get("share")]
        peak_share = f"{min(shares):.0%} to {max(shares):.0%}" if shares else ""
        print(f"   {place(worst):26}{peak_share:>13}")
    print(
        "mean: geometric; share: of the multiply-add loop's speed where H >= 128 and B >= 64, lowest to highest"
    )
