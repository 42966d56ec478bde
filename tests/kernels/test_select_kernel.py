"""Who runs a cell, and the reason told."""

import re

import pytest
import torch
from torch.func import vmap

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import choose, fused, reference

X = torch.zeros(2, 3, 1)
ZERO = torch.tensor([3, 0])
CASES = [
    (LSTM(), {}, "torch: its fused LSTM on cpu"),
    (LSTM(proj_size=1), {}, "torch: its fused LSTM on cpu"),
    (GRU(), {"lengths": torch.tensor([3, 1])}, "torch: its fused GRU on cpu"),
    (Elman("relu"), {}, "torch: its fused Elman on cpu"),
    (LSTM("output"), {}, "reference: torch's LSTM has no peepholes"),
    (GRU("before"), {}, "reference: torch's GRU resets after the recurrent product"),
    (Jordan(), {}, "reference: torch has no jordan cell"),
    (Diagonal(), {}, "reference: torch has no diagonal cell"),
    (LSTM(), {"gates": True}, "reference: torch's operators keep their gates to themselves"),
    (LSTM(), {"keep": 0.5}, "reference: torch's operators have no recurrent dropout"),
    (LSTM(), {"zoneout": 0.5}, "reference: torch's operators have no zoneout"),
    (LSTM(), {"lengths": ZERO}, "reference: torch's operators need at least one valid step in every row"),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_auto(case: int) -> None:
    """With "auto" torch's operators run what they can; the sentence says why."""
    cell, asked, reason = CASES[case]
    run, told = choose("auto", cell, X, **asked)  # type: ignore[arg-type]
    assert told == reason
    assert run is (fused.run if reason.startswith("torch") else reference.run)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_explicit_obeys_or_raises(case: int) -> None:
    """An explicit backend is never replaced by another one."""
    cell, asked, reason = CASES[case]
    assert choose("reference", cell, X, **asked) == (reference.run, "reference: asked for")  # type: ignore[arg-type]
    if reason.startswith("torch"):
        assert choose("torch", cell, X, **asked) == (fused.run, "torch: asked for")  # type: ignore[arg-type]
        return
    why = reason.removeprefix("reference: ")
    words = f"backend='torch' cannot run this: {why}. Use backend='auto' or 'reference'."
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        choose("torch", cell, X, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", [LSTM("full"), Jordan()], ids=str)
def test_kernel_itself_refuses(cell: Cell) -> None:
    """Called directly, the fused kernel refuses as well."""
    params = {name: torch.zeros(shape) for name, shape in cell.shapes(1, 2).items()}
    with pytest.raises(ValueError, match=r"^backend='torch' cannot run this: torch"):
        fused.run(cell, params, X)


def test_unknown_backend() -> None:
    """The closest word is offered."""
    words = (
        "The 'backend' parameter of a recurrent net must be one of 'auto', 'reference', 'torch'. "
        "Got 'referense' instead. Did you mean 'reference'?"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        choose("referense", LSTM(), X)


def test_transforms_go_through_the_reference() -> None:
    """Inside torch.func "auto" is the reference loop, outside torch's operators again."""
    told: list[str] = []

    def one(row: torch.Tensor) -> torch.Tensor:
        told.append(choose("auto", GRU(), row[None])[1])
        return row

    vmap(one)(X)
    assert told == ["reference: a torch.func transform is under way"]
    assert choose("auto", GRU(), X)[1] == "torch: its fused GRU on cpu"
