"""Tables with dates and identifiers from the command line: fitted, sampled, scored and imputed as CSV files."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings(
    "ignore:The generated rows cover",
    "ignore:The discriminator has won",
    "ignore:None of the 2 units of the code",
    "ignore:Only 1 of the 2 units",
    "ignore:code=.* is more than the",
    "always:The column 'name' of X identifies",
)

QUICK = ("--max-epochs", "1", "--max-steps", "3", "--random-state", "0")
DAYS = np.datetime64("1980-01-01") + np.random.default_rng(0).integers(0, 9000, 60)
AGES = np.random.default_rng(1).integers(18, 80, 60)


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> None:
    """people.csv in the folder in which `regen` runs."""
    rows = [f"P{k},{DAYS[k]},{AGES[k]},{AGES[k] / 4:.2f}" for k in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["name,born,age,pay", *rows]) + "\n")


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as they are written."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["gan", "vae"])
def test_dates_and_names_of_a_csv_file(kind: str, regen: Any, output: Any, tmp_path: Path) -> None:
    """Names are left out with a warning; days are sampled as days, ages as whole numbers, pay in cents."""
    fitted = regen("fit", kind, "people.csv", *QUICK, "--hidden", "8", "-o", "run")
    assert "The column 'name' of X identifies single rows" in fitted.stderr
    output("sample", "run", "-n", "200", "--random-state", "0", "-o", "new.csv")
    rows = read(tmp_path / "new.csv")
    assert list(rows[0]) == ["born", "age", "pay"] and len(rows) == 200
    assert {len(row["born"]) for row in rows} == {len("1980-01-01")}
    assert str(DAYS.min()) <= min(row["born"] for row in rows) and max(row["born"] for row in rows) <= str(
        DAYS.max()
    )
    assert {row["age"] for row in rows} <= {str(age) for age in range(AGES.min(), AGES.max() + 1)}
    assert all(float(row["pay"]) == round(float(row["pay"]), 2) for row in rows)
    output("score", "run", "people.csv", "-o", "with.csv")
    output("score", "run", "new.csv", "-o", "without.csv")
    assert len(read(tmp_path / "with.csv")) == 60 and len(read(tmp_path / "without.csv")) == 200


def test_flags_of_columns(output: Any, tmp_path: Path) -> None:
    """--identifiers keep, names of columns, and ranges."""
    output("fit", "vae", "people.csv", *QUICK, "--identifiers", "keep", "--bounds", "none", "-o", "kept")
    output("sample", "kept", "-n", "300", "--random-state", "0", "-o", "kept.csv")
    kept = read(tmp_path / "kept.csv")
    assert {row["name"] for row in kept} <= {f"P{k}" for k in range(60)}
    assert min(int(row["age"]) for row in kept) < AGES.min()
    ranges = ("--bounds", "age=20..30", "--bounds", "born=1990-01-01..1990-12-31", "--bounds", "pay=..9.5")
    output("fit", "vae", "people.csv", *QUICK, "--identifiers", "name", *ranges, "-o", "chosen")
    output("sample", "chosen", "-n", "100", "--random-state", "0", "-o", "chosen.csv")
    chosen = read(tmp_path / "chosen.csv")
    assert list(chosen[0]) == ["born", "age", "pay"]
    assert {row["born"][:4] for row in chosen} == {"1990"}
    assert all(20 <= int(row["age"]) <= 30 and float(row["pay"]) <= 9.5 for row in chosen)


def test_imputed_files_keep_every_column(output: Any, tmp_path: Path) -> None:
    """Names that were left out are written as they are; a missing day is filled by a day."""
    output("fit", "denoiser", "people.csv", *QUICK, "--corruption", "mask", "-o", "run")
    rows = (tmp_path / "people.csv").read_text().splitlines()
    rows[1] = f"P0,,{AGES[0]},"
    (tmp_path / "gaps.csv").write_text("\n".join(rows) + "\n")
    output("impute", "run", "gaps.csv", "-o", "filled.csv")
    first, second, *_ = read(tmp_path / "filled.csv")
    assert list(first) == ["name", "born", "age", "pay"] and first["name"] == "P0"
    assert np.datetime64(first["born"]) >= DAYS.min() and first["age"] == str(AGES[0]) and first["pay"]
    assert second["born"] == str(DAYS[1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--identifiers", "keep", "--identifiers", "name"),
         "--identifiers keep stands alone. Give it once, or names of columns to leave out."),
        (("--bounds", "none", "--bounds", "age=1..2"),
         "--bounds none stands alone. Give it once, or ranges of columns."),
        (("--bounds", "age"), "--bounds must be data, none or NAME=LOW..HIGH, as age=0..120. Got 'age' instead."),
        (("--identifiers", "name", "--bounds", "age=old..9"),
         "bounds of 'age' must be numbers, as the column holds them. Got 'old' instead."),
        (("--identifiers", "nane"), "X has no column 'nane', which identifiers names. Did you mean 'name'?"),
    ],
)  # fmt: skip
def test_flags_that_do_not_fit(flags: tuple[str, ...], message: str, refusal: Any) -> None:
    """Words beside names, and ranges that are none."""
    assert refusal("fit", "vae", "people.csv", *QUICK, *flags).endswith(message)


def test_formulas_are_escaped_on_demand(output: Any, tmp_path: Path) -> None:
    """Texts that a spreadsheet would compute are written as they are, or with ' before them."""
    x = np.random.default_rng(0).normal(size=60)
    kinds = ["=1+1", "-a", "plain"]
    lines = [f"{value:.3f},{kinds[k % 3]}" for k, value in enumerate(x)]
    (tmp_path / "cells.csv").write_text("\n".join(["x,@kind", *lines]) + "\n")
    fit = ("fit", "autoencoder", "cells.csv", "--max-epochs", "1", "--code", "1", "--random-state", "0")
    output(*fit, "-o", "runs/a")
    texts = {}
    for flag in ((), ("--escape-formulas",)):
        output("reconstruct", "runs/a", "cells.csv", *flag, "-o", "out.csv")
        rows = read(tmp_path / "out.csv")
        name = list(rows[0])[1]
        texts[flag] = {name, *(row[name] for row in rows)}
    assert texts[()] <= {"@kind", *kinds} and len(texts[()]) > 1
    escaped = {"'@kind", "'=1+1", "'-a", "plain"}
    assert (
        texts["--escape-formulas",]
        == {"'" + text if text != "plain" else text for text in texts[()]}
        <= escaped
    )
