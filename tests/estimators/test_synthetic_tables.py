"""Tables in, tables out: no person is repeated, numbers and dates stay in their range and type, files and resumes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import regen

n = 120
PERSONAL = ["name", "email", "customer", "card"]


def people() -> pd.DataFrame:
    """A table of persons, with identifiers, numbers of all types, dates and durations."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "name": [f"Person {k}" for k in rng.permutation(n)],
            "age": rng.integers(17, 90, n).astype(np.int8),
            "email": [f"p{k}@example.org" for k in rng.permutation(n)],
            "pay": np.round(rng.lognormal(3, 1, n), 2),
            "customer": np.arange(1000, 1000 + n),
            "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), unit="D"),
            "seen": (
                pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s")
            ).tz_localize("Europe/Berlin"),
            "wait": pd.to_timedelta(rng.exponential(100, n).round(), unit="s"),
            "card": rng.integers(4 * 10**15, 5 * 10**15, n),
            "rooms": pd.array(rng.integers(1, 5, n), dtype="Int64"),
            "floor": np.where(rng.random(n) < 0.5, 2.0, 7.0),
            "flag": rng.random(n) < 0.3,
            "city": rng.choice(["Oslo", "Rome"], n),
        }
    )


def model(kind: str, **options: Any) -> Any:
    """An estimator that is quickly trained."""
    options = {"random_state": 0, "max_epochs": 1, "training": {"max_steps": 4}} | options
    if kind == "GAN":
        return regen.GAN(hidden=(8,), **options)
    if kind == "VariationalAutoencoder":
        return regen.VariationalAutoencoder(code=2, hidden=(8,), **options)
    if kind == "DenoisingAutoencoder":
        return regen.DenoisingAutoencoder(corruption="mask", code=2, hidden=(8,), **options)
    return regen.Autoencoder(code=2, hidden=(8,), **options)


def quiet(fit: Any, *arguments: Any, **options: Any) -> Any:
    """The result of a fit of few steps, which warns that it is bad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return fit(*arguments, **options)


KINDS = ("GAN", "VariationalAutoencoder", "DenoisingAutoencoder", "Autoencoder")
GENERATORS = KINDS[:2]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """All four on the table of persons."""
    return {kind: quiet(model(kind).fit, people()) for kind in KINDS}


def assert_alike(result: pd.DataFrame, table: pd.DataFrame) -> None:
    """The types of the columns of `table`, and numbers and dates within their ranges."""
    assert result.dtypes.equals(table.dtypes)
    for name in set(table) - {"flag", "city", "name", "email"}:
        assert table[name].min() <= result[name].min() and result[name].max() <= table[name].max(), name


@pytest.mark.parametrize("kind", KINDS)
def test_identifiers_are_left_out_with_a_warning(kind: str, fitted: dict[str, Any]) -> None:
    """One warning names them and the ways to train on them; they are listed, and no features."""
    with pytest.warns(UserWarning) as caught:
        model(kind).fit(people())
    (message,) = [str(each.message) for each in caught if "identif" in str(each.message)]
    assert message == (
        "The columns 'name', 'email', 'customer', 'card' of X identify single rows: nearly all values differ, so that"
        " a network can only learn them by heart and repeat them. They are left out. To train on them give fit"
        " identifiers='keep', or identifiers=[...] with the columns to leave out."
    )
    assert [each.filename for each in caught if "identif" in str(each.message)] == [__file__]
    found = fitted[kind]
    assert found.identifiers_ == PERSONAL
    assert list(found.feature_names_in_) == [name for name in people() if name not in PERSONAL]
    assert found.n_features_in_ == 9


@pytest.mark.parametrize("kind", GENERATORS)
def test_no_person_is_repeated(kind: str, fitted: dict[str, Any]) -> None:
    """Samples hold no name of the data; those of a model that is told to keep the columns hold nothing else."""
    table = people()
    sample = fitted[kind].sample(200, random_state=0)
    assert list(sample) == [name for name in table if name not in PERSONAL]
    known = set(table["name"]) | set(table["email"])
    assert not known & set(sample.astype(str).to_numpy().ravel())
    kept = quiet(model(kind).fit, table, identifiers="keep")
    assert kept.identifiers_ == []
    repeated = kept.sample(50, random_state=0)
    assert list(repeated) == list(table) and set(repeated["name"]) <= set(table["name"])


@pytest.mark.parametrize("kind", GENERATORS)
def test_samples_are_of_the_kind_of_the_data(kind: str, fitted: dict[str, Any]) -> None:
    """Types, ranges, whole days, cents and levels are those of the data."""
    table = people().drop(columns=PERSONAL)
    sample = fitted[kind].sample(300, random_state=1)
    assert_alike(sample, table)
    assert (sample["born"].dt.normalize() == sample["born"]).all()
    assert np.array_equal(sample["pay"], sample["pay"].round(2))
    assert set(sample["floor"]) <= {2.0, 7.0}
    assert (sample["wait"].dt.microseconds == 0).all()
    assert (sample["seen"].dt.microsecond == 0).all()


@pytest.mark.parametrize("kind", GENERATORS)
def test_bounds_that_were_requested(kind: str) -> None:
    """Without bounds samples leave the range of the data, the wrong twin of the test above; a dict sets one."""
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "age": np.arange(60) % 7 + 20})
    free = quiet(model(kind).fit, table, bounds=None).sample(4000, random_state=0)
    assert free["x"].min() < table["x"].min() and free["age"].dtype == table["age"].dtype
    chosen = quiet(model(kind).fit, table, bounds={"age": (18, 21)}).sample(2000, random_state=0)
    assert set(chosen["age"]) <= {18, 19, 20, 21}
    assert chosen["x"].min() >= table["x"].min()


@pytest.mark.parametrize("kind", KINDS)
def test_tables_with_and_without_identifiers_are_taken(kind: str, fitted: dict[str, Any]) -> None:
    """Scores, codes and restored rows are the same with the columns that were left out and without."""
    found, table = fitted[kind], people()
    part = table.drop(columns=PERSONAL)
    assert np.array_equal(found.score_samples(table), found.score_samples(part))
    shuffled = table[list(reversed(list(table)))] if kind != "GAN" else table
    if kind == "GAN":
        assert found.invert(shuffled[:3], steps=2, random_state=0).shape == (3, found.model_.code_size)
        assert list(found.interpolate(steps=3, random_state=0)) == list(part)
        assert_alike(found.interpolate(steps=50, random_state=0), part)
        return
    assert np.array_equal(found.transform(table), found.transform(part))
    restored = found.reconstruct(table)
    assert list(restored) == list(part) and restored["born"].dtype == table["born"].dtype
    numbers = ["age", "pay", "rooms", "floor"]
    assert (restored[numbers].min() >= part[numbers].min()).all()
    assert (restored[numbers].max() <= part[numbers].max()).all()


@pytest.mark.parametrize("kind", ["VariationalAutoencoder", "DenoisingAutoencoder"])
def test_imputed_tables_keep_every_column(kind: str, fitted: dict[str, Any]) -> None:
    """Gaps of learned columns are filled in their type; identifiers and values out of range stay as they are."""
    table = people()
    table.loc[3, "born"] = table.loc[4, "seen"] = pd.NaT
    table.loc[5, "wait"], table.loc[6, "rooms"], table.loc[7, "pay"] = pd.NaT, pd.NA, np.nan
    table.loc[8, "name"], table.loc[9, "pay"], table.loc[10, "age"] = None, 1e6, 120
    for filled in (
        found := fitted[kind].impute(table, random_state=0),
        *fitted[kind].impute(table, n_draws=2, random_state=0),
    ):
        assert list(filled) == list(table) and filled.dtypes.equals(table.dtypes)
        assert filled.isna().sum().to_dict() == dict.fromkeys(table, 0) | {"name": 1}
        assert filled["customer"].tolist() == table["customer"].tolist()
        assert filled.loc[9, "pay"] == 1e6 and filled.loc[10, "age"] == 120
        assert filled.loc[3, "born"] == filled.loc[3, "born"].normalize()
        assert people()["pay"].min() <= filled.loc[7, "pay"] <= people()["pay"].max()
    polars = fitted[kind].impute(pl.from_pandas(table), random_state=0)
    assert polars.columns == list(table) and polars["born"][3] == found.loc[3, "born"]


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(kind: str, fitted: dict[str, Any], tmp_path: Path) -> None:
    """The columns left out, ranges and types of dates are in the file."""
    regen.save(fitted[kind], tmp_path / "model")
    loaded = regen.load(tmp_path / "model")
    assert loaded.identifiers_ == PERSONAL
    assert np.array_equal(loaded.score_samples(people()), fitted[kind].score_samples(people()))
    if kind in GENERATORS:
        assert loaded.sample(20, random_state=2).equals(fitted[kind].sample(20, random_state=2))


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_resumed_fit_is_the_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    """Dates and identifiers in the data of a checkpoint: the same bits as without an interruption."""
    place = str(tmp_path / "checkpoint")

    def sample(steps: int, **plan: Any) -> pd.DataFrame:
        options = {"max_epochs": 40, "training": {"max_steps": steps, "validation": 0, **plan}}
        return quiet(model(kind, **options).fit, people()).sample(20, random_state=0)

    whole = sample(6)
    sample(3, checkpoint=place)
    assert sample(6, checkpoint=place).equals(whole)
    assert not sample(3).equals(whole)


def test_columns_named_by_the_user() -> None:
    """A list leaves out its columns and no others, without a warning; their names are known afterwards."""
    table = people().drop(columns=["email", "card", "customer"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model("Autoencoder").fit(table, identifiers=["name", "city"])
    assert found.identifiers_ == ["name", "city"] and "city" not in found.feature_names_in_
    assert model("Autoencoder").fit(table.drop(columns="name"), identifiers=[]).identifiers_ == []


@pytest.mark.parametrize(
    ("X", "options", "refusal"),
    [
        (people(), {"identifiers": "leave"},
         "The 'identifiers' parameter of Autoencoder.fit must be one of 'drop', 'keep' or a list of names of columns."
         " Got 'leave' instead."),
        (people(), {"bounds": (0, 1)},
         "The 'bounds' parameter of Autoencoder.fit must be one of 'data' or None or a dict from names of columns"
         " to None or (lowest, highest). Got (0, 1) instead."),
        (people(), {"identifiers": ["nane"]},
         "X has no column 'nane', which identifiers names. Did you mean 'name'?"),
        (people()[["name", "email"]], {},
         "All columns of X are identifiers: 'name', 'email'. Give columns of other kinds, too, or"
         " identifiers='keep'."),
        (np.zeros((30, 2)), {"identifiers": ["a"]},
         "identifiers names columns, and X has no names. Give a dataframe, or leave them out of X."),
        (np.zeros((30, 4, 4), np.uint8), {"identifiers": ["a"]},
         "identifiers=['a'] is for the columns of a table, and X is no table. Leave it out."),
        (np.zeros((30, 4, 4), np.uint8), {"bounds": {"a": None}},
         "bounds={'a': None} is for the columns of a table, and X is no table. Leave it out."),
    ],
)  # fmt: skip
def test_refusals(X: Any, options: Any, refusal: str, message_of: Any) -> None:
    """Words and names that do not fit the table; the estimator stays as it was."""
    estimator = model("Autoencoder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert message_of(ValueError, estimator.fit, X, **options) == refusal
    assert "net_" not in vars(estimator)


def test_dates_as_text_are_pointed_out() -> None:
    """Text in which nearly all dates differ is an identifier, with advice to convert it."""
    days = [str(day.date()) for day in pd.date_range("2020", periods=60)]
    x = np.random.default_rng(0).normal(size=60)
    table = pd.DataFrame({"day": days, "x": x, "y": -x})
    with pytest.warns(UserWarning, match=r"To learn 'day' as dates, convert the text\.$"):
        model("Autoencoder").fit(table)


def test_sequences_and_images_stay_in_range() -> None:
    """Generated steps of sequences and restored pixels are within the range of the data, too."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(40, 5, 2))
    sample = quiet(model("GAN").fit, steps).sample(500, random_state=0)
    assert (sample.min((0, 1)) >= steps.min((0, 1))).all() and (sample.max((0, 1)) <= steps.max((0, 1))).all()
    images = rng.normal(size=(40, 1, 4, 4))
    for bounds, inside in (("data", True), (None, False)):
        vae = regen.VariationalAutoencoder(code=2, max_epochs=1, random_state=0)
        drawn = quiet(vae.fit, images, bounds=bounds).sample(2000, random_state=0)
        assert (drawn.min() >= images.min()) == inside and (drawn.max() <= images.max()) == inside
