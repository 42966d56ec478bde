"""The compiled module itself: in what form it takes arrays."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.kernels.native import extension

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)
layer: Any = extension.native.Layer("elman_tanh", 2, 4, 4)
B, T, I, H = 3, 5, 2, 4  # noqa: E741
X, W, U = torch.randn(B, T, I), torch.randn(H, I), torch.randn(H, H)


def run(x: Any, read: Callable[[Tensor], Any], absent: Any) -> Tensor:
    """One pass over `x`, with every array as `read` gives it; a bias and a state are `absent`."""
    out, last = torch.empty(B, T, H), torch.empty(B, H)
    weights, none = (read(W), read(U), absent, absent), (absent,)
    layer.forward(
        B, T, x, T * I, I, weights, none, 0, False, 0, none, (0.0,), read(out), (read(last),), 0, False, (), 1
    )  # fmt: skip
    assert torch.equal(out[:, -1], last)
    return out


def test_tensors_and_addresses() -> None:
    """An array may be given as either; what is absent is 0, and None among several."""
    by_tensor = run(X, lambda t: t, None)
    assert torch.equal(by_tensor, run(X.data_ptr(), lambda t: t.data_ptr(), 0))
    torch.testing.assert_close(by_tensor[:, 0], torch.tanh(X[:, 0] @ W.T))


@pytest.mark.parametrize("x", ["x", 1.5, [1]])
def test_what_is_no_array_is_refused(x: Any) -> None:
    """Before anything is read."""
    with pytest.raises(AttributeError, match="data_ptr"):
        run(x, lambda t: t, None)
