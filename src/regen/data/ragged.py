"""One container for sequences of any lengths, the rows of a table, images, a panel of series, or a single series.

Letters: `n` members, `N` steps of all members together, `T` steps of one, `F` features, `B` members of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from regen._masks import length_mask

__all__ = ["Ragged"]


@final
class Ragged:
    """Members of one length or of many, with a mask of what was observed.

    Members of different lengths lie one after the other in one block of memory; members of one shape are a dense
    block without lengths. A single series is a panel of one member.

    Parameters
    ----------
    values : tensor
        (N, F) the steps of all members, one member after the other, N being the sum of `lengths`; or (n, ...)
        members of one shape when `lengths` is None. 0 where nothing was observed.
    observed : bool tensor, default=None
        True where a value was observed, of the shape of `values`. None means everywhere.
    lengths : int64 tensor of shape (n,), default=None
        Steps of each member; kept on the CPU. None when `values` is dense.
    ids : sequence of shape (n,), default=None
        Names of the members.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from regen.data.ragged import Ragged
    >>> rows = Ragged.from_list([np.array([[1.0], [np.nan]]), np.array([[3.0]])])
    >>> x, lengths, observed = rows.gather(torch.tensor([1, 0]))
    >>> x[..., 0].tolist(), lengths.tolist(), observed[..., 0].tolist()
    ([[3.0, 0.0], [1.0, 0.0]], [1, 2], [[True, False], [True, False]])
    """

    def __init__(
        self,
        values: Shaped[Tensor, "..."],
        observed: Bool[Tensor, "..."] | None = None,
        lengths: Int64[Tensor, " n"] | None = None,
        ids: Sequence[Any] | NDArray[Any] | None = None,
    ) -> None:
        assert observed is None or observed.shape == values.shape
        self.values, self.observed = values, observed
        self.lengths = None if lengths is None else lengths.cpu()
        self.ids = None if ids is None else np.asarray(ids)

    @classmethod
    def from_block(cls, block: ArrayLike | Tensor, ids: Sequence[Any] | NDArray[Any] | None = None) -> Ragged:
        """Members of one shape, (n, ...); NaN is a missing value.

        Parameters
        ----------
        block : array or tensor of shape (n, ...)
            It is not changed, and not copied when nothing is missing.
        ids : sequence of shape (n,), default=None
            Names of the members.
        """
        return cls(*_split(_tensor(block)), None, ids)

    @classmethod
    def from_list(
        cls, members: Sequence[ArrayLike | Tensor], ids: Sequence[Any] | NDArray[Any] | None = None
    ) -> Ragged:
        """Members (T_k, F) of any lengths; a dense block when all have the same. NaN is a missing value.

        Parameters
        ----------
        members : sequence of n arrays of shape (T_k, F)
            At least one.
        ids : sequence of shape (n,), default=None
            Names of the members.
        """
        tensors = [_tensor(each) for each in members]
        lengths = torch.tensor([len(each) for each in tensors])
        return cls.from_steps(torch.cat(tensors), lengths, ids)

    @classmethod
    def from_steps(
        cls,
        values: ArrayLike | Tensor,
        lengths: Int64[Tensor, " n"],
        ids: Sequence[Any] | NDArray[Any] | None = None,
    ) -> Ragged:
        """The steps (N, F) of all members, one member after the other; a dense block when all have one length.

        Parameters
        ----------
        values : array or tensor of shape (N, F)
            NaN is a missing value.
        lengths : int64 tensor of shape (n,)
            Steps of each member, N in all.
        ids : sequence of shape (n,), default=None
            Names of the members.
        """
        steps, n = _tensor(values), len(lengths)
        if n and bool((lengths == lengths[0]).all()):
            return cls.from_block(steps.reshape(n, int(lengths[0]), *steps.shape[1:]), ids)
        return cls(*_split(steps), lengths, ids)

    def __len__(self) -> int:
        return len(self.values) if self.lengths is None else len(self.lengths)

    @property
    def n_steps(self) -> Int64[Tensor, " n"]:
        """(n,) steps of each member."""
        if self.lengths is not None:
            return self.lengths
        return torch.full((len(self.values),), self.values.shape[1])

    @property
    def longest(self) -> int:
        """Steps of the longest member."""
        return self.values.shape[1] if self.lengths is None else int(self.lengths.max())

    @property
    def starts(self) -> Int64[Tensor, " n"]:
        """(n,) place of the first step of each member in `steps`."""
        return self.n_steps.cumsum(0) - self.n_steps

    @property
    def steps(self) -> Shaped[Tensor, "N F"]:
        """(N, F) the steps of all members, one member after the other."""
        return self.values if self.lengths is not None else self.values.flatten(0, 1)

    @property
    def observed_steps(self) -> Bool[Tensor, "N F"]:
        """(N, F) True where a value was observed, as `steps`."""
        if self.observed is None:
            return torch.ones(self.steps.shape, dtype=torch.bool)
        return self.observed if self.lengths is not None else self.observed.flatten(0, 1)

    @cached_property
    def complete(self) -> Bool[Tensor, " n"]:
        """(n,) True for the members without a missing value; on the CPU."""
        if self.observed is None:
            return torch.ones(len(self), dtype=torch.bool)
        whole = self.observed.flatten(1).all(1).cpu()
        if self.lengths is None:
            return whole
        gaps = torch.zeros(len(self), dtype=torch.int64).index_add_(0, self._member_of_step, (~whole).long())
        return gaps == 0

    @property
    def _member_of_step(self) -> Int64[Tensor, " N"]:
        return torch.arange(len(self)).repeat_interleave(self.n_steps)

    def gather(
        self, index: Int64[Tensor, " B"]
    ) -> tuple[Shaped[Tensor, "B ..."], Int64[Tensor, " B"] | None, Bool[Tensor, "B ..."] | None]:
        """Members number `index` as a padded batch.

        Parameters
        ----------
        index : int64 tensor of shape (B,)
            On the CPU; any order, with repetitions.

        Returns
        -------
        x : tensor of shape (B, T, F) or (B, ...)
            Padded with 0 to the longest of the batch.
        lengths : int64 tensor of shape (B,) or None
            On the device of the values; None when all members have one length.
        observed : bool tensor of the shape of x or None
            False past the end of a member; None when the batch has no missing values.
        """
        device = self.values.device
        gaps = None if self.observed is None or bool(self.complete[index].all()) else self.observed
        if self.lengths is None:
            index = index.to(device)
            return (
                self.values.index_select(0, index),
                None,
                None if gaps is None else gaps.index_select(0, index),
            )
        lengths, starts = self.lengths[index], self.starts[index]
        valid = length_mask(lengths, int(lengths.max()) if len(lengths) else 0)
        places = torch.where(valid, starts[:, None] + torch.arange(valid.shape[1]), 0).to(device)
        there = valid.to(device)[..., None]
        x = self.values.index_select(0, places.flatten()).view(*places.shape, -1).masked_fill_(~there, 0)
        if gaps is not None:
            gaps = gaps.index_select(0, places.flatten()).view(x.shape) & there
        return x, lengths.to(device), gaps

    def select(self, index: Int64[Tensor, " m"]) -> Ragged:
        """The members number `index` (m,), in that order, as a container of their own."""
        ids = None if self.ids is None else self.ids[index.numpy()]
        if self.lengths is None:
            chosen = index.to(self.values.device)
            observed = None if self.observed is None else self.observed.index_select(0, chosen)
            return Ragged(self.values.index_select(0, chosen), observed, None, ids)
        lengths = self.lengths[index]
        first = (self.starts[index] - (lengths.cumsum(0) - lengths)).repeat_interleave(lengths)
        places = (first + torch.arange(len(first))).to(self.values.device)
        observed = None if self.observed is None else self.observed.index_select(0, places)
        return Ragged(self.values.index_select(0, places), observed, lengths, ids)

    def steps_of(self, index: Int64[Tensor, " m"]) -> Bool[Tensor, " N"]:
        """(N,) True at the steps of the members number `index` (m,); on the CPU."""
        return torch.zeros(len(self), dtype=torch.bool).index_fill(0, index, True)[self._member_of_step]

    def filled(self) -> Shaped[Tensor, "N F"]:
        """(N, F) steps in which each gap holds the last value before it in its member.

        A gap at the start of a member holds the first value after it. A feature without any value in the member is
        NaN.
        """
        if self.observed is None:
            return self.steps
        observed, lengths, starts = self.observed_steps.numpy(), self.n_steps.numpy(), self.starts.numpy()
        places = np.arange(len(observed))[:, None]
        first = np.repeat(starts, lengths)[:, None]
        end = first + np.repeat(lengths, lengths)[:, None]
        before = np.maximum.accumulate(np.where(observed, places, -1), axis=0)
        after = np.minimum.accumulate(np.where(observed, places, len(places))[::-1], axis=0)[::-1]
        source = np.where(before >= first, before, np.where(after < end, after, places))
        return torch.from_numpy(
            np.take_along_axis(self.with_nan().reshape(self.steps.shape).numpy(), source, axis=0)
        )

    def place(self, step: int, feature: int) -> tuple[str, str]:
        """A row of `steps` in words, fit for a refusal: ``("X", "in sequence 1 at step 2")``."""
        k = int(torch.searchsorted(self.starts, step, right=True)) - 1
        return "X", f"in sequence {k} at step {step - int(self.starts[k])}"

    def with_nan(self) -> Shaped[Tensor, "..."]:
        """The values, (N, F) or (n, ...), with NaN where nothing was observed."""
        return self.values if self.observed is None else self.values.masked_fill(~self.observed, torch.nan)

    def arrays(self) -> NDArray[Any] | list[NDArray[Any]]:
        """The members as arrays with NaN for missing values: one (n, ...) block, or a list of n arrays (T_k, F)."""
        values = self.with_nan().cpu().numpy()
        return values if self.lengths is None else np.split(values, self.lengths.cumsum(0)[:-1].numpy())

    def unpad(self, padded: Shaped[Tensor, "n T E"]) -> Shaped[Tensor, "..."]:
        """A padded block (n, T, E) of all members, laid out as `values`."""
        return padded if self.lengths is None else padded[length_mask(self.lengths, padded.shape[1])]

    def pad(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "n T E"]:
        """Values laid out as `values`, as a block (n, T, E) with 0 past the end of a member."""
        if self.lengths is None:
            return values
        valid = length_mask(self.lengths, self.longest, values.device)
        return values.new_zeros((*valid.shape, *values.shape[1:])).masked_scatter_(valid[..., None], values)

    def to(self, device: torch.device | str) -> Ragged:
        """The same members on a device."""
        observed = None if self.observed is None else self.observed.to(device)
        return Ragged(self.values.to(device), observed, self.lengths, self.ids)


def _tensor(values: ArrayLike | Tensor) -> Tensor:
    """Values as a tensor, which shares their memory where it can."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    shareable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if shareable else array.copy())


def _split(values: Tensor) -> tuple[Tensor, Tensor | None]:
    """Values with 0 for NaN, and the mask of what was observed; None when that is everything."""
    missing = values.isnan()
    return (values.masked_fill(missing, 0), ~missing) if bool(missing.any()) else (values, None)
