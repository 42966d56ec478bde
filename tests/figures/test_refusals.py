"""What cannot be drawn is refused with the reason."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regen import figures

Y = pd.Series(np.arange(6.0), index=pd.date_range("2000-01-01", periods=6, freq="MS"), name="sales")
BACKTEST = pd.DataFrame(
    {"origin": Y.index[3], "time": Y.index[4:5], "step": 1, "column": "sales", "forecast": 1.0}
)
IMAGES = "Each row must have images of one shape (n, Y, X) or (n, 3, Y, X). Got "
PAIRS = "y_true and y_pred must have the same shape (n,). Got (2,) and (1,)."
SEQUENCES = "sequences must be up to 3 arrays of one shape (n, T). Got "


def zeros(*shape: int) -> np.ndarray:
    """Zeros."""
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: figures.forecast(Y, BACKTEST, column="b"), "y has no column 'b'; it has sales."),
        (
            lambda: figures.forecast(Y.rename("other"), BACKTEST),
            "forecasts has no column 'other'; it has sales.",
        ),
        (
            lambda: figures.forecast(Y.rename("other"), Y[-3:]),
            "forecasts has no column 'other'; it has sales.",
        ),
        (
            lambda: figures.learning_curves({"epoch": [], "train.loss": []}),
            "history has no epochs. Fit the model first, and give its history_.",
        ),
        (
            lambda: figures.loss_per_step(zeros(2, 2)),
            "losses must have shape (copies,). Got (2, 2) instead.",
        ),
        (lambda: figures.confusion([1, 2], [1]), PAIRS),
        (lambda: figures.predicted_vs_actual([1, 2], [1]), PAIRS),
        (
            lambda: figures.confusion([1, 2], [1, 3], labels=[1, 2]),
            "The label 3 is not among labels: 1, 2.",
        ),
        (lambda: figures.image_rows(zeros(4, 4)), f"{IMAGES}(4, 4)."),
        (lambda: figures.image_rows(zeros(0, 4, 4)), f"{IMAGES}(0, 4, 4)."),
        (
            lambda: figures.image_rows({"a": zeros(2, 4, 4), "b": zeros(2, 4, 5)}),
            f"{IMAGES}(2, 4, 5) in 'b' and (2, 4, 4) before it.",
        ),
        (lambda: figures.code_map(zeros(4, 3)), "codes must have shape (n, 2). Got (4, 3) instead."),
        (
            lambda: figures.code_map(zeros(4, 2), decoded=zeros(2, 2, 3, 3)),
            "decoded and extent belong together. Give both, or none.",
        ),
        (
            lambda: figures.restored({"a": zeros(2, 3), "b": zeros(2, 4)}),
            f"{SEQUENCES}(2, 3), (2, 4).",
        ),
        (lambda: figures.restored({"a": zeros(3)}), f"{SEQUENCES}(3,)."),
        (
            lambda: figures.restored({k: zeros(1, 2) for k in "abcd"}),
            f"{SEQUENCES}(1, 2), (1, 2), (1, 2), (1, 2).",
        ),
        (
            lambda: figures.points(zeros(4, 3), zeros(2, 2)),
            "real must have shape (n, 2). Got (4, 3) instead.",
        ),
        (lambda: figures.points(zeros(2, 2), zeros(4)), "made must have shape (n, 2). Got (4,) instead."),
        (
            lambda: figures.points(zeros(2, 2), zeros(0, 2)),
            "made must have shape (n, 2). Got (0, 2) instead.",
        ),
    ],
)
def test_what_cannot_be_drawn(draw: Callable[[], Any], sentence: str) -> None:
    """Columns that are missing, shapes that do not fit, and labels left out."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        draw()
