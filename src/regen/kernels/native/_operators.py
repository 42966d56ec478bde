"""The compiled kernels as custom operators of torch, for what traces programs instead of running them.

``regen::unfold`` and ``regen::unfold_backward`` have fake implementations, so ``torch.compile(fullgraph=True)``
and ``torch.export`` see one node each. A program that was exported needs ``import regen.nn`` where it is run.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels.native import _arguments, _autograd
from regen.kernels.native._autograd import Ask, Form, Slots, Told

_LIBRARY: Any = torch.library.Library("regen", "DEF")  # type: ignore[no-untyped-call]
# `present` says for each of the cell's parameters whether `weights` has it; `state` is empty for zeros; `zones` has
# a negative number for each state whose fractions are the next of `masks`.
_WHAT = (
    "str cell, Tensor x, Tensor[] weights, Tensor[] state, bool[] present, Tensor? lengths, bool reverse, "
    "Tensor? keep, Tensor[] masks, float[] zones, bool gates, bool low, bool stacked"
)
# Returns the output, the last states, the gates, and what the backward pass needs (nothing unless `save`).
_LIBRARY.define(f"unfold({_WHAT}, bool save) -> Tensor[]")
# Returns the gradients that are wanted, of x, weights and states.
_LIBRARY.define(
    f"unfold_backward({_WHAT}, Tensor output, Tensor saved, Tensor?[] grads, bool[] wanted) -> Tensor[]"
)


def unfold(ask: Ask, x: Tensor, weights: Slots, state: tuple[Tensor, ...], save: bool) -> list[Tensor]:
    """The output, last states and gates by the operator.

    x : (B, T, I). state : (B, size) each, or () for zeros.
    """
    _, lengths, reverse, keep, masks, zones, gates, low, stacked = ask
    drawn = [mask for mask in masks if mask is not None]
    numbers = [z if mask is None else -1.0 for z, mask in zip(zones, masks, strict=True)]
    given, present = [w for w in weights if w is not None], [w is not None for w in weights]
    told: list[Tensor] = torch.ops.regen.unfold(
        _word(ask.cell), x, given, list(state), present, lengths, reverse, keep, drawn, numbers, gates, low,
        stacked, save,
    )  # fmt: skip
    return told[:-1]


def _read(
    cell: str, x: Tensor, weights: Sequence[Tensor], state: Sequence[Tensor], present: Sequence[bool],
    lengths: Tensor | None, reverse: bool, keep: Tensor | None, masks: Sequence[Tensor],
    zones: Sequence[float], gates: bool, low: bool, stacked: bool,
) -> tuple[Ask, Tensor, Slots, tuple[Tensor, ...]]:  # fmt: skip
    """The operator's arguments as `_unfold` takes them."""
    left = iter(weights)
    slots = tuple([next(left) if there else None for there in present])
    drawn = iter(masks)
    spread = tuple([next(drawn, None) if z < 0 else None for z in zones])
    numbers = tuple([max(z, 0.0) for z in zones])
    ask = Ask(_cell(cell), lengths, reverse, keep, spread, numbers, gates, low, stacked)
    return ask, x, slots, tuple(state)


def _word(cell: Cell) -> str:
    """`cell` in a word: "lstm_full", "gru_after", "jordan_tanh_3"."""
    return f"{_autograd.kind(cell)}_{cell.proj_size}" if isinstance(cell, Jordan) else _autograd.kind(cell)


def _cell(word: str) -> Cell:
    """The cell that `_word` tells of."""
    name, option, *width = word.split("_")
    if width:
        return Jordan(option, int(width[0]))
    known: dict[str, type[Cell]] = {"elman": Elman, "diagonal": Diagonal, "lstm": LSTM, "gru": GRU}
    return known[name](option)  # type: ignore[call-arg]


def _fitted(*what: Any) -> tuple[Form, Ask, Tensor, Slots, tuple[Tensor, ...]]:
    """As `_read`, checked again: an operator may be called by anyone."""
    ask, x, slots, state = _read(*what)
    params = {name: w for name, w in zip(_autograd.names(ask.cell), slots, strict=True) if w is not None}
    form, ask, x, slots, state = _arguments.fitted(ask, x, params, state)
    _arguments.valid(ask.lengths, x.shape[1])
    return form, ask, x, slots, state


def _forward(*args: Any) -> list[Tensor]:
    *what, save = args
    form, ask, x, weights, state = _fitted(*what)
    told = _autograd.forward(form, ask, x, weights, state, save)
    return [told.output, *told.last, *told.gates, x.new_empty(0) if told.saved is None else told.saved]


def _forward_fake(*args: Any) -> list[Tensor]:
    *what, save = args
    ask, x, weights, _ = _read(*what)
    (B, T, I), H = x.shape, weights[0].shape[0] // len(ask.cell.gates)  # type: ignore[union-attr]  # noqa: E741
    sizes = ask.cell.state_sizes(H)
    count: Any = 0
    if save and all(isinstance(size, int) for size in (B, T, I, H)):
        count = _autograd.kept(_autograd.form(ask.cell, I, H), ask, B, T)
    elif save:
        count = torch.library.get_ctx().new_dynamic_size()
    told = [(B, T, sizes[0]), *_lasts(ask, B, sizes)]
    told += [(B, T, H)] * len(_autograd.told_gates(ask.cell)) * ask.gates
    return [x.new_empty(shape) for shape in (*told, (count,))]


def _lasts(ask: Ask, B: int, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the last states."""
    return [(1, B, size) if ask.stacked else (B, size) for size in sizes]


def _backward(*args: Any) -> list[Tensor]:
    *what, output, saved, grads, wanted = args
    form, ask, x, weights, state = _fitted(*what)
    (B, T, _), sizes = x.shape, form.sizes
    output = _arguments.tensor("output", output, (B, T, sizes[0]))
    saved = _arguments.tensor("saved", saved, (_autograd.kept(form, ask, B, T),))
    for grad, shape in zip(grads, ((B, T, sizes[0]), *_lasts(ask, B, sizes)), strict=True):
        if grad is not None:
            _arguments.tensor("a gradient", grad, shape, as_is=True)
    told = Told(output, (), (), saved)
    found = _autograd.backward(form, ask, x, weights, state, told, tuple(grads), _spread(what[4], wanted))
    return [grad for grad in found if grad is not None]


def _backward_fake(*args: Any) -> list[Tensor]:
    *what, _, _, _, wanted = args
    leaves = (what[1], *what[2], *what[3])
    return [leaf.new_empty(leaf.shape) for leaf, want in zip(leaves, wanted, strict=True) if want]


def _spread(present: Sequence[bool], wanted: Sequence[bool]) -> tuple[bool, ...]:
    """What is wanted, with a place for each parameter that is not there."""
    first, *rest = wanted
    left = iter(rest)
    return (first, *(there and next(left) for there in present), *left)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    (cell, x, weights, state, present, lengths, reverse, keep, masks, zones, gates, low, stacked, _) = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, *weights, *state, lengths, keep, *masks, output[0], output[-1])
    ctx.fixed = (cell, present, reverse, zones, gates, low, stacked, len(weights), len(state), len(masks))


def _gradients(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    cell, present, reverse, zones, gates, low, stacked, W, S, M = ctx.fixed
    x, *rest = ctx.saved_tensors
    weights, state, (lengths, keep, *masks, output, saved) = rest[:W], rest[W : W + S], rest[W + S :]
    what = (cell, x, weights, state, present, lengths, reverse, keep, masks, zones, gates, low, stacked)
    _, needs_x, needs_weights, needs_state, *_ = ctx.needs_input_grad
    wanted = [needs_x, *(needs_weights or [False] * W), *(needs_state or [False] * S)]
    n = 1 + len(zones)
    found: list[Tensor | None]
    if torch.is_grad_enabled() or any(grad is not None for grad in grads[n:-1]):
        ask, x, slots, states = _read(*what)
        every = _autograd.through_reference(
            ask, x, slots, states, tuple(grads[:-1]), _spread(present, wanted)
        )
        found = [g for g, w in zip(every, (x, *slots, *states), strict=True) if w is not None]
    else:
        some = iter(torch.ops.regen.unfold_backward(*what, output, saved, grads[:n], wanted))
        found = [next(some) if want else None for want in wanted]
    return (None, found[0], found[1 : W + 1], found[W + 1 :], *(None,) * 4, [None] * M, *(None,) * 5)


_LIBRARY.impl("unfold", _forward, "CPU")
_LIBRARY.impl("unfold_backward", _backward, "CPU")
torch.library.register_fake("regen::unfold", _forward_fake, lib=_LIBRARY)
torch.library.register_fake("regen::unfold_backward", _backward_fake, lib=_LIBRARY)
torch.library.register_autograd("regen::unfold", _gradients, setup_context=_keep, lib=_LIBRARY)
