"""The operators ``torch.ops.regen``, which anyone may call: random arguments, right and wrong, on random numbers.

What fits together runs and gives what the reference loop gives; everything else is refused in a sentence. Under
``make sanitize`` the same tries run on kernels that watch their memory and arithmetic.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tally import Campaign
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import reference
from regen.kernels.native import extension

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)

NAMED: dict[str, Cell] = {
    **{f"elman_{f}": Elman(f) for f in ("tanh", "relu")},
    **{f"diagonal_{f}": Diagonal(f) for f in ("tanh", "relu")},
    **{f"jordan_{f}_{P}": Jordan(f, P) for f in ("tanh", "relu") for P in (0, 1, 5)},
    **{f"lstm_{peephole}": LSTM(peephole) for peephole in ("none", "output", "full")},
    **{f"gru_{reset}": GRU(reset) for reset in ("after", "before")},
}
ARGUMENTS = (
    "cell", "x", "weights", "state", "present", "lengths", "reverse", "keep", "masks", "zones", "gates", "low",
    "stacked",
)  # fmt: skip
FITTING = Campaign("operators with random fitting arguments", short=60, long=10_000)
MISUSE = Campaign("operators with random wrong arguments", short=400, long=100_000)
DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.int64, torch.bool, torch.uint8)
Arguments = dict[str, Any]


def fitting(draw: random.Random) -> Arguments:
    """Arguments of ``unfold``, by name, that fit each other."""
    name = draw.choice(list(NAMED))
    cell = NAMED[name]
    B, T, I, H = draw.choice([0, *range(1, 10)]), draw.randint(1, 7), draw.randint(1, 9), draw.randint(1, 40)  # noqa: E741
    bias, sizes = draw.random() < 0.7, cell.state_sizes(H)
    shapes = cell.shapes(I, H, bias)
    zones = [draw.choice([0.0, 0.3, 1.0, -1.0]) for _ in sizes]
    return {
        "cell": name,
        "x": torch.randn(B, T, I),
        "weights": [torch.randn(shape) / H**0.5 for shape in shapes.values()],
        "state": [torch.randn(B, size) for size in sizes] if draw.random() < 0.5 else [],
        "present": [name in shapes for name in cell.shapes(I, H)],
        "lengths": torch.tensor([draw.randint(0, T) for _ in range(B)], dtype=torch.int64)
        if draw.random() < 0.5
        else None,
        "reverse": draw.random() < 0.5,
        "keep": torch.rand(B, sizes[0]) if draw.random() < 0.3 else None,
        "masks": [torch.rand(B, T, size) for z, size in zip(zones, sizes, strict=True) if z < 0],
        "zones": zones,
        "gates": draw.random() < 0.3,
        "low": draw.random() < 0.3,
        "stacked": draw.random() < 0.3,
    }


def unfold(arguments: Arguments, save: bool = True) -> list[Tensor]:
    """The operator's outputs."""
    results: list[Tensor] = torch.ops.regen.unfold(*[arguments[name] for name in ARGUMENTS], save)
    return results


def with_results(arguments: Arguments, draw: random.Random) -> Arguments:
    """The arguments of ``unfold_backward``: those of ``unfold``, what it returned, and gradients."""
    results, n = unfold(arguments), 1 + len(arguments["zones"])
    leaves = 1 + len(arguments["weights"]) + len(arguments["state"])
    return arguments | {
        "output": results[0],
        "saved": results[-1],
        "grads": [torch.randn_like(t) for t in results[:n]],
        "needed": [draw.random() < 0.7 for _ in range(leaves)],
    }


def unfold_backward(arguments: Arguments) -> list[Tensor]:
    """The gradients that are needed."""
    found: list[Tensor] = torch.ops.regen.unfold_backward(
        *[arguments[name] for name in (*ARGUMENTS, "output", "saved", "grads", "needed")]
    )
    return found


def by_reference(arguments: Arguments) -> tuple[list[Tensor], list[Tensor]]:
    """Output and last states of the reference loop, and the leaves that gradients are taken of."""
    cell = NAMED[arguments["cell"]]
    leaves = [
        t.detach().clone().requires_grad_()
        for t in (arguments["x"], *arguments["weights"], *arguments["state"])
    ]
    W = len(arguments["weights"])
    names = [name for name, there in zip(cell.shapes(1, 1), arguments["present"], strict=True) if there]
    masks = iter(arguments["masks"])
    result = reference.run(
        cell, dict(zip(names, leaves[1 : 1 + W], strict=True)), leaves[0], tuple(leaves[1 + W :]) or None,
        lengths=arguments["lengths"], reverse=arguments["reverse"], keep=arguments["keep"],
        zoneout=[next(masks) if z < 0 else z for z in arguments["zones"]],
    )  # fmt: skip
    return [result.output, *result.state], leaves


def test_what_fits_runs() -> None:
    """Outputs, last states and gradients are those of the reference loop."""
    with FITTING as seeds:
        for seed in seeds:
            torch.manual_seed(seed)
            draw = random.Random(seed)
            arguments = with_results(fitting(draw), draw)
            expected, leaves = by_reference(arguments)
            for mine, other in zip(unfold(arguments), expected, strict=False):
                torch.testing.assert_close(mine.view_as(other), other, rtol=1e-4, atol=1e-4)
            found, needed = unfold_backward(arguments), arguments["needed"]
            at = [grad.view_as(t) for grad, t in zip(arguments["grads"], expected, strict=True)]
            right = torch.autograd.grad(expected, leaves, at, allow_unused=True, materialize_grads=True)
            right = [grad for grad, want in zip(right, needed, strict=True) if want]
            for mine, other in zip(found, right, strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)
            FITTING.count("equal to the reference")


# Wrong arguments ---------------------------------------------------------------------------------------------


def reshaped(t: Tensor, draw: random.Random) -> Tensor:
    """A tensor of another shape."""
    shape = list(t.shape)
    kind = draw.randrange(5)
    if kind == 0 or not shape:
        return t[None]
    k = draw.randrange(len(shape))
    if kind == 1:
        return t.select(k, 0) if shape[k] else t.squeeze()
    shape[k] = {2: 0, 3: shape[k] + 1, 4: shape[k] * 2 + 1}[kind]
    return t.new_zeros(shape)


def retyped(t: Tensor, draw: random.Random) -> Tensor:
    """A tensor of another type, device or layout."""
    kind = draw.randrange(4)
    if kind == 0:
        return t.to("meta")
    if kind == 1 and t.is_floating_point() and t.ndim:
        return t.to_sparse()
    return t.to(draw.choice([dtype for dtype in DTYPES if dtype is not t.dtype]))


def laid_out(t: Tensor, draw: random.Random) -> Tensor:
    """The same shape in other memory: strides of 0, gaps, reversed dimensions; this is right."""
    if not t.ndim:
        return t
    kind = draw.randrange(3)
    if kind == 0:
        return t[:1].expand_as(t)
    if kind == 1:
        return torch.stack([t, t], -1)[..., draw.randrange(2)]
    return t.permute(*reversed(range(t.ndim))).contiguous().permute(*reversed(range(t.ndim)))


def change_a_tensor(arguments: Arguments, draw: random.Random) -> None:
    """One tensor in another shape, type or place, or missing."""
    edit: Callable[[Tensor, random.Random], Tensor] = draw.choice([reshaped, retyped, laid_out])
    holders = ("x", "weights", "state", "lengths", "keep", "masks", "output", "saved", "grads")
    name = draw.choice([name for name in holders if name in arguments])
    value = arguments[name]
    if isinstance(value, Tensor):
        arguments[name] = edit(value, draw)
    elif value:
        k = draw.randrange(len(value))
        arguments[name] = [*value[:k], edit(value[k], draw), *value[k + 1 :]]


def change_a_count(arguments: Arguments, draw: random.Random) -> None:
    """One list longer, shorter or empty, or filled with something else."""
    lists = ("weights", "state", "present", "masks", "zones", "grads", "needed")
    name = draw.choice([name for name in lists if name in arguments])
    value, filler = (
        arguments[name],
        {"present": True, "needed": True, "zones": 0.0}.get(name, torch.zeros(2, 3)),
    )
    arguments[name] = draw.choice([value[1:], value[:-1], [], [*value, filler], [filler, *value], value * 2])


def change_a_number(arguments: Arguments, draw: random.Random) -> None:
    """Lengths and zones out of range, flags that do not fit."""
    kind = draw.randrange(4)
    if kind == 0 and arguments["lengths"] is not None:
        lengths = arguments["lengths"].clone()
        lengths[:1] = draw.choice([-1, -(2**63), 8, 2**31, 2**62, 2**63 - 1])
        arguments["lengths"] = lengths
    elif kind == 1:
        zones = list(arguments["zones"])
        zones[draw.randrange(len(zones))] = draw.choice(
            [float("nan"), float("inf"), -float("inf"), 1.5, -0.0, -1.0]
        )
        arguments["zones"] = zones
    elif kind == 2:
        arguments["present"] = [draw.random() < 0.5 for _ in arguments["present"]]
    else:
        arguments[draw.choice(["gates", "low", "stacked", "reverse"])] = draw.random() < 0.5


def change_the_cell(arguments: Arguments, draw: random.Random) -> None:
    """Another cell, or none."""
    widths = [f"jordan_tanh{end}" for end in ("", "_", "_-1", "_999999999", "_99999999999999999999", "_é")]
    words = [
        "",
        "_",
        "lstm",
        "lstm_",
        "lstm_all",
        "gru_after_3",
        "elman_tanh_4",
        "elman_tanh\0",
        "jordan_sin_3",
    ]
    arguments["cell"] = draw.choice([*widths, *words, *NAMED])


def change_the_kind(arguments: Arguments, draw: random.Random) -> None:
    """A value of another kind altogether."""
    name = draw.choice(list(arguments))
    arguments[name] = draw.choice([None, 0, -1, 2**70, "x", 1.5, [], [None], torch.zeros(()), object(), {}])


CHANGES = (
    change_a_tensor,
    change_a_tensor,
    change_a_count,
    change_a_number,
    change_the_cell,
    change_the_kind,
)


def attempt(run: Callable[[Arguments], list[Tensor]], arguments: Arguments) -> str:
    """What became of a call: tensors, or a refusal that is a sentence."""
    try:
        results = run(arguments)
    except (ValueError, RuntimeError) as error:
        message = str(error)
        assert " " in message.strip(), f"no sentence: {message!r}"
        # Of a wrong kind of argument torch itself says so, before the operator is called.
        whose = "torch" if type(error) is not ValueError else "the operator"
        return f"refused by {whose}"
    assert all(isinstance(t, Tensor) for t in results)
    return "ran"


def test_misuse_is_refused() -> None:
    """One to three changes: a call runs, or raises ValueError or torch's RuntimeError; no other error, no crash."""
    with MISUSE as seeds:
        for seed in seeds:
            torch.manual_seed(seed)
            draw = random.Random(seed)
            arguments = fitting(draw)
            run: Callable[[Arguments], list[Tensor]] = unfold
            if draw.random() < 0.5:
                arguments, run = with_results(arguments, draw), unfold_backward
            for _ in range(draw.randint(1, 3)):
                change = draw.choice(CHANGES)
                try:
                    change(arguments, draw)
                except (TypeError, AttributeError, RuntimeError):
                    continue  # the change before has left nothing that this one could change
            try:
                MISUSE.count(attempt(run, arguments))
            except Exception as error:
                raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
