"""A model and the data that it is looked at with: what its network reads, what it answers, and what that costs.

Letters: `n` rows, `T` steps of the data, `S` recurrent steps, `F` features, `K` answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from regen.data.batching import RowBatch
from regen.estimators._evaluation import EVALUATION_BATCH
from regen.estimators.adversarial.gan_model import GANPair, append_companions
from regen.estimators.autoencoders.objectives import Objective
from regen.estimators.autoencoders.row_model import RowInputs
from regen.inspection.recurrent.parts import Part
from regen.nets import Recurrent
from regen.nets.forecast import WindowNet

__all__ = [
    "CodingSubject",
    "CriticSubject",
    "ForecastSubject",
    "ModuleSubject",
    "SequenceSubject",
    "Subject",
    "numbers",
    "settled",
]

Loss = Callable[[Tensor, Tensor], Tensor]
ROWWISE = ("x", "lengths", "observed", "raw", "times", "y", "target_mask", "label")
"""Fields that have a place for each row."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject(ABC):
    """A network with rows of data.

    Attributes
    ----------
    net : the network.
    x : (n, T, F) what it reads.
    lengths : (n,) valid steps of each row; None is all.
    raw : (n, T, F) the same in the units of the data, NaN past a row's end; None where they are not known.
    times : (n, T) date or number of each step in the data; None where a step is known by its place alone.
    features, sequences : names of the F features and of the n rows.
    segment : steps of the data that a recurrent step reads.
    y : (n, ...) what should be answered; None where that is not known.
    """

    output_name: ClassVar[str] = "answer"
    net: nn.Module
    x: Any
    lengths: Tensor | None = None
    raw: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    features: Sequence[str] = ()
    sequences: Sequence[Any] = ()
    segment: int = 1
    y: Tensor | None = None

    @abstractmethod
    def answer(self, x: Any) -> Tensor:
        """(n, K) what the network answers when it reads x instead of its own."""

    @abstractmethod
    def costs(self, x: Any) -> Tensor:
        """(n,) what the answers to x cost; ValueError when there is nothing to hold them against."""

    def pull(self, x: Any) -> Tensor:
        """(n,) what gradients are taken of: the costs, or the sum of each answer where there is nothing to cost."""
        return self.answer(x).sum(1) if self.y is None else self.costs(x)

    def pieces(self) -> Iterator[Self]:
        """The same in parts of at most 512 rows."""
        n = len(self.sequences)
        for start in range(0, n, EVALUATION_BATCH):
            some = np.arange(start, min(start + EVALUATION_BATCH, n))
            yield self if n <= EVALUATION_BATCH else self.take(some)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, by their numbers."""
        own = [field.name for field in fields(self) if field.name in ROWWISE]
        held = {name: getattr(self, name) for name in own}
        some: dict[str, Any] = {name: None if each is None else each[rows] for name, each in held.items()}
        return replace(self, sequences=[self.sequences[row] for row in rows.tolist()], **some)

    def loss(self) -> float:
        """Mean cost of all rows."""
        with torch.no_grad():
            costs = torch.cat([piece.costs(piece.x) for piece in self.pieces()])
        return float(costs.double().mean())


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastSubject(Subject):
    """Windows of a series, and the horizon after each.

    observed : (n, T, C) where the net is told so. y, target_mask : (n, H, C) what came, and where it was observed.
    stream : read step after step, as ``bptt=k`` does. briefly : forecast no further than one pass goes.
    """

    output_name: ClassVar[str] = "forecast"
    net: WindowNet
    observed: Tensor | None = None
    target_mask: Tensor | None = None
    cost: Loss | None = None
    stream: bool = False
    briefly: bool = False

    def answer(self, x: Tensor) -> Tensor:
        return self._forecast(x).flatten(1)

    def costs(self, x: Tensor) -> Tensor:
        assert self.cost is not None and self.y is not None
        return _per_row(self.cost(self._forecast(x), self.y), self.target_mask)

    def _forecast(self, x: Tensor) -> Tensor:
        if self.stream:
            return self.net.stream(x, x[:, :1], self.observed)[0][:, -1]
        recursive = self.net.decoding == "recursive"
        return self.net(x, self.observed, self.net.segment if recursive and self.briefly else None)  # type: ignore[no-any-return]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SequenceSubject(Subject):
    """Sequences with the class or the targets of each; y (n,) classes or (n, K) targets, or None."""

    cost: Loss | None = None

    def answer(self, x: Tensor) -> Tensor:
        return self.net(x, self.lengths)  # type: ignore[no-any-return]

    def costs(self, x: Tensor) -> Tensor:
        if self.y is None or self.cost is None:
            raise ValueError("There is nothing to hold the answers against. Give y, what each sequence is.")
        return _per_row(self.cost(self.answer(x), self.y), None)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CodingSubject(Subject):
    """Sequences to be compressed and restored; `whole`: the answer is what is restored, else the code."""

    objective: Objective
    observed: Tensor | None = None
    whole: bool = False

    def answer(self, x: Tensor) -> Tensor:
        inputs, model = self.inputs(x), self.objective.model
        code = model.codes(inputs)
        return model.outputs(code, inputs).flatten(1) if self.whole else code

    def costs(self, x: Tensor) -> Tensor:
        return -self.objective.row_scores(self.inputs(x))

    def inputs(self, x: Tensor) -> RowInputs:
        """The rows with x as the input of the encoder."""
        assert self.y is not None
        return RowInputs(self.y, self.observed, x, self.lengths)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CriticSubject(Subject):
    """Sequences that a discriminator tells from generated ones: it answers with a logit.

    The cost is that of calling them real. label : (n,) for a conditional one. companions : what stands beside every
    row for one that reads packs; None for others.
    """

    net: GANPair
    label: Tensor | None = None
    companions: RowBatch | None = None

    def answer(self, x: Tensor) -> Tensor:
        rows = RowBatch(x, self.lengths, self.label)
        if self.companions is not None:
            rows = append_companions(rows, self.companions)
        return self.net.discriminator(rows.x, rows.y, rows.lengths)[:, None]  # type: ignore[no-any-return]

    def costs(self, x: Tensor) -> Tensor:
        return F.softplus(-self.answer(x)[:, 0])


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ModuleSubject(Subject):
    """Any torch module with what it takes: x is the first argument, `others` are those after it."""

    others: tuple[Any, ...] = ()
    cost: Loss | None = None

    def pieces(self) -> Iterator[Self]:
        yield self  # which axis is that of the rows is the module's own affair

    def answer(self, x: Any) -> Tensor:
        said = self.net(x, *self.others)
        if isinstance(self.net, Recurrent | nn.RNNBase):
            return self._read(said[1])
        said = said[0] if isinstance(said, tuple) else said
        if not isinstance(said, Tensor):
            raise ValueError(
                f"{type(self.net).__name__} must answer with a tensor, or a tuple that begins with one."
                f" Got {type(said).__name__} instead."
            )
        return said.flatten(1) if said.ndim > 1 else said.unsqueeze(-1)

    def costs(self, x: Any) -> Tensor:
        if self.y is None:
            raise ValueError("There is nothing to hold the answers against. Give y, what should be answered.")
        answers = self.answer(x)
        if self.cost is not None:
            return self.cost(answers, self.y)
        if not self.y.is_floating_point():
            return F.cross_entropy(answers, self.y, reduction="none")
        return (answers - self.y.reshape(answers.shape)).square().mean(1)

    def _read(self, last: Any) -> Tensor:
        """(n, D*P) what the last layer of a recurrent net says when it has read everything, in each direction."""
        last = last[0] if isinstance(last, tuple) else last
        last = last if last.ndim == 3 else last[:, None]
        top = last[-(1 + bool(self.net.bidirectional)) :]
        return top.transpose(0, 1).flatten(1)  # type: ignore[no-any-return]


def _per_row(cost: Tensor, target_mask: Tensor | None) -> Tensor:
    """(n,) mean cost of each row, (n, ...), over what was observed of it."""
    if target_mask is None:
        return cost.flatten(1).mean(1) if cost.ndim > 1 else cost
    return torch.where(target_mask, cost, 0.0).flatten(1).sum(1) / target_mask.flatten(1).sum(1).clamp(min=1)


@contextmanager
def settled(net: nn.Module) -> Iterator[None]:
    """Within, the network is in evaluation and gradients pass through it on every device; its modes come back.

    On a GPU, nets of ``torch.nn`` are run by their twins: there cuDNN has no gradient in evaluation.
    """
    modes = {module: module.training for module in net.modules()}
    if any(modes.values()):
        net.eval()
    try:
        with ExitStack() as stack:
            for module in modes:
                if isinstance(module, nn.RNNBase) and (part := Part("", module)).weight.is_cuda:
                    stack.enter_context(part.intercept())
            yield
    finally:
        for module, mode in modes.items():
            if module.training is not mode:  # torch looks at every attribute that is set
                module.training = mode


def numbers(given: Any, like: Tensor) -> Any:
    """An array or a list as a tensor of the kind of `like`; tensors, packed sequences and others as they are."""
    if isinstance(given, Tensor | PackedSequence) or given is None:
        return given
    if isinstance(given, bool | int | float):
        return given
    if isinstance(given, tuple):
        return tuple(numbers(each, like) for each in given)
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"X must hold numbers. Got {type(given).__name__} of {array.dtype} instead.")
    return torch.as_tensor(array, dtype=like.dtype, device=like.device)
