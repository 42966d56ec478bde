"""The recurrent nets inside a model, whoever made them, and a seam at which an inspection can step in.

A net of ``torch.nn`` is seen through a twin of ours, which reads its weights where they are: all that is done to one
of ours, to look inside or to hold a gate, is done to the twin, and the twin answers in the place of the net.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from torch import Tensor, nn

from regen import cells
from regen._check import closest
from regen.nets import Recurrent, recurrent

__all__ = ["Part", "instead", "not_run", "part_named", "parts_of", "seen_through"]

_MISSING = object()


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A recurrent net inside a model.

    name : by which the model knows it, such as "reader"; "net" for a model that is one itself.
    module : what the model calls.
    """

    name: str
    module: Recurrent | nn.RNNBase

    @property
    def weight(self) -> Tensor:
        """One of its weights, to tell its type and device."""
        weight: Tensor = self.module.weight_ih_l0  # type: ignore[assignment]
        return weight

    @cached_property
    def net(self) -> Recurrent:
        """What answers: the module itself, or its twin."""
        if isinstance(self.module, Recurrent):
            return self.module
        answering = getattr(vars(self.module).get("forward"), "__self__", None)
        return answering if isinstance(answering, Recurrent) else _twin(self.module)


def parts_of(model: nn.Module) -> list[Part]:
    """Every recurrent net inside a model, in the order in which the model holds them."""
    found = [
        Part(name or "net", module)
        for name, module in model.named_modules()
        if isinstance(module, Recurrent | nn.RNNBase)
    ]
    if not found:
        raise ValueError(
            f"There is no recurrent net in this {type(model).__name__}. Inspect a model that holds an LSTM, GRU or"
            " RNN of regen.nn or torch.nn."
        )
    return found


def part_named(model: nn.Module, name: str | None) -> Part:
    """The recurrent net of that name; the first when None."""
    found = parts_of(model)
    if name is None:
        return found[0]
    names = [part.name for part in found]
    if name not in names:
        raise ValueError(
            f"There is no part {name!r}. The recurrent nets of this model are"
            f" {', '.join(map(repr, names))}.{closest(name, names)}"
        )
    return found[names.index(name)]


def not_run(part: Part) -> ValueError:
    """The refusal to tell of a net that the model does not run."""
    return ValueError(f"{part.name!r} was not run by the model. Inspect that net itself, with what it reads.")


@contextmanager
def instead(owner: nn.Module, **methods: Any) -> Iterator[None]:
    """Within, `owner` does these in the place of its own methods; afterwards, also after an error, its own again."""
    own = vars(owner)
    before = {name: own.get(name, _MISSING) for name in methods}
    own.update(methods)
    try:
        yield
    finally:
        for name, method in before.items():
            if method is _MISSING:
                del own[name]
            else:
                own[name] = method


@contextmanager
def seen_through(part: Part, **methods: Any) -> Iterator[None]:
    """Within, `part` does these in the place of its own methods, and its twin, if it has one, answers for it."""
    net = part.net
    answering = nullcontext() if net is part.module else instead(part.module, forward=net.forward)
    with answering, instead(net, **methods):
        yield


def _twin(module: nn.RNNBase) -> Recurrent:
    """A net of ours with the equations of one of ``torch.nn``, and with its weights, as they are when asked for."""
    kinds: dict[str, cells.Cell] = {
        "LSTM": cells.LSTM(proj_size=module.proj_size),
        "GRU": cells.GRU(),
        "RNN_TANH": cells.Elman(),
        "RNN_RELU": cells.Elman("relu"),
    }
    net = recurrent(
        kinds[module.mode],
        module.input_size,
        module.hidden_size,
        num_layers=module.num_layers,
        bias=module.bias,
        batch_first=module.batch_first,
        dropout=module.dropout if module.num_layers > 1 else 0.0,
        bidirectional=module.bidirectional,
        device="meta",
        dtype=module.weight_ih_l0.dtype,
        init="torch",
    )

    def layers() -> list[dict[str, Tensor]]:
        net.train(module.training)  # dropout between layers is as the net's that it answers for
        return [{name: getattr(module, full) for name, full in names.items()} for names in net._names]

    vars(net)["_layers"] = layers
    return net
