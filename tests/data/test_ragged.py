"""The container of sequences, rows and panels: gathered, selected, filled and masked as a naive loop does it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regen.data.ragged import Ragged

Members = list[NDArray[np.float64]]


@st.composite
def members(draw: st.DrawFn) -> Members:
    """One to six members of one to five steps of one to three features, some values missing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features, share = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.3, 1.0]))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    if draw(st.booleans()):
        lengths = [lengths[0]] * len(lengths)
    drawn = [rng.normal(size=(length, features)) for length in lengths]
    return [np.where(rng.random(each.shape) < share, np.nan, each) for each in drawn]


def padded(rows: Members) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and mask, member by member: what `gather` returns by one index."""
    longest = max((len(each) for each in rows), default=0)
    values = torch.zeros(len(rows), longest, rows[0].shape[1] if rows else 0, dtype=torch.float64)
    observed = torch.zeros(values.shape, dtype=torch.bool)
    for k, each in enumerate(rows):
        values[k, : len(each)] = torch.from_numpy(np.nan_to_num(each))
        observed[k, : len(each)] = torch.from_numpy(~np.isnan(each))
    return values, observed


def filled(member: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each gap holds the value before it, at the start the one after it."""
    result = member.copy()
    for column in result.T:
        known = np.flatnonzero(~np.isnan(column))
        for t in range(len(column)):
            if len(known) and np.isnan(column[t]):
                before = known[known < t]
                column[t] = column[before[-1] if len(before) else known[0]]
    return result


@settings(max_examples=100, deadline=None)
@given(rows=members(), data=st.data())
def test_gather_is_a_loop_over_members(rows: Members, data: st.DataObject) -> None:
    """Any index, in any order and with repetitions; the twin without its last member differs."""
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    container = Ragged.from_list(rows)
    x, lengths, observed = container.gather(torch.tensor(index))
    values, there = padded([rows[k] for k in index])
    assert torch.equal(x, values)
    if lengths is None:
        assert len({len(each) for each in rows}) == 1
    else:
        assert lengths.tolist() == [len(rows[k]) for k in index]
    if observed is None:
        assert not any(np.isnan(rows[k]).any() for k in index)
    else:
        assert torch.equal(observed, there)
    assert x.shape != padded([rows[k] for k in index[:-1]])[0].shape


@settings(max_examples=100, deadline=None)
@given(rows=members(), data=st.data())
def test_members_come_back(rows: Members, data: st.DataObject) -> None:
    """A list, the container, a part of it and a padded block hold the same values, mask and names."""
    names = [f"m{k}" for k in range(len(rows))]
    container = Ragged.from_list(rows, names)
    assert len(container) == len(rows) and container.longest == max(map(len, rows))
    assert container.n_steps.tolist() == [len(each) for each in rows]
    for found, each in zip(container.arrays(), rows, strict=True):
        np.testing.assert_array_equal(found, each)
    assert container.complete.tolist() == [not np.isnan(each).any() for each in rows]
    assert torch.equal(container.unpad(container.pad(container.values)), container.values)
    np.testing.assert_array_equal(container.steps, np.nan_to_num(np.concatenate(rows)))
    np.testing.assert_array_equal(container.observed_steps, ~np.isnan(np.concatenate(rows)))
    np.testing.assert_array_equal(container.filled(), np.concatenate([filled(each) for each in rows]))
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    part = container.select(torch.tensor(index))
    for found, k in zip(part.arrays(), index, strict=True):
        np.testing.assert_array_equal(found, rows[k])
    assert part.ids is not None and part.ids.tolist() == [names[k] for k in index]
    chosen = torch.tensor(sorted(set(index)))
    steps = np.concatenate([np.full(len(each), k in index) for k, each in enumerate(rows)])
    assert container.steps_of(chosen).tolist() == steps.tolist()


def test_one_length_is_a_dense_block() -> None:
    """Members of one length need no lengths, and images of any shape are members; nothing missing has no mask."""
    block = np.arange(12.0).reshape(2, 3, 2)
    for made in (Ragged.from_block(block), Ragged.from_list(list(block))):
        assert made.lengths is None and made.observed is None
        assert torch.equal(made.values, torch.from_numpy(block))
    images = Ragged.from_block(np.full((4, 1, 2, 2), np.nan))
    assert images.observed is not None and not images.observed.any() and not images.values.any()
    assert images.gather(torch.tensor([3, 0]))[0].shape == (2, 1, 2, 2)


def test_a_batch_without_gaps_has_no_mask() -> None:
    """The mask is that of the members of the batch, not of all."""
    rows = Ragged.from_block(np.array([[1.0, np.nan], [2.0, 3.0]]))
    assert rows.gather(torch.tensor([1]))[2] is None
    observed = rows.gather(torch.tensor([1, 0]))[2]
    assert observed is not None and observed.tolist() == [[True, True], [True, False]]


def test_input_is_not_changed() -> None:
    """Zeros for missing values stand in a copy."""
    block = np.array([[1.0, np.nan]])
    Ragged.from_block(block)
    assert np.isnan(block[0, 1])


def test_another_device() -> None:
    """Values and mask move; lengths stay on the CPU, where batches are chosen."""
    rows = Ragged.from_list([np.array([[1.0], [np.nan]]), np.array([[2.0]])]).to("meta")
    assert rows.values.device.type == "meta" and rows.observed is not None
    assert rows.observed.device.type == "meta" and rows.lengths is not None
    assert rows.lengths.device.type == "cpu"


@pytest.mark.parametrize("shape", [(0, 2), (0, 3, 2)])
def test_no_members(shape: tuple[int, ...]) -> None:
    """A container of no members is empty."""
    assert len(Ragged.from_block(np.zeros(shape))) == 0
