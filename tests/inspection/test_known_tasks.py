"""Networks that have learned what is known to need memory: the inspection finds it where it is.

A claim about a mean over 256 sequences holds by at least 8 standard errors: a random result would not once in 10^15.
"""

from typing import Any

import numpy as np
import pytest
import tasks
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

import regen
from regen.inspect import ablate, clamp, gates, gradient_flow
from regen.nets import recurrent

pytestmark = pytest.mark.slow

SURE = 8.0
"""Standard errors."""
MEMORIES = 4
"""Units that are missed most: those that hold what is to be remembered."""
T = 50


class Reader(nn.Module):
    """An LSTM with a linear readout of its state after the last step; it reads tensors and packed sequences."""

    def __init__(self, features: int, outputs: int, longest: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = recurrent("lstm", features, 16, init=regen.cells.Init("chrono", max_lag=longest))
        self.readout = nn.Linear(16, outputs)

    def forward(self, x: Any) -> Tensor:
        return self.readout(self.net(x)[1][0][-1])


def learned(model: Reader, loss: Any, rate: float, enough: float, most: int) -> Reader:
    """Adam with clipping until the running loss is `enough`."""
    optimizer, running = torch.optim.Adam(model.parameters(), rate), None
    for _ in range(most):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = value.item() if running is None else 0.98 * running + 0.02 * value.item()
        if running < enough:
            return model
    raise AssertionError(f"not learned: {running}")


@pytest.fixture(scope="module")
def adding() -> tuple[Reader, Tensor, Tensor]:
    """Two marked numbers are to be added, up to 50 steps apart."""
    model, draw = Reader(2, 1, T), torch.Generator().manual_seed(1)

    def loss() -> Tensor:
        x, y = tasks.adding(64, T, draw)
        return F.mse_loss(model(x), y)

    learned(model, loss, 5e-3, 0.002, 4000)
    return model, *tasks.adding(256, T, torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def order() -> tuple[Reader, Any, Tensor, Tensor]:
    """Which of two symbols stood at steps 10-20, and which at 50-60, of 100-110."""
    model, draw = Reader(8, 4, 100), torch.Generator().manual_seed(1)

    def packed(x: Tensor, lengths: Tensor) -> Any:
        return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)

    def loss() -> Tensor:
        x, lengths, y = tasks.temporal_order(64, draw)
        return F.cross_entropy(model(packed(x, lengths)), y)

    learned(model, loss, 1e-2, 0.01, 3000)
    x, lengths, y = tasks.temporal_order(256, torch.Generator().manual_seed(2))
    return model, packed(x, lengths), y, x[..., 6:].sum(-1) > 0


def surely_more(values: np.ndarray, here: np.ndarray, there: np.ndarray) -> float:
    """By how many standard errors the mean of each sequence (n, S) is larger here than there."""
    gap = np.array([row[a].mean() - row[b].mean() for row, a, b in zip(values, here, there, strict=True)])
    return float(gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap))))


def seen(
    model: Reader, X: Any, y: Tensor, marked: np.ndarray
) -> tuple[list[int], Any, np.ndarray, np.ndarray]:
    """The units missed most, the gates, where nothing is marked, and the steps between the first mark and the end."""
    found = gates(model, X)
    read = ~np.isnan(found["state"].values[0, 0, :, :, 0])
    memories = np.asarray(ablate(model, X, y).frame()["unit"])[:MEMORIES].tolist()
    between = (np.cumsum(marked, 1) > 0) & ~marked & read
    return memories, found, read & ~marked, between


def check_gates(model: Reader, X: Any, y: Tensor, marked: np.ndarray) -> list[int]:
    """Input gates of the memories open at the marks, and their forget gates hold between; returns the memories."""
    memories, found, elsewhere, between = seen(model, X, y, marked)
    i, f = (found[word].values[0, 0][..., memories] for word in ("input", "forget"))
    opened = [surely_more(i[..., k], marked, elsewhere) for k in range(MEMORIES)]
    assert max(opened) > SURE, opened
    late = np.roll(marked, 3, axis=1) & elsewhere  # the twin: marks three steps late
    kept = [k for k in range(len(late)) if late[k].any()]
    best = int(np.argmax(opened))
    assert surely_more(i[kept][..., best], late[kept], elsewhere[kept] & ~late[kept]) < opened[best] / 2
    held = [float(f[between][:, k].mean()) for k in range(MEMORIES)]
    assert np.median(held) > 0.9, held
    units = found.units()
    half = np.asarray(units["half_life"])
    assert half[memories].max() > 40, half  # the longest memory bridges most of a sequence
    return memories


def test_adding_is_seen_in_the_gates(adding: Any) -> None:
    """The marked numbers are written, and held till the end."""
    model, x, y = adding
    check_gates(model, x, y, x[..., 1].numpy() > 0)
    sentences = gates(model, x).sentences(16)
    assert any("is written" in each and "x1 is high" in each for each in sentences), sentences


def test_adding_needs_the_units_found(adding: Any) -> None:
    """Shutting the forget gates of the memories destroys the skill, shutting those of the least missed does not."""
    model, x, y = adding

    def error() -> float:
        with torch.no_grad():
            return float(F.mse_loss(model(x), y))

    ranked = np.asarray(ablate(model, x, y).frame()["unit"]).tolist()
    before = error()
    assert before < 0.005
    with clamp(model, forget=0.0):
        assert error() > 1 / 6
    with clamp(model, forget=0.0, units=ranked[:MEMORIES]):
        assert error() > 0.1
    with clamp(model, forget=0.0, units=ranked[-2:]):
        assert error() < 0.02
    with clamp(model, input=0.0, units=ranked[:MEMORIES]):
        assert error() > 0.1
    assert error() == before
    lost = ablate(model, x, y, of="gates").frame()
    assert np.asarray(lost["gate"])[0] == "input"
    assert gradient_flow(model, x, y).reach is None  # the first step may be marked


def test_temporal_order_is_seen_in_the_gates(order: Any) -> None:
    """The two symbols are written, and held till the end."""
    model, X, y, marked = order
    check_gates(model, X, y, marked.numpy())


def test_temporal_order_needs_the_units_found(order: Any) -> None:
    """Shutting the forget gate destroys the skill; and memory reaches as far back as the first symbol may stand."""
    model, X, y, _ = order

    def right() -> float:
        with torch.no_grad():
            return float((model(X).argmax(1) == y).float().mean())

    ranked = np.asarray(ablate(model, X, y).frame()["unit"]).tolist()
    assert right() > 0.98
    with clamp(model, forget=0.0):
        assert right() < 0.5
    with clamp(model, forget=0.0, units=ranked[:MEMORIES]):
        assert right() < 0.8
    with clamp(model, forget=0.0, units=ranked[-2:]):
        assert right() > 0.95
    reach = gradient_flow(model, X, y).reach
    assert reach is not None and 80 < reach <= 100, (
        reach
    )  # the first symbol is 80 to 100 steps old at the end
