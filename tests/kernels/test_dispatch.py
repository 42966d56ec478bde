"""Which backend runs a cell, and why."""

from typing import Any

import pytest
import torch
from torch.func import vmap

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import choose, native, reference, torch_fused
from regen.kernels.native import extension

X = torch.zeros(2, 3, 1, dtype=torch.float64)
COARSE = "the native kernels compute in torch.float32 and x is torch.float64"
ZERO = torch.tensor([3, 0])
CASES = [
    (LSTM(), {}, f"torch: its fused LSTM on cpu; {COARSE}"),
    (LSTM(proj_size=1), {}, "torch: its fused LSTM on cpu; the native LSTM has no projection"),
    (GRU(), {"lengths": torch.tensor([3, 1])}, f"torch: its fused GRU on cpu; {COARSE}"),
    (Elman("relu"), {}, f"torch: its fused Elman on cpu; {COARSE}"),
    (LSTM("output"), {}, f"reference: torch's LSTM has no peepholes; {COARSE}"),
    (GRU("before"), {}, f"reference: torch's GRU resets after the recurrent product; {COARSE}"),
    (Jordan(), {}, f"reference: torch has no jordan cell; {COARSE}"),
    (Diagonal(), {}, f"reference: torch has no diagonal cell; {COARSE}"),
    (LSTM(), {"gates": True}, f"reference: torch's operators keep their gates to themselves; {COARSE}"),
    (LSTM(), {"keep": 0.5}, f"reference: torch's operators have no recurrent dropout; {COARSE}"),
    (LSTM(), {"zoneout": 0.5}, f"reference: torch's operators have no zoneout; {COARSE}"),
    (
        LSTM(),
        {"lengths": ZERO},
        f"reference: torch's operators need at least one valid step in every row; {COARSE}",
    ),
]
EVERY = [Elman(), Elman("relu"), Diagonal(), Jordan(proj_size=2), LSTM(), LSTM("full"), GRU(), GRU("before")]


@pytest.fixture
def present() -> None:
    """The compiled kernels are there, or the test is skipped."""
    if extension.native is None:
        pytest.skip(extension.why_missing)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the compiled kernels."""
    monkeypatch.setattr(extension, "native", None)
    monkeypatch.setattr(extension, "why_missing", "not built")


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("case", range(len(CASES)))
def test_auto(case: int) -> None:
    """In float64 torch's operators run what they can; the description has the reason, and why native does not."""
    cell, options, reason = CASES[case]
    run, description = choose("auto", cell, X, **options)  # type: ignore[arg-type]
    assert description == reason
    assert run is (torch_fused.run if reason.startswith("torch") else reference.run)


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("cell", EVERY, ids=str)
def test_auto_is_native_in_float32(cell: Cell) -> None:
    """Every cell with every option; the description has the instruction set."""
    assert extension.native is not None
    description = f"native: {type(cell).__name__.lower()} on {extension.native.isa()}"
    for options in ({}, {"lengths": ZERO}, {"gates": True}, {"keep": 0.5}, {"zoneout": 0.5}):
        assert choose("auto", cell, X.float(), **options) == (native.run, description)  # type: ignore[arg-type]
        assert choose("native", cell, X.float(), **options) == (native.run, "native: requested")  # type: ignore[arg-type]


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("case", range(len(CASES)))
def test_without_the_compiled_kernels(case: int, message_of: Any) -> None:
    """The same others run it, also in float32; an explicit "native" raises."""
    cell, options, reason = CASES[case]
    why = "native is missing: not built"
    description = f"{reason.rpartition('; ')[0]}; {why}"
    assert choose("auto", cell, X.float(), **options)[1] == description  # type: ignore[arg-type]
    words = f"backend='native' cannot run this: {why}. Use backend='auto' or 'reference'."
    assert message_of(ValueError, choose, "native", cell, X.float(), **options) == words


@pytest.mark.parametrize("case", range(len(CASES)))
def test_explicit_obeys_or_raises(case: int, message_of: Any) -> None:
    """An explicit backend is never replaced by another one."""
    cell, options, reason = CASES[case]
    assert choose("reference", cell, X, **options) == (reference.run, "reference: requested")  # type: ignore[arg-type]
    if reason.startswith("torch"):
        assert choose("torch", cell, X, **options) == (torch_fused.run, "torch: requested")  # type: ignore[arg-type]
        return
    why = reason.removeprefix("reference: ").rpartition("; ")[0]
    words = f"backend='torch' cannot run this: {why}. Use backend='auto' or 'reference'."
    assert message_of(ValueError, choose, "torch", cell, X, **options) == words


@pytest.mark.parametrize("cell", [LSTM("full"), Jordan()], ids=str)
def test_kernel_itself_refuses(cell: Cell) -> None:
    """Called directly, the fused kernel refuses as well."""
    params = {name: torch.zeros(shape) for name, shape in cell.shapes(1, 2).items()}
    with pytest.raises(ValueError, match=r"^backend='torch' cannot run this: torch"):
        torch_fused.run(cell, params, X)


def test_unknown_backend(message_of: Any) -> None:
    """The closest word is offered."""
    words = (
        "The 'backend' parameter of a recurrent net must be one of 'auto', 'reference', 'torch', 'native'. "
        "Got 'referense' instead. Did you mean 'reference'?"
    )
    assert message_of(ValueError, choose, "referense", LSTM(), X) == words


@pytest.mark.parametrize("x", [X, X.float()], ids=["float64", "float32"])
def test_transforms_go_through_the_reference(x: torch.Tensor) -> None:
    """Inside torch.func and forward-mode differentiation "auto" is the reference loop, outside it is not."""
    description: list[str] = []

    def one(row: torch.Tensor) -> torch.Tensor:
        description.append(choose("auto", GRU(), row[None])[1])
        return row

    vmap(one)(x)
    with torch.autograd.forward_ad.dual_level():
        one(x[0])
    assert description == [
        "reference: a torch.func transform is under way",
        "reference: forward-mode differentiation is under way",
    ]
    assert not choose("auto", GRU(), x)[1].startswith("reference")
