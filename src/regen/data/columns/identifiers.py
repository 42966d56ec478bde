"""Columns that identify single rows: names, e-mail addresses, numbers of customers and of cards, free text.

A model that is trained on them learns single rows by heart, and its samples repeat them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._check import closest
from regen.data.dataframes import open_dataframe
from regen.data.table_input import Cells

__all__ = ["find_identifiers", "holds_written_dates", "known_columns", "merged", "without"]

LEAST_VALUES = 20
"""Distinct values of an identifier, at least: fewer are categories that happen to differ."""
DISTINCT_TEXTS = 0.8
"""Share of the cells of a column of text that differ, at least: two persons may have one name."""
DISTINCT_NUMBERS = 0.95
"""Share of the cells of a column of whole numbers that differ, at least."""
LONG = 9
"""Digits of the numbers of cards, telephones and insurances, at least."""
COUNTED = 1.1
"""Length of the range of numbers counted up, at most, as a multiple of the numbers in it."""
NAMING = frozenset(
    {
        *(
            "account",
            "card",
            "guid",
            "iban",
            "id",
            "ids",
            "identifier",
            "imei",
            "isbn",
            "key",
            "mobile",
            "no",
            "nr",
        ),
        *("number", "passport", "phone", "rowid", "serial", "ssn", "tel", "telephone", "uuid"),
    }
)
"""Words in the names of such columns."""
YEARS = (1500, 2200)
TIMESTAMPS = ((8e8, 2.2e9), (8e11, 2.2e12))
"""Seconds and milliseconds since 1970 that are dates of our time."""
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T].*)?")


def find_identifiers(cells: Cells) -> list[str]:
    """Names of the columns, of a table that has names, in which nearly all values differ from each other.

    They are columns of text in which at least 80 % of the values differ, and of whole numbers, none of them negative,
    in which 95 % do and which are named so (``id``, ``customer_no``), count rows up, or have at least 9 digits, all
    equally many. Years, and seconds or milliseconds since 1970, are none; nor are numbers with decimals.
    """
    if not cells.named:
        return []
    return [name for k, name in enumerate(cells.names) if _identifies(cells, k)]


def _identifies(cells: Cells, k: int) -> bool:
    column, stored = cells.values[:, k], cells.stored[k]
    seen = column[~np.isnan(column)]
    levels, exact = cells.levels[k], cells.exact[k]
    if levels is not None:
        return len(levels) >= max(LEAST_VALUES, DISTINCT_TEXTS * len(seen))
    if stored not in ("int", "byte", "float") or len(seen) < LEAST_VALUES or (seen < 0).any():
        return False
    if stored == "float" and (seen != np.floor(seen)).any():
        return False
    distinct = np.unique(seen if exact is None else exact)
    if len(distinct) < max(LEAST_VALUES, DISTINCT_NUMBERS * len(seen)):
        return False
    return bool(_words(cells.names[k]) & NAMING) or _counts_rows(distinct) or _is_long(distinct)


def _words(name: str) -> set[str]:
    """The words of a name, in small letters: those of "customerId" and "CUSTOMER_ID" are one."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word.lower() for word in re.findall(r"[A-Za-z]+", parts)}


def _counts_rows(distinct: NDArray[Any]) -> bool:
    low, high = float(distinct[0]), float(distinct[-1])
    return high - low + 1 <= COUNTED * len(distinct) and not (YEARS[0] <= low and high <= YEARS[1])


def _is_long(distinct: NDArray[Any]) -> bool:
    """Whether nearly all have equally many digits, at least 9, and are no seconds since 1970."""
    if any(low <= float(distinct[0]) and float(distinct[-1]) <= high for low, high in TIMESTAMPS):
        return False
    lengths = np.array([len(str(int(each))) for each in distinct.tolist()])
    usual = int(np.bincount(lengths).argmax())
    return usual >= LONG and bool((lengths == usual).mean() >= DISTINCT_NUMBERS)


def holds_written_dates(cells: Cells, name: str) -> bool:
    """Whether a column of text holds nothing but dates, such as 2024-05-31."""
    levels = cells.levels[cells.names.index(name)]
    return levels is not None and all(isinstance(each, str) and DATE.fullmatch(each) for each in levels)


def known_columns(X: Any, names: Sequence[Any]) -> list[str]:
    """The `names` as text, each that of a column of X (n, F).

    Raises
    ------
    ValueError
        For one that is none, or where X has no names.
    """
    own = _names(X)
    if own is None:
        raise ValueError(
            "identifiers names columns, and X has no names. Give a dataframe, or leave them out of X."
        )
    for name in names:
        if str(name) not in own:
            raise ValueError(f"X has no column {name!r}, which identifiers names.{closest(str(name), own)}")
    return [str(name) for name in names]


def without(X: Any, names: Sequence[str]) -> Any:
    """A dataframe X (n, F) without those of the columns `names` that it has; anything else as it is."""
    own = _names(X) if names else None
    if own is None or not set(own) & set(names):
        return X
    kept = [k for k, name in enumerate(own) if name not in names]
    if nw.dependencies.is_pandas_like_dataframe(X):
        return X.iloc[:, kept]
    table: Any = open_dataframe(X)
    return table[:, kept].to_native()


def merged(X: Any, part: Any, names: Sequence[str]) -> Any:
    """The dataframe X (n, F) with its columns replaced by those of `part`, which lacks the columns `names`."""
    own = _names(X) if names else None
    if own is None or not set(own) & set(names):
        return part
    kept = [k for k, name in enumerate(own) if name not in names]
    if nw.dependencies.is_pandas_like_dataframe(X):
        whole = X.copy()
        for place, k in enumerate(kept):
            whole.isetitem(k, part.iloc[:, place])
        return whole
    table: Any = open_dataframe(X)
    new: Any = open_dataframe(part)
    return table.with_columns(*new.iter_columns()).to_native()


def _names(X: Any) -> list[str] | None:
    """Names of the columns of a dataframe, None for anything else."""
    table = open_dataframe(X)
    if not isinstance(table, nw.DataFrame):
        return None
    native = table.to_native()
    return [
        str(name) for name in (native.columns if table.implementation.is_pandas_like() else table.columns)
    ]
