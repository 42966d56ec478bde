"""`regen predict` and `regen backtest`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.base import is_classifier

from regen._check import Either, Int, Number
from regen.cli.flags import parameter_help
from regen.cli.io import read_known_sequences
from regen.cli.run_options import EscapeFormulas, RunPath, loaded, read_flag
from regen.cli.runs import described, refuse_unfinished
from regen.cli.tables import columns_of, text_table
from regen.data.dataframes import frame
from regen.data.io.tables import read_table, write_table
from regen.estimators.forecasting.forecaster import Forecaster
from regen.estimators.forecasting.intervals import LEVEL, check_levels
from regen.metrics import forecast_scores
from regen.persistence import load

__all__ = ["backtest", "predict"]

PREDICT, BACKTEST = parameter_help(Forecaster.predict), parameter_help(Forecaster.backtest)
NEXT = "New rows that follow those fitted (forecaster), or sequences to predict (.ts, .csv, .parquet, .npz)."
SEVERAL = "Can be given several times."
FILE = "Write to this CSV or Parquet file instead of the terminal."

Output = Annotated[Path | None, typer.Option("--output", "-o", help=FILE, show_default=False)]


def predict(
    run: RunPath,
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help=NEXT, show_default=False)] = None,
    horizon: Annotated[
        str | None, typer.Option(metavar="INT", help=PREDICT["horizon"], show_default=False)
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="PERCENT,...", help=f"{PREDICT['level']} {SEVERAL}", show_default=False),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of a wide table to leave out.", show_default=False),
    ] = None,
    output: Output = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Forecast what follows, or predict sequences, with a run."""
    model = loaded(run, "predict")
    if model.command.data == "series":
        _refuse_flags(model, label=label)
        if data is not None:
            model.update(read_table(data))
        steps = read_flag(model, "--horizon", Int(1), horizon)
        predicted = model.predict(steps, level=_levels(model, level))
    else:
        _refuse_flags(model, horizon=horizon, level=level or None)
        if data is None:
            raise ValueError(
                f"The {type(model).__name__} in {str(run)!r} predicts sequences. Give a file of them."
            )
        predicted = _predictions(model, data, label or described(run).get("label"))
    _give(predicted, output, escape_formulas)


def backtest(
    run: RunPath,
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="CSV or Parquet file of a whole series.", show_default=False),
    ],
    start: Annotated[
        str, typer.Option(metavar="SHARE|INT", help=f"{BACKTEST['start']} [default: 0.8]", show_default=False)
    ] = "0.8",
    stride: Annotated[
        str | None, typer.Option(metavar="INT", help=BACKTEST["stride"], show_default=False)
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="PERCENT,...", help=f"{BACKTEST['level']} {SEVERAL}", show_default=False),
    ] = None,
    refit: Annotated[
        bool, typer.Option(help=f"{BACKTEST['refit']} [default: no]", show_default=False)
    ] = False,
    output: Output = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Forecast from many origins along a series; compare with the observed values and a seasonal naive forecast."""
    refuse_unfinished(run)
    model = load(run)
    if "backtest" not in model.capabilities:
        raise ValueError(f"A backtest is for a Forecaster. {str(run)!r} holds a {type(model).__name__}.")
    share = Either((Int(1), Number(0, 1, low_open=True, high_open=True)))
    result = model.backtest(
        read_table(data),
        start=read_flag(model, "--start", share, start),
        stride=read_flag(model, "--stride", Int(1), stride),
        level=_levels(model, level),
        refit=refit,
    )
    if output is not None:
        write_table(output, result.forecasts, escape_formulas=escape_formulas)
    typer.echo(_score_table(result))


def _levels(model: Forecaster, texts: Sequence[str] | None) -> list[float] | None:
    """``80,95`` or ``80`` and ``95`` as numbers."""
    if not texts:
        return None
    levels: list[Any] = []
    for part in (part for text in texts for part in text.split(",")):
        levels.append(part)
        with suppress(ValueError):
            levels[-1] = LEVEL.parse(part)
    return list(check_levels(levels, type(model).__name__, "--level"))


def _refuse_flags(model: Any, **flags: object) -> None:
    for name, value in flags.items():
        if value is not None:
            raise ValueError(f"A {type(model).__name__} does not take --{name}. Leave it out.")


def _predictions(model: Any, data: Path, label: str | None) -> Any:
    """A row per sequence: its number, the prediction, and for classes the probability of each."""
    X = read_known_sequences(data, label).rows.arrays()
    columns: dict[str, Any] = {"sequence": np.arange(len(X))}
    if is_classifier(model):
        probabilities = model.predict_proba(X)
        columns["label"] = model.classes_[probabilities.argmax(axis=1)]
        return frame(columns | {f"p_{name}": probabilities[:, k] for k, name in enumerate(model.classes_)})
    return frame(columns | {"prediction": model.predict(X)})


def _give(table: Any, output: Path | None, escape_formulas: bool) -> None:
    if output is None:
        typer.echo(text_table(columns_of(table)))
    else:
        write_table(output, table, escape_formulas=escape_formulas)
        typer.echo(f"Written to {output}.")


def _score_table(result: Any) -> str:
    """The scores, with those of the seasonal naive forecast where they exist."""
    columns = {name: np.asarray(values) for name, values in columns_of(result.forecasts).items()}
    y, naive = (columns[name].reshape(-1, 1, 1) for name in ("y", "naive"))
    plain = forecast_scores(y, naive, naive, np.zeros(1), {})
    shown = {name: value for name, value in result.scores.items() if name != "naive_mae"}
    table = {
        "score": list(shown),
        "forecaster": [f"{value:.4f}" for value in shown.values()],
        "seasonal-naive": [
            f"{plain[name]:.4f}" if name in ("mae", "rmse", "smape") else "" for name in shown
        ],
    }
    return f"{text_table(table)}\n{result.n_origins} forecasts of {len(y) // result.n_origins} values"
