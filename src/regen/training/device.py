"""Where a training runs and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["autocast", "resolve_device"]


def resolve_device(name: str) -> torch.device:
    """The device called `name`; ``"auto"`` is CUDA if there is one, then MPS, then the CPU.

    Raises
    ------
    ValueError
        When this machine, or this build of torch, has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present.get(name, False):
        found = ", ".join(repr(kind) for kind, there in present.items() if there)
        raise ValueError(
            f"device={name!r} was asked for, but torch finds none on this machine. "
            f"Use 'auto' or one of those it finds: {found}."
        )
    return torch.device(name)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which losses are computed: nothing in float32, autocast in bfloat16.

    ``"auto"`` is bfloat16 on CUDA devices that compute in it (Ampere and later), float32 anywhere else: on a
    CPU small products are bound by memory and by calls, and bfloat16 rarely pays.
    """
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if native else "float32"
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
