"""Commands of forecasters and sequence estimators: files, output and refusals."""

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import regen as package
from regen.training.loop import _Run

QUICK = ("--max-epochs", "1", "--hidden", "3", "--random-state", "0")
SERIES = ("--window", "6", "--horizon", "3", *QUICK)


def table_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


def fitted(regen: Any, data: str, *words: object) -> Path:
    """A run of a small forecaster."""
    result = regen("fit", "forecaster", data, *SERIES, "-o", "runs/a", *words)
    assert result.exit_code == 0, result.output
    return Path("runs/a")


def test_fit_a_forecaster(regen: Any, sales: str) -> None:
    """The run folder holds the model that Python would have fitted, its history and what made it."""
    run = fitted(regen, sales, "--time", "month", "--target", "units", "--clip", "none", "--loss", "huber")
    assert sorted(path.name for path in run.iterdir()) == ["history.csv", "model.safetensors", "run.json"]
    model = package.load(run)
    assert (model.window, model.hidden, model.random_state) == (6, 3, 0)
    assert (model.training["clip"], model.training["loss"]) == (None, "huber")
    options = {"clip": None, "loss": "huber"}
    twin = package.Forecaster(window=6, horizon=3, hidden=3, max_epochs=1, random_state=0, training=options)
    series = twin.fit(package.data.io.tables.read_table(sales), time="month", target="units")
    assert model.predict().equals(series.predict())
    rows = table_of(run / "history.csv")
    assert float(rows[0]["validation.loss"]) == model.epochs_["validation.loss"][0]
    facts = json.loads((run / "run.json").read_text())
    assert facts["estimator"] == "Forecaster"
    assert facts["data"] == sales
    assert facts["stopped"] == "Reached max_epochs=1."
    assert facts["versions"]["regen"] == package.__version__


def test_output_of_fit(output: Any, sales: str) -> None:
    """Duration, reason to stop, backend, folder of the run and next command."""
    lines = output("fit", "forecaster", sales, *SERIES)
    assert lines[0].startswith("Forecaster: 1 epoch in ")
    assert lines[0].endswith("Reached max_epochs=1.")
    assert lines[1].startswith(("Backend native: ", "Backend torch: "))
    assert lines[2] == "Saved in runs/sales. Next: regen predict runs/sales"
    lines = output("fit", "forecaster", sales, *SERIES, "-o", "runs/a b%")
    assert lines[2] == "Saved in runs/a b%. Next: regen predict 'runs/a b%'"


def test_a_run_is_not_overwritten(regen: Any, refusal: Any, sales: str) -> None:
    """A second fit into the same folder is refused without --force."""
    run = fitted(regen, sales)
    before = (run / "run.json").read_text()
    again = ("fit", "forecaster", sales, *SERIES, "-o", run)
    assert refusal(*again) == (
        "There is a run in 'runs/a' already. Choose another folder with --output, or replace it with --force."
    )
    assert (run / "run.json").read_text() == before
    (run / "run.json").write_text("the run before")
    assert regen(*again, "--force").exit_code == 0
    assert (run / "run.json").read_text() != "the run before"


def test_a_failed_replacement_leaves_the_run(regen: Any, refusal: Any, sales: str) -> None:
    """When the fit that should replace a run fails, the run is as it was."""
    run = fitted(regen, sales)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert "need at least" in refusal("fit", "forecaster", sales, "--window", "99", "-o", run, "--force")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_read_only_folder(refusal: Any, sales: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written in is refused before training begins, and is not left behind."""

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def late(*_: Any, **__: Any) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr("regen.data.io.paths.TemporaryFile", denied)
    monkeypatch.setattr(package.Forecaster, "fit", late)
    assert refusal("fit", "forecaster", sales, *SERIES, "-o", "runs/deep/a") == (
        "The output folder 'runs/deep/a' cannot be written: Permission denied. Choose another with --output."
    )
    assert not Path("runs").exists()


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("fit", "forecaster"), "Missing argument 'DATA'. See: regen fit forecaster --help"),
    (("fit", "forecaster", "q.parquet"), "There is no file 'q.parquet'."),
    (("fit", "forecaster", "salse.csv"), "There is no file 'salse.csv'. Did you mean 'sales.csv'?"),
    (
        ("fit", "forecaster", "sales.csv", "--horizon", "0"),
        "The '--horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead.",
    ),
    (
        ("fit", "forecaster", "sales.csv", "--cell", "lstn"),
        "The '--cell' parameter of Forecaster must be one of 'elman', 'diagonal', 'jordan', 'lstm', 'gru' or a"
        " regen.cells cell. Got 'lstn' instead. Did you mean 'lstm'?",
    ),
    (
        ("fit", "forecaster", "sales.csv", "--max-time", "5x"),
        'The \'--max-time\' parameter of Training must be a time such as "90s", "5m" or "2h" or None.'
        " Got '5x' instead.",
    ),
    (("predict", "nothing"), "There is no file or folder 'nothing'."),
    (("predict", "sales.csv"), "'sales.csv' is not a regen file. regen.load reads what regen.save wrote."),
    (("doctr",), "No such command 'doctr'. Did you mean 'doctor'? See: regen --help"),
    (
        ("fit", "forecaster", "sales.csv", "--force", "-o", "mine"),
        "The output folder 'mine' is not empty and holds no run. Choose another with --output.",
    ),
    (
        ("fit", "forecaster", "sales.csv", "--force", "-o", "sales.csv"),
        "The output folder 'sales.csv' is a file. Choose another with --output.",
    ),
    (
        ("fit", "forecaster", "sales.csv", *SERIES, "-o", "sales.csv/run"),
        "The output folder 'sales.csv/run' cannot be written: Not a directory. Choose another with --output.",
    ),
    (
        ("fit", "forecaster", "sales.csv", *SERIES, "--target", "unit"),
        "'sales.csv' has no column 'unit'. Did you mean 'units'? Its columns are: month, units, price.",
    ),
    (
        ("fit", "forecaster", "sales.csv", "--widnow", "3"),
        "No such option: --widnow (Possible options: --hidden, --window). See: regen fit forecaster --help",
    ),
    (
        ("fit", "classifier", "bare.csv", *QUICK),
        "'bare.csv' holds no labels to learn. Name their column with --label.",
    ),
    (
        ("fit", "classifier", "waves.csv", *QUICK),
        "Column 'kind' of 'waves.csv' holds no numbers. If it is the label, say so with label.",
    ),
    (
        ("predict", "runs/f", "--level", "80,x"),
        "The '--level' parameter of Forecaster must be a number in (1, 100). Got 'x' instead.",
    ),
    (
        ("predict", "runs/f", "--level", "80", "--level", "100"),
        "The '--level' parameter of Forecaster must be a number in (1, 100). Got 100.0 instead.",
    ),
    (
        ("predict", "runs/f", "--level", "80,0.9"),
        "The '--level' parameter of Forecaster must be a number in (1, 100). Got 0.9 instead. Levels are percentages:"
        " give 90.",
    ),
    (
        ("predict", "runs/f", "--horizon", "0"),
        "The '--horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead.",
    ),
    (("predict", "runs/f", "--label", "a"), "A Forecaster does not take --label. Leave it out."),
    (
        ("predict", "runs/f", "-o", "next.txt"),
        "'next.txt' does not end in .csv, .csv.gz or .parquet, the tables that regen writes.",
    ),
    (
        ("backtest", "runs/f", "sales.csv", "--start", "2.5"),
        "The '--start' parameter of Forecaster must be an int in [1, inf) or a number in (0, 1). Got '2.5' instead.",
    ),
    (
        ("denoise", "runs/f", "sales.csv"),
        "regen denoise is for a DenoisingAutoencoder. 'runs/f' holds a Forecaster, which is for regen predict and"
        " backtest.",
    ),
    (
        ("predict", "runs/c", "--horizon", "3", "waves.csv"),
        "A SequenceClassifier does not take --horizon. Leave it out.",
    ),
    (
        ("predict", "runs/c"),
        "The SequenceClassifier in 'runs/c' predicts sequences. Give a file of them.",
    ),
    (
        ("backtest", "runs/c", "sales.csv"),
        "A backtest is for a Forecaster. 'runs/c' holds a SequenceClassifier.",
    ),
]
RUNS = {
    "runs/f": ("forecaster", "sales.csv", *SERIES),
    "runs/c": ("classifier", "waves.csv", "--label", "kind", *QUICK),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(line[:4]) for line, _ in REFUSED])
def test_refusals(
    arguments: tuple[str, ...], message: str, output: Any, refusal: Any, sales: str, waves: str
) -> None:
    """One sentence on stderr, exit code 2, and nothing is written."""
    Path("bare.csv").write_text("a,b\n1,2\n3,4\n")
    Path("mine").mkdir()
    Path("mine/thesis.txt").touch()
    for run in RUNS.keys() & set(arguments):
        output("fit", *RUNS[run], "-o", run)
    before = sorted(Path().rglob("*"))
    assert refusal(*arguments) == message
    assert sorted(Path().rglob("*")) == before


def test_predict(regen: Any, sales: str) -> None:
    """The next steps, dated; more of them and intervals on request; into a file of the requested type."""
    run = fitted(regen, sales, "--target", "units")
    lines = regen("predict", run).stdout.splitlines()
    assert lines[0].split() == ["month", "units"]
    assert [line.split()[0] for line in lines[1:]] == ["2024-01-01", "2024-02-01", "2024-03-01"]
    result = regen("predict", run, "--horizon", "5", "--level", "80,95", "-o", "next.csv")
    assert result.stdout == "Written to next.csv.\n"
    rows = table_of(Path("next.csv"))
    assert list(rows[0]) == ["month", "units", "units-lo-80", "units-hi-80", "units-lo-95", "units-hi-95"]
    assert len(rows) == 5
    again = regen("predict", run, "--horizon", "5", "--level", "80", "--level", "95", "-o", "again.csv")
    assert again.exit_code == 0 and table_of(Path("again.csv")) == rows  # not only the last one
    model = package.load(run)
    assert [float(row["units"]) for row in rows] == model.predict(5)["units"].to_pylist()
    regen("predict", run, "-o", "next.parquet")
    assert pyarrow.parquet.read_table("next.parquet").equals(model.predict())


def test_predict_after_new_rows(regen: Any, refusal: Any, sales: str) -> None:
    """New rows continue the series; rows that do not follow are refused; the run stays as it was."""
    run = fitted(regen, sales)
    Path("new.csv").write_text("month,units,price\n2024-01-01,20,21\n2024-02-01,21,22\n")
    lines = regen("predict", run, "new.csv").stdout.splitlines()
    assert lines[1].split()[0] == "2024-03-01"
    assert refusal("predict", run, sales) == (
        "y must continue at 2024-01-01, the step after the last one known (2023-12-01). It starts at 2020-01-01"
        " instead."
    )
    assert regen("predict", run).stdout.splitlines()[1].split()[0] == "2024-01-01"


def test_backtest(regen: Any, sales: str) -> None:
    """Scores with those of the naive forecast, and every forecast in a file."""
    run = fitted(regen, sales, "--target", "units")
    result = regen(
        "backtest", run, sales, "--start", "0.5", "--stride", "2", "--level", "80", "-o", "all.parquet"
    )
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["score", "forecaster", "seasonal-naive"]
    twin = package.load(run).backtest(package.data.io.tables.read_table(sales), start=0.5, stride=2, level=80)
    shown = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    assert shown["mae"] == [f"{twin.scores['mae']:.4f}", f"{twin.scores['naive_mae']:.4f}"]
    assert shown["coverage_80"] == [f"{twin.scores['coverage_80']:.4f}"]
    assert lines[-1] == f"{twin.n_origins} forecasts of 3 values"
    table = pyarrow.parquet.read_table("all.parquet")
    assert table.num_rows == 3 * twin.n_origins
    assert table["forecast"].to_pylist() == list(twin.forecasts["forecast"])


def test_classify_a_wide_table(regen: Any, waves: str) -> None:
    """Rows of different lengths; labels with the probability of each; the label column may be there or not."""
    result = regen("fit", "classifier", waves, "--label", "kind", *QUICK, "-o", "runs/w")
    assert result.exit_code == 0, result.output
    lines = regen("predict", "runs/w", waves).stdout.splitlines()
    assert lines[0].split() == ["sequence", "label", "p_fast", "p_slow"]
    assert len(lines) == 17
    first = lines[1].split()
    assert first[1] == ("fast" if float(first[2]) > float(first[3]) else "slow")
    bare = [line.partition(",")[2] for line in Path(waves).read_text().splitlines()]
    Path("bare.csv").write_text("\n".join(bare) + "\n")
    assert regen("predict", "runs/w", "bare.csv").stdout.splitlines() == lines


def test_regress_an_archive(regen: Any, tmp_path: Path) -> None:
    """Sequences of several features from a NumPy archive, a number each."""
    X = np.random.default_rng(0).normal(size=(10, 5, 2))
    np.savez(tmp_path / "x.npz", X=X, y=X.sum((1, 2)))
    assert regen("fit", "regressor", "x.npz", *QUICK).exit_code == 0
    assert regen("predict", "runs/x", "x.npz", "-o", "y.csv").exit_code == 0
    predictions = [float(row["prediction"]) for row in table_of(Path("y.csv"))]
    assert predictions == package.load("runs/x").predict(X).tolist()


@pytest.mark.filterwarnings("default::UserWarning")  # shown by the command line, not raised
def test_ctrl_c_keeps_the_best(regen: Any, sales: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the third epoch: the best weights are saved, a note on stderr, exit code 130."""
    close = _Run.end_epoch

    def interrupt(self: _Run) -> None:
        close(self)
        if self.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "end_epoch", interrupt)
    words = ("--window", "6", "--horizon", "3", "--hidden", "3", "--random-state", "0", "-o", "runs/a")
    result = regen("fit", "forecaster", sales, *words)
    assert result.exit_code == 130
    note, end = result.stderr.splitlines()
    assert note.startswith("Note: Interrupted by Ctrl-C in epoch 3; the best weights so far (epoch ")
    assert end == "The run is saved in runs/a. Continue it with: regen resume runs/a"
    assert package.load("runs/a").n_epochs_ == 2


def test_ctrl_c_elsewhere(regen: Any, sales: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before there are weights: no run, no traceback."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(package.Forecaster, "fit", interrupt)
    result = regen("fit", "forecaster", sales)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted by Ctrl-C.\n")
    assert not Path("runs").exists()


def test_our_own_mistakes_are_not_hidden(regen: Any, sales: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the library, not of the user, keeps its traceback."""

    def mistake(*_: Any, **__: Any) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(package.Forecaster, "fit", mistake)
    with pytest.raises(AssertionError, match="ours"):
        regen("fit", "forecaster", sales)


@pytest.mark.parametrize(
    "words",
    [(), ("--help",), ("fit", "--help"), ("fit", "forecaster", "--help"), ("fit", "classifier", "--help"),
     ("fit", "regressor", "--help"), ("fit", "autoencoder", "--help"), ("fit", "denoiser", "--help"),
     ("fit", "vae", "--help"), ("fit", "gan", "--help"), ("fit", "dcgan", "--help"), ("invert", "--help"),
     ("interpolate", "--help"), ("encode", "--help"), ("decode", "--help"), ("reconstruct", "--help"),
     ("denoise", "--help"), ("impute", "--help"), ("score", "--help"), ("sample", "--help"), ("predict", "--help"),
     ("backtest", "--help"), ("demo", "--help"), ("doctor",)],
    ids=lambda words: " ".join(words) or "nothing",
)  # fmt: skip
def test_help_fits_80_columns(words: tuple[str, ...], regen: Any) -> None:
    """Every page of help fits, is plain text, and cuts no line short with dots."""
    result = regen(*words)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout
    assert "..." not in result.stdout.replace("PERCENT,...", "").replace("[ARGS]...", "")


def test_fit_alone_shows_its_help(regen: Any) -> None:
    """`regen fit` alone lists the estimators, with the exit code of a missing argument."""
    result = regen("fit")
    assert result.exit_code == 2
    assert "forecaster   Learn a series, to forecast its next steps." in result.stderr


def test_version(regen: Any) -> None:
    """The version and nothing else."""
    assert regen("--version").stdout == f"regen {package.__version__}\n"


def test_demo_runs_the_demo(regen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`regen demo` is regen.demo.run with a folder."""
    calls: list[Any] = []
    monkeypatch.setattr("regen.cli.run_demo", lambda output, quick: calls.append((output, quick)))
    regen("demo")
    regen("demo", "-o", "x", "--quick")
    assert calls == [(Path("runs/demo"), False), (Path("x"), True)]
