"""Shared by all tests: shapes in annotations are checked at run time, and random examples repeat exactly.

One thread: on tensors this small, and with other work on the machine, threads only wait for each other.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(
    ["regen.cells", "regen.kernels", "regen.losses", "regen.nets", "regen.data.batching"], "beartype.beartype"
)
from regen.kernels.native.extension import native  # noqa: E402  (after the hook)

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def message_of() -> Callable[..., str]:
    """The message of the error of class `kind` that a call raises."""

    def message(kind: type[Exception], call: Callable[..., Any], *args: Any, **options: Any) -> str:
        with pytest.raises(kind) as caught:
            call(*args, **options)
        return str(caught.value)

    return message


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads for torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=native.isas() if native else [])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of the native kernels in turn; afterwards the one that was in use."""
    before = native.isa()
    native.use(request.param)
    yield request.param
    native.use(before)
