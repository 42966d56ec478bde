"""Running a net on the rows of a batch in parts, where memory is too small for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from regen.training.rng import RNGStates

__all__ = ["RowParts", "lacks_memory"]

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_MESSAGES = ("allocate", "not enough memory", "out of memory", "Storage size")


def lacks_memory(error: BaseException) -> bool:
    """Whether `error` is that of a tensor or array for which there is no memory, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MESSAGES)


@final
class RowParts:
    """Runs functions of the rows of a batch, all at once or in parts.

    The parts are computed one after the other and joined; in the backward pass each is computed again, and its
    gradient added to those before (`torch.utils.checkpoint`), so that memory holds the inner values of one part only.
    The loss is that of the whole batch, with its means, its weights and its random numbers; gradients differ by
    rounding. Dropout inside of the functions draws other numbers.

    Parameters
    ----------
    *modules : torch.nn.Module
        The modules that the functions run. Batch normalisation and spectral normalisation need all rows at once: with
        them there is one part.
    multiple : int, default=1
        Rows that belong together: parts have a multiple of them.

    See Also
    --------
    Player : Takes one as its `parts`.

    Examples
    --------
    >>> from regen.training import Player
    >>> net = torch.nn.Linear(2, 1)
    >>> parts = RowParts(net)
    >>> player = Player("net", net, lambda batch: {"loss": parts(net, batch).square().mean()}, parts=parts)
    """

    def __init__(self, *modules: nn.Module, multiple: int = 1) -> None:
        self.n = 1
        self._rows = 0
        self._modules = modules
        self._multiple = multiple
        self._rng: RNGStates | None = None

    def __call__(self, function: Callable[..., Any], x: Tensor, *others: Any) -> Any:
        """The value of ``function(x, *others)``.

        Parameters
        ----------
        function : callable
            Tensors of rows -> a tensor of rows, or a tuple of them or None. No row may depend on another one.
        x : Tensor of shape (B, ...)
            Its rows are divided.
        *others
            A tensor of k B rows is divided with `x`; anything else is passed to each part.

        Returns
        -------
        value
            That of `function`, whose rows are joined.
        """
        if self.all_at_once(len(x)):
            return function(x, *others)
        parts = [self._run(function, arguments) for arguments in self._divided(x, others)]
        if parts[0] is None or isinstance(parts[0], Tensor):
            return None if parts[0] is None else torch.cat(parts)
        return tuple(torch.cat(values) for values in zip(*parts, strict=True))

    def all_at_once(self, rows: int) -> bool:
        """Whether that many rows are run at once, as they are wherever no gradient is computed.

        Parameters
        ----------
        rows : int
            B of a batch.

        Returns
        -------
        bool
            True until the first `halve`.
        """
        self._rows = max(self._rows, rows)
        return self.n == 1 or not torch.is_grad_enabled()

    def can_halve(self) -> bool:
        """Whether more parts are possible.

        Returns
        -------
        bool
            False when a part has one row already, or `multiple`, or when a layer needs all rows at once.
        """
        layers = [layer for module in self._modules for layer in module.modules()]
        whole = any(isinstance(layer, BATCH_NORM) or "Spectral" in type(layer).__name__ for layer in layers)
        return not whole and self._rows // self._multiple > self.n

    def halve(self) -> None:
        """Run in twice as many parts from now on."""
        self.n *= 2

    def follow(self, rng: RNGStates) -> None:
        """Draw the numbers of a part again when it is computed again.

        Parameters
        ----------
        rng : RNGStates
            The generators that the modules draw from.
        """
        self._rng = rng

    def _divided(self, x: Tensor, others: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        units = len(x) // self._multiple
        size = -(-units // self.n) * self._multiple
        for start in range(0, len(x), size):
            yield (
                x[start : start + size],
                *(_rows(other, start, start + size, len(x)) for other in others),
            )

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return checkpoint(
            function, *arguments, use_reentrant=False, preserve_rng_state=False, context_fn=self._contexts
        )

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        """Around a part, and around its second computation."""
        return nullcontext(), nullcontext() if self._rng is None else _DrawingAgain(self._rng)


@final
class _DrawingAgain:
    """A context, which may be entered several times, with the random numbers that follow its making."""

    def __init__(self, rng: RNGStates) -> None:
        self._rng, self._then = rng, rng.state_dict()
        self._now: list[dict[str, Tensor]] = []

    def __enter__(self) -> None:
        self._now.append(self._rng.state_dict())
        self._rng.load_state_dict(self._then)

    def __exit__(self, *error: object) -> None:
        self._rng.load_state_dict(self._now.pop())


def _rows(value: Any, start: int, stop: int, rows: int) -> Any:
    """Those of a tensor that belong to some of `rows` rows; other values as they are."""
    if not isinstance(value, Tensor) or not value.ndim or len(value) % rows:
        return value
    k = len(value) // rows
    return value[start * k : stop * k]
