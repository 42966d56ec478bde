"""Tables as plain text of at most 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw

__all__ = ["columns_of", "text_table"]

WIDTH = 80


def columns_of(table: Any) -> dict[str, list[Any]]:
    """Columns of any dataframe, or of a dict of columns, as lists."""
    if isinstance(table, Mapping):
        return {str(name): list(values) for name, values in table.items()}
    frame = nw.from_native(table, eager_only=True)
    return {name: frame[name].to_list() for name in frame.columns}


def text_table(columns: Mapping[str, Sequence[Any]]) -> str:
    """One line for each row under a line of names; columns that do not fit are counted at the end."""
    blocks = [_block(name, values) for name, values in columns.items()]
    shown: list[list[str]] = []
    used = 0
    for block in blocks:
        width = len(block[0])
        if shown and used + 2 + width > WIDTH:
            break
        used += width + (2 if shown else 0)
        shown.append([line[:WIDTH] for line in block])
    lines = ["  ".join(cells).rstrip() for cells in zip(*shown, strict=True)]
    if len(shown) < len(blocks):
        left = list(columns)[len(shown) :]
        lines.append(f"... and {len(left)} more columns, from {left[0]!r}; write all with -o.")
    return "\n".join(lines)


def _block(name: str, values: Sequence[Any]) -> list[str]:
    """A column as lines of one width: numbers to the right with as many decimals as they need, texts to the left."""
    numbers = [value for value in values if isinstance(value, float)]
    finite = [abs(value) for value in numbers if value - value == 0]
    decimals = _decimals(max(finite, default=0.0))
    cells = [name, *(_cell(value, decimals) for value in values)]
    width = max(map(len, cells))
    right = all(isinstance(value, int | float) for value in values)
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _decimals(largest: float) -> int:
    """Decimals that show a column of numbers up to `largest` with about six digits."""
    for decimals, bound in ((5, 1), (4, 100), (2, 10_000), (1, 1_000_000)):
        if largest < bound:
            return decimals
    return 0


def _cell(value: Any, decimals: int) -> str:
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    return str(value).removesuffix(" 00:00:00")
