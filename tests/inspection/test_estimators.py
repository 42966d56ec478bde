"""Estimators seen from inside: which windows and sequences their nets read, under which names, and at which times."""

import re
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen.estimators import GAN
from regen.inspect import ablate, gates, gradient_flow, loss_per_copy, parts, saliency, similar_moments
from regen.inspection import Finding

pandas = pytest.importorskip("pandas")
FEW: dict[str, Any] = {"hidden": 5, "max_epochs": 2, "random_state": 0}


def dated(n: int, columns: int = 1) -> Any:
    """A series of months, with one column or more."""
    rng, index = np.random.default_rng(0), pandas.date_range("2000-01-01", periods=n, freq="MS")
    values = np.sin(np.arange(n)[:, None] / (3 + np.arange(columns))) + 0.1 * rng.normal(size=(n, columns))
    if columns == 1:
        return pandas.Series(values[:, 0], index=index, name="sales")
    return pandas.DataFrame(values, index=index, columns=[f"shop {k}" for k in range(columns)])


def test_windows_tile_a_series() -> None:
    """The last window ends with the series, no step is read twice; names, dates and inputs are those of the data."""
    y = dated(53)
    model = regen.Forecaster(window=12, horizon=2, normalize="none", **FEW).fit(y)
    found = gates(model, y)
    assert found.part == "reader" and found["forget"].shape == (1, 1, 4, 12, 5)
    assert found["forget"].labels["sequence"] == ["2001-05-01", "2002-05-01", "2003-05-01", "2004-05-01"]
    assert found.times is not None and found.inputs is not None
    assert [str(t)[:7] for t in found.times[:, 0]] == ["2000-06", "2001-06", "2002-06", "2003-06"]
    assert found.inputs.labels["feature"] == ["sales"]
    np.testing.assert_allclose(found.inputs.values[:, :, 0].ravel(), y.to_numpy()[5:])
    z = torch.from_numpy(((y.to_numpy()[-12:] - model.center_) / model.scale_).astype(np.float32))[
        None, :, None
    ]
    wanted = model.net_.reader(z, return_gates=True)[2]["f"][0, 0].detach().numpy()
    np.testing.assert_allclose(found["forget"].values[0, 0, -1], wanted, atol=1e-6)
    assert np.abs(found["forget"].values[0, 0, 0] - wanted).max() > 1e-3
    times = np.asarray(found.events()["time"]) if len(found.events()) else np.empty(0)
    assert len(times) == len(found.events())


def test_the_forecast_is_the_same() -> None:
    """Looking changes nothing: forecasts and weights to the bit, after every kind of look."""
    y = dated(80)
    model = regen.Forecaster(window=12, horizon=2, **FEW).fit(y)
    before, weights = model.predict(), {name: w.clone() for name, w in model.net_.state_dict().items()}
    looks: list[Finding] = [
        gates(model, y),
        ablate(model, y),
        loss_per_copy(model, y),
        gradient_flow(model, y),
    ]
    looks += [saliency(model, y), similar_moments(model, y, -1)]
    assert all(found.sentences() and str(found) for found in looks)
    assert all(torch.equal(w, weights[name]) for name, w in model.net_.state_dict().items())
    assert before.equals(model.predict())
    assert all(weight.grad is None for weight in model.net_.parameters()) and not model.net_.training


def test_channels_that_are_read_one_by_one() -> None:
    """Every column is a sequence of its own, with its name and its own inputs; joint columns are features."""
    y = dated(40, columns=3)
    alone = regen.Forecaster(window=9, horizon=2, segment=3, channels="independent", **FEW).fit(y)
    found = gates(alone, y)
    assert found["state"].shape == (1, 1, 12, 3, 5) and found.segment == 3
    assert found["state"].labels["sequence"][:3] == [f"shop {k} until 2001-01-01" for k in range(3)]
    assert found.inputs is not None and found.times is not None
    np.testing.assert_allclose(found.inputs.values[-1, -1, 0], y["shop 2"].iloc[-3:].mean())
    assert [str(t)[:7] for t in found.times[-1]] == ["2002-10", "2003-01", "2003-04"]
    joint = gates(regen.Forecaster(window=9, horizon=2, **FEW).fit(y), y)
    assert joint.inputs is not None and joint.inputs.labels["feature"] == ["shop 0", "shop 1", "shop 2"]
    result = saliency(alone, y, method="gradient")
    assert result.values.labels["feature"] == ("shop 0", "shop 1", "shop 2") and result.values.shape[1:] == (
        9,
        3,
    )


def test_gaps_and_recursive_forecasts() -> None:
    """The mask of missing values reaches the net; a recursive decoder is inspected on the data only."""
    y = dated(60)
    y.iloc[20:23] = np.nan
    model = regen.Forecaster(window=12, horizon=6, segment=3, decoding="recursive", **FEW).fit(y)
    found = gates(model, y)
    assert found["state"].shape[3] == 4 and found.times is not None
    # The fifth step takes the forecast of the first segment as input.
    assert gradient_flow(model, y).norms["state"].shape == (1, 1, 5)
    assert not np.isnan(ablate(model, y, of="gates").losses).any()


def test_a_stream_is_read_as_a_whole() -> None:
    """A forecaster that carries its state reads the series from its start, as it did when it was fitted."""
    y = dated(70)
    model = regen.Forecaster(window=10, horizon=2, bptt=5, cell="gru", **FEW).fit(y)
    found = gates(model, y)
    assert found["update"].shape == (1, 1, 1, 70, 5)
    np.testing.assert_allclose(found["state"].values[0, 0, 0, -1], model.stream_["state"][0][0, 0], atol=1e-5)
    assert gradient_flow(model, y).norms["state"].shape[2] == 40


NO_LABELS = re.escape("SequenceClassifier has no input for labels. Leave out y.")


def test_sequences() -> None:
    """Each is named by its number; ragged ones are NaN past their end; the net is that of the estimator."""
    X = [np.random.default_rng(k).normal(size=(6 + k, 2)) for k in range(4)]
    model = regen.SequenceClassifier(segment=2, **FEW).fit(X, ["a", "b"] * 2)
    found = gates(model, X)
    assert found["update"].shape == (1, 2, 4, 5, 5)
    assert np.isnan(found["update"].values[:, :, 0, 3:]).all()
    assert found.inputs is not None
    np.testing.assert_allclose(
        found.inputs.values[1, :, 1], [*(X[1][k : k + 2, 1].mean() for k in (0, 2, 4, 6)), np.nan]
    )
    assert found.times is None
    with pytest.raises(ValueError, match=NO_LABELS):
        gates(model, X, ["a", "b"] * 2)


@pytest.mark.parametrize(
    "kind", [regen.Autoencoder, regen.DenoisingAutoencoder, regen.VariationalAutoencoder]
)
def test_autoencoders(kind: Any) -> None:
    """The encoder is inspected unless the decoder is requested; both work, also with missing values."""
    X = np.random.default_rng(0).normal(size=(14, 7, 2)).cumsum(1)
    X[0, 2] = np.nan
    model = kind(code=2, backbone="lstm", **FEW).fit(X)
    assert parts(model) == ("encoder.reader", "decoder.writer")
    assert gates(model, X).part == "encoder.reader"
    decoder = gates(model, X, part="decoder.writer")
    assert decoder["context"].shape == (1, 1, 14, 7, 5)
    flow = gradient_flow(model, X, part="decoder.writer")
    assert flow.part == "decoder.writer" and (flow.norms["context"].values > 0).all()
    assert saliency(model, X, method="gradient").outputs.shape == (14,)
    assert len(loss_per_copy(model, X).losses) == 7
    assert similar_moments(model, X, (1, 3), n=2).steps.shape == (2,)


@pytest.mark.filterwarnings("ignore")  # of players that have not learned anything
@pytest.mark.parametrize("pack", [1, 2])
def test_both_players_of_a_gan(pack: int) -> None:
    """The discriminator is inspected with X and its companions, the generator alone, with its own input."""
    X = np.random.default_rng(0).normal(size=(24, 6, 2)).cumsum(1)
    y = np.array([0, 1] * 12)
    model = GAN(code=3, backbone="gru", game={"pack": pack}, training={"batch_size": 8}, **FEW).fit(X, y)
    found = gates(model, X, y)
    assert found.part == "discriminator.net.reader" and found["update"].shape == (1, 1, 24, 6, 5)
    assert parts(model) == ("generator.net.writer", "discriminator.net.reader")
    flow, lost = gradient_flow(model, X, y), ablate(model, X, y, of="gates")
    assert (flow.norms["state"].values > 0).all() and lost.loss > 0
    chances = 1 / (1 + np.exp(-logits(model, X, y)))
    assert lost.loss == pytest.approx(-np.log(chances).mean(), rel=1e-4)
    result = saliency(model, X, y)
    np.testing.assert_allclose(result.outputs, logits(model, X, y), rtol=1e-4, atol=1e-6)
    assert result.gap.max() < 0.01 and np.abs(saliency(model, X, 1 - y).outputs - result.outputs).max() > 1e-3
    near, state = similar_moments(model, X, (1, 3), y=y, n=3), found["state"].values[0, 0]
    away = np.linalg.norm(state[near.sequences, near.steps] - state[1, 3], axis=-1)
    np.testing.assert_allclose(near.distances, away, rtol=1e-5)
    message = re.escape("This GAN was fitted with labels. Give y, one for each row.")
    for look in (gates, saliency, ablate, gradient_flow):
        with pytest.raises(ValueError, match=message):
            look(model, X)
    with pytest.raises(ValueError, match=message):
        similar_moments(model, X, (1, 3))
    with pytest.raises(ValueError, match=re.escape("'generator.net.writer' was not run by the model.")):
        gates(model, X, y, part="generator.net.writer")
    codes, labels = np.zeros((2, 3)), torch.tensor([0, 1])
    result = gates(model.generator_, (codes, labels, 9))
    assert result["update"].shape == (1, 1, 2, 9, 5)
    with pytest.raises(
        ValueError, match="GAN has one output for a whole sequence: its unfolded copies have no loss"
    ):
        loss_per_copy(model, X, y)


def logits(model: Any, X: Any, y: Any) -> Any:
    """Logits of the discriminator for rows and labels, as its estimator computes them."""
    return model.model_.logits(model.encode_rows(X, y)).double().numpy()


@pytest.mark.parametrize("look", [gates, saliency, ablate, gradient_flow])
@pytest.mark.filterwarnings("ignore")
def test_labels_without_an_input(look: Any) -> None:
    """They are refused by every inspection of a model without an input for labels."""
    X, y = np.zeros((8, 5, 1)), np.array([0, 1] * 4)
    X += np.arange(5)[:, None] * (1 + y[:, None, None])
    model = GAN(code=3, backbone="gru", training={"batch_size": 8}, **FEW).fit(X)
    with pytest.raises(ValueError, match=re.escape("This GAN was fitted without labels. Leave out y.")):
        look(model, X, y)
    result = regen.SequenceClassifier("gru", **FEW).fit(X, y)
    for inspection_without_labels in (gates, saliency):
        with pytest.raises(ValueError, match=NO_LABELS):
            inspection_without_labels(result, X, y)


def test_the_door() -> None:
    """All functions stand in `regen.inspect`; a finding without a chart is refused."""
    assert set(regen.inspect.__all__) >= {
        "ablate",
        "clamp",
        "loss_per_copy",
        "gates",
        "gradient_flow",
        "parts",
        "saliency",
    }
    assert all(getattr(regen.inspect, name).__doc__ for name in regen.inspect.__all__)

    class Unknown(Finding):
        def sentences(self) -> list[str]:
            return ["one", "two"]

    assert str(Unknown()) == "one\ntwo"
    message = "There is no chart of Unknown. See regen.figures for what can be drawn."
    with pytest.raises(ValueError, match=re.escape(message)):
        Unknown().plot()
