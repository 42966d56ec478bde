"""Random numbers of a fit: they come from generators that belong to it, and torch's global ones are left alone.

Torch's global generators are shared by all threads of a process, so fits in parallel threads would draw from each
other's stream. A fit therefore has `Generators` of its own. Losses receive one of them as an argument; modules of
`regen.nets`, whose `forward` has no such argument, ask `generator_of` for that of the fit which runs in their thread.
Outside a fit there is none, and they draw from the global generator, as modules of torch do.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, final

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Generators", "dropout", "fit_generators", "generator_of"]


@final
class Generators:
    """The random generators of one fit: one for the order of the data, and one on each device for all other draws.

    All of them start from the same seed, so that the numbers are those that torch's global generators would give
    after ``torch.manual_seed(seed)``.

    Parameters
    ----------
    seed : non-negative int.

    Attributes
    ----------
    order : torch.Generator, on the CPU; of the order of the data, of what is held out, and of further seeds.
    """

    def __init__(self, seed: int) -> None:
        self.order = Generator().manual_seed(seed)
        self._seed = seed
        self._draws: dict[torch.device, Generator] = {}

    def on(self, device: torch.device) -> Generator:
        """The generator of weights, dropout and noise on `device`."""
        device = _indexed(device)
        if device not in self._draws:
            self._draws[device] = Generator(device).manual_seed(self._seed)
        return self._draws[device]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A context in which `generator_of` returns these generators in the present thread."""
        outer = _THREAD.generators
        _THREAD.generators = self
        try:
            yield
        finally:
            _THREAD.generators = outer

    @contextmanager
    def redirecting(self) -> Iterator[None]:
        """A context in which everything that torch draws in the present thread comes from these generators.

        It serves code that knows of no generator: the constructors of modules, and functions and modules of a user.
        Every operator passes through Python then, so it is not meant for the steps of our own nets.
        """
        with self.serving(), _Redirection(self):
            yield


class _Thread(threading.local):
    """What is known of the present thread: the generators of the fit that runs in it."""

    generators: Generators | None = None


_THREAD = _Thread()


def fit_generators() -> Generators | None:
    """The generators of the fit that runs in this thread; None outside a fit."""
    return _THREAD.generators


def generator_of(device: torch.device) -> Generator | None:
    """The generator on `device` of the fit that runs in this thread; None, torch's global one, outside a fit."""
    if torch.compiler.is_compiling() or _THREAD.generators is None:
        return None
    return _THREAD.generators.on(device)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """As `torch.nn.functional.dropout`, with the generator of the fit that runs in this thread, if there is one."""
    generator = generator_of(x.device) if training else None
    if generator is None or not 0 < p < 1:
        return F.dropout(x, p, training)
    return x * torch.empty_like(x).bernoulli_(1 - p, generator=generator).div_(1 - p)


def _indexed(device: torch.device) -> torch.device:
    """`device` with its number, which tensors on it have and names such as "cuda" lack."""
    if device.type == "cpu" or device.index is not None:
        return device
    return torch.device(device.type, torch.cuda.current_device() if device.type == "cuda" else 0)


Draw = Callable[[Generator, tuple[Any, ...], dict[str, Any]], Any]


@final
class _Redirection(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Passes the generators of a fit to every operator that draws random numbers."""

    def __init__(self, generators: Generators) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generators = generators

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        draw = _draw_of(func)
        if draw is None or options.get("generator") is not None:
            return func(*args, **options)
        device = _device_of(args, options)
        if device.type == "meta":  # nothing is drawn there, and no generator exists
            return func(*args, **options)
        return draw(self._generators.on(device), args, options)


def _device_of(args: tuple[Any, ...], options: Mapping[str, Any]) -> torch.device:
    """The device of the result of an operator: that of its first tensor, or the one that it names."""
    for each in args:
        if isinstance(each, Tensor):
            return each.device
    named = options.get("device")
    return torch.device("cpu" if named is None else named)


@cache
def _draw_of(func: Any) -> Draw | None:
    """How to call an operator with a generator; None if it draws nothing."""
    full, _, overload = func.name().partition(".")
    name, overload = full.removeprefix("aten::"), overload or "default"
    schema = torch._C._get_schema(full, "" if overload == "default" else overload)
    if any(argument.name == "generator" for argument in schema.arguments):
        return lambda generator, args, options: func(*args, **options | {"generator": generator})
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return None
    if name in _LIKE:
        return _LIKE[name]
    with_generator = {"default": "generator", "names": "generator_with_names"}.get(
        overload, f"{overload}_generator"
    )
    if with_generator not in func.overloadpacket.overloads():
        return None  # attention fused with dropout, and dropout of cuDNN, have a generator of their own
    other = getattr(func.overloadpacket, with_generator)
    return lambda generator, args, options: other(*args, generator=generator, **options)


def _native_dropout(generator: Generator, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """As ``aten::native_dropout(x, p, train)``: the result, and which elements were kept."""
    x, p, train = args
    if train is False or p == 0:
        return torch.ops.aten.native_dropout.default(x, p, train)
    kept = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return x * kept * (1 / (1 - p) if p < 1 else 0.0), kept.bool()


def _uniform_like(generator: Generator, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    return torch.empty_like(*args, **options).uniform_(generator=generator)


def _normal_like(generator: Generator, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    return torch.empty_like(*args, **options).normal_(generator=generator)


def _integers_like(generator: Generator, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    x, *bounds = args
    low, high = bounds if len(bounds) == 2 else (0, bounds[0])
    return torch.empty_like(x, **options).random_(int(low), int(high), generator=generator)


_LIKE: dict[str, Draw] = {
    "native_dropout": _native_dropout,
    "rand_like": _uniform_like,
    "randn_like": _normal_like,
    "randint_like": _integers_like,
}
