"""The recurrent nets inside a model, of `regen.nn` or ``torch.nn``, and how an inspection intercepts them.

A net of ``torch.nn`` has no `Recurrent.intercept`: while it is inspected, a net of ours with its weights runs in its
place.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from torch import Tensor, nn

from regen import cells
from regen._check import closest
from regen.nets import LayerHook, Recurrent, WeightsHook, recurrent

__all__ = ["Part", "not_run", "part_named", "parts_of", "recurrent_parts"]


@final
class TorchTwin:
    """Runs in the place of a net of ``torch.nn``: a net of ours with its equations, and its weights at every call."""

    def __init__(self, module: nn.RNNBase) -> None:
        kinds: dict[str, cells.Cell] = {
            "LSTM": cells.LSTM(proj_size=module.proj_size),
            "GRU": cells.GRU(),
            "RNN_TANH": cells.Elman(),
            "RNN_RELU": cells.Elman("relu"),
        }
        self.module = module
        self.net = recurrent(
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
        self._names = [name for name, _ in self.net.named_parameters()]
        for name in self._names:
            delattr(self.net, name)

    def forward(self, *args: Any, **options: Any) -> Any:
        """What the module returns, computed by `net`."""
        self.net.train(self.module.training)
        for name in self._names:  # parametrized weights are computed anew at each access
            vars(self.net)[name] = getattr(self.module, name)
        return self.net(*args, **options)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, calls of the module run `net`. torch has hooks around ``forward`` but none in its place."""
        own = vars(self.module)
        before = own.get("forward")
        own["forward"] = self.forward
        try:
            yield
        finally:
            if before is None:
                del own["forward"]
            else:
                own["forward"] = before


def _twin(module: nn.RNNBase) -> TorchTwin:
    """The twin that runs in the place of `module` now, or a new one."""
    running = getattr(vars(module).get("forward"), "__self__", None)
    return running if isinstance(running, TorchTwin) else TorchTwin(module)


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A recurrent net inside a model.

    name : of the submodule, such as "reader"; "net" for a model that is a recurrent net itself.
    module : the submodule.
    """

    name: str
    module: Recurrent | nn.RNNBase

    @property
    def weight(self) -> Tensor:
        """One of its weights, for its dtype and device."""
        weight: Tensor = self.module.weight_ih_l0  # type: ignore[assignment]
        return weight

    @cached_property
    def _twin(self) -> TorchTwin | None:
        return None if isinstance(self.module, Recurrent) else _twin(self.module)

    @property
    def net(self) -> Recurrent:
        """The net that runs: the module itself, or its twin."""
        if isinstance(self.module, Recurrent):
            return self.module
        assert self._twin is not None
        return self._twin.net

    @contextmanager
    def intercept(
        self, *, layer: LayerHook | None = None, weights: WeightsHook | None = None
    ) -> Iterator[None]:
        """As `Recurrent.intercept`; a net of ``torch.nn`` is run by its twin within."""
        twin = self._twin
        with (
            nullcontext() if twin is None else twin.running(),
            self.net.intercept(layer=layer, weights=weights),
        ):
            yield


def recurrent_parts(model: nn.Module) -> list[Part]:
    """Every recurrent net inside a model, in the order of its submodules."""
    return [
        Part(name or "net", module)
        for name, module in model.named_modules()
        if isinstance(module, Recurrent | nn.RNNBase)
    ]


def parts_of(model: nn.Module) -> list[Part]:
    """The recurrent nets inside a model; ValueError where there is none."""
    found = recurrent_parts(model)
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
    """The error for a net that the model does not run."""
    return ValueError(f"{part.name!r} was not run by the model. Inspect that net itself, with its own input.")
