"""The loss of DenoisingAutoencoder compared with wrong twins, and its imputation step by step."""

import numpy as np
import pytest
import torch

from regen import DenoisingAutoencoder
from regen.data.table_encoding import Block
from regen.estimators.autoencoders.imputation import choose_donors, draw_cells, split_gaps
from regen.estimators.autoencoders.objectives import Denoising, columns_of, hidden_cells
from regen.estimators.autoencoders.row_model import RowInputs

ROWS, COLUMNS = 200, 4


def table(gaps: bool = True) -> np.ndarray:
    """Rows of normal numbers; in every third the first two columns are missing together."""
    X = np.random.default_rng(0).normal(2, 3, (ROWS, COLUMNS))
    if gaps:
        X[::3, :2] = np.nan
    return X


def fitted(X: np.ndarray, **options) -> DenoisingAutoencoder:
    """A small net, trained for an epoch."""
    defaults = {"code": 2, "hidden": (8,), "max_epochs": 1, "random_state": 0}
    return DenoisingAutoencoder(**(defaults | options)).fit(X)


def prepared(model: DenoisingAutoencoder, X: np.ndarray) -> tuple[Denoising, RowInputs]:
    """The objective, and the rows as one batch."""
    objective, _, rows = model.prepare(X)
    return objective, objective.model.one_batch(rows)


def seeded() -> torch.Generator:
    """A generator in the same state each time."""
    return torch.Generator().manual_seed(5)


def squared_error(model: DenoisingAutoencoder, x: torch.Tensor, target: torch.Tensor) -> float:
    """The mean squared error of rows restored from the inputs x, without the estimator's own functions."""
    restored = model.net_.decoder(model.net_.encoder(x, None, None), None, None)
    return float((restored - target).square().mean())


def test_the_target_is_clean():
    """The loss compares with the clean rows; a twin that compares with the noisy ones differs."""
    X = table(gaps=False)
    model = fitted(X, noise=0.8)
    objective, inputs = prepared(model, X)
    noisy = inputs.x + 0.8 * torch.randn(inputs.x.shape, generator=seeded())
    with torch.no_grad():
        loss = float(objective.loss(inputs, seeded())["loss"])
        assert loss == pytest.approx(squared_error(model, noisy, inputs.target), rel=1e-5)
        assert loss != pytest.approx(squared_error(model, noisy, noisy), rel=1e-2)
        assert loss != pytest.approx(squared_error(model, inputs.x, inputs.target), rel=1e-3)


def test_missing_values_have_no_loss():
    """Whatever stands in place of a missing value, the loss and its gradient stay the same."""
    X = table()
    model = fitted(X)
    model.net_.train()
    objective, inputs = prepared(model, X)
    found = []
    for filler in (0.0, 1e6, torch.nan):
        target = torch.where(inputs.observed, inputs.target, filler)
        model.net_.zero_grad()
        loss = objective.loss(inputs._replace(target=target), seeded())["loss"]
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.net_.parameters())])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    assert all(part.isfinite().all() for part in found[0])


def test_the_loss_is_the_mean_of_hidden_plus_the_mean_of_visible_cells():
    """Missing cells are neither hidden nor visible."""
    X = table()
    model = fitted(X, noise=0.0)
    objective, inputs = prepared(model, X)
    corrupted, hidden = objective.corrupt(inputs, seeded())
    assert not (hidden & ~inputs.observed).any()
    assert torch.equal(corrupted.observed, inputs.observed & ~hidden)
    assert (corrupted.x[~corrupted.observed] == 0).all()
    with torch.no_grad():
        terms = objective.loss(inputs, seeded())
        restored = model.net_.decoder(model.net_.encoder(corrupted.x, corrupted.observed, None), None, None)
    losses = (restored - inputs.target).square()
    assert float(terms["hidden"]) == pytest.approx(float(losses[hidden].mean()), rel=1e-5)
    assert float(terms["visible"]) == pytest.approx(float(losses[corrupted.observed].mean()), rel=1e-5)
    assert float(terms["loss"]) == pytest.approx(float(terms["hidden"] + terms["visible"]))


def test_wrong_twin_inverted_mask():
    """An encoder that receives the inverted mask returns other codes."""
    X = table()
    model = fitted(X, max_epochs=5)
    _, inputs = prepared(model, X)
    with torch.no_grad():
        right = model.net_.encoder(inputs.x, inputs.observed, None)
        wrong = model.net_.encoder(inputs.x, ~inputs.observed, None)
    assert np.allclose(model.transform(X), right.numpy(), atol=1e-5)
    assert not np.allclose(model.transform(X), wrong.numpy(), atol=1e-2)


def test_gaps_of_other_rows_are_hidden_together():
    """Values missing together in the data are hidden together: a third of the complete rows lose both columns."""
    X = table()
    _, inputs = prepared(fitted(X), X)
    complete = inputs.observed.all(1)
    counts = torch.zeros(4)
    for seed in range(50):
        rng = torch.Generator().manual_seed(seed)
        hidden = hidden_cells(inputs, 0.0, True, torch.arange(COLUMNS), rng)
        assert not hidden[:, 2:].any()
        assert torch.equal(hidden[:, 0], hidden[:, 1])
        assert not hidden[~complete].any()
        counts += hidden[complete].double().mean(0)
    assert counts[0] / 50 == pytest.approx(1 / 3, abs=0.03)  # 6650 draws: five standard errors


def test_the_end_of_a_sequence_is_no_gap():
    """A long sequence does not lose its last steps because others are shorter."""
    observed = torch.ones(2, 5, 1, dtype=torch.bool)
    observed[0, 1] = observed[1, 3:] = False
    x = torch.zeros(2, 5, 1)
    inputs = RowInputs(x, observed, x, torch.tensor([5, 3]))
    for seed in range(10):
        hidden = hidden_cells(inputs, 0.0, True, torch.tensor([0]), torch.Generator().manual_seed(seed))
        assert not hidden[0].any()
        assert not hidden[1, [0, 2, 3, 4]].any()


def test_a_share_of_cells_is_hidden_at_random():
    """Numbers of a category are hidden together. Random numbers are from the given generator only."""
    observed = torch.ones(5000, 4, dtype=torch.bool)
    inputs = RowInputs(torch.zeros(5000, 4), observed, torch.zeros(5000, 4), None)
    state = torch.get_rng_state()
    hidden = hidden_cells(inputs, 0.3, False, torch.tensor([0, 1, 1, 2]), seeded())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(hidden[:, 1], hidden[:, 2])
    assert abs(hidden[:, 0].double().mean() - 0.3) < 5 * (0.21 / 5000) ** 0.5
    assert abs((hidden[:, 0] == hidden[:, 3]).double().mean() - 0.58) < 5 * (0.58 * 0.42 / 5000) ** 0.5


def test_columns_of_encoded_numbers():
    """Numbers of a category belong to one column, others each to their own."""
    blocks = [Block("real", 0, 2, (0, 3)), Block("categorical", 2, 5, (1,)), Block("categorical", 5, 7, (2,))]
    assert columns_of(blocks).tolist() == [0, 1, 2, 2, 2, 3, 3]


def test_donors():
    """Hidden cells are donors, with their errors; without any, all observed cells; without those, no error."""
    predicted = torch.linspace(0, 1, 100)[:, None].repeat(1, 3)
    actual = predicted + torch.tensor([10.0, 20.0, 30.0])
    hidden, observed = torch.zeros(100, 3, dtype=torch.bool), torch.ones(100, 3, dtype=torch.bool)
    hidden[50:, 0] = True
    observed[:, 2] = False
    donors, errors = torch.from_numpy(choose_donors(predicted, actual, hidden, observed))
    assert torch.equal(donors, donors.sort(0).values)
    assert donors.isfinite().sum(0).tolist() == [50, 100, 100]
    assert donors[:, 0].min() > 0.5
    assert torch.allclose(errors[:50], torch.tensor([10.0, 20.0, 0.0]))


def test_gaps_are_split_into_parts():
    """Gaps of a row are in different parts while there are parts; numbers of a category are in one."""
    gaps = torch.tensor([[True, True, True, True], [False, True, True, False], [True, False, False, True]])
    parts = split_gaps(gaps, torch.tensor([0, 1, 1, 2]), 3, seeded())
    assert torch.equal(parts[:, 1], parts[:, 2])
    assert sorted(parts[0, [0, 1, 3]].tolist()) == [0, 1, 2]
    assert sorted(parts[2, [0, 3]].tolist()) == [0, 1]
    crowded = split_gaps(torch.ones(50, 12, dtype=torch.bool), torch.arange(12), 4, seeded())
    assert (crowded.sort(1).values == torch.arange(12) // 3).all()
    assert crowded.unique(dim=0).shape[0] > 40


def test_draws():
    """A number has the error of a donor of similar prediction, within the extremes; a category its probability."""
    predicted = torch.linspace(0, 1, 400)[:, None]
    actual = predicted + torch.where(predicted > 0.5, torch.randn(400, 1, generator=seeded()), 0.0)
    observed = torch.ones(400, 1, dtype=torch.bool)
    donors = torch.from_numpy(choose_donors(predicted, actual, observed, observed))
    block = [Block("real", 0, 1, (0,))]
    extremes = torch.tensor([[-1.0], [2.0]])
    sure, unsure = (
        draw_cells(torch.full((2000, 1), value), block, donors, extremes, seeded()) for value in (0.2, 0.8)
    )
    assert torch.equal(sure, torch.full((2000, 1), 0.2))
    assert unsure.std() > 0.5
    assert unsure.min() >= -1
    assert unsure.max() <= 2
    expected = torch.tensor([[0.3, 0.1, 0.2, 0.7]]).repeat(4000, 1)
    blocks = [Block("binary", 0, 1, (0,)), Block("categorical", 1, 4, (1,))]
    found = draw_cells(expected, blocks, torch.zeros(2, 8, 4), torch.zeros(2, 4), seeded())
    assert (found[:, 1:].sum(1) == 1).all()
    assert (found.mean(0) - expected[0]).abs().max() < 5 * 0.5 / 4000**0.5
