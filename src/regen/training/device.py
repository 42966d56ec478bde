"""How a network runs: device, precision, number of threads, evaluation mode."""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import nn

__all__ = ["EVALUATION_BATCH", "autocast", "evaluating", "fitting_threads", "resolve_device"]

EVALUATION_BATCH = 512
"""Rows of a batch outside of training."""

ENOUGH = 1e9
"""Operations in one batch from which torch keeps its own number of threads.

``benchmarks/threads.py`` on two cores: on idle ones a second thread is slower below 1e8 operations and 1.4 times
faster above; where another program uses its core it is 5 to 15 times slower, because threads spin while they wait
for each other. Below 1e9 a batch takes some ten milliseconds: little to gain, much to lose.
"""


def resolve_device(name: str) -> torch.device:
    """The device called `name`.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        ``"auto"`` is CUDA if there is one, then MPS, then the CPU.

    Returns
    -------
    torch.device
        A device of this machine.

    Raises
    ------
    ValueError
        When this machine, or this build of torch, has no such device.

    See Also
    --------
    autocast : The precision on a device.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present.get(name, False):
        found = ", ".join(repr(kind) for kind, there in present.items() if there)
        raise ValueError(
            f"device={name!r} is not available: torch does not find it on this machine. "
            f"Use 'auto' or one of the devices that it finds: {found}."
        )
    return torch.device(name)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which losses are computed.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` is bfloat16 on CUDA devices that compute in it (Ampere and later) and float32 anywhere else: on
        a CPU, small products are bound by memory and by calls, and bfloat16 rarely pays.
    device : torch.device
        Where the losses are computed.

    Returns
    -------
    context manager
        Without effect for float32, `torch.autocast` for bfloat16.

    See Also
    --------
    resolve_device : The device.

    Examples
    --------
    >>> with autocast("bfloat16", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if native else "float32"
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@contextmanager
def fitting_threads(module: nn.Module, rows: int, copies: int) -> Iterator[None]:
    """One thread while a small net is trained on the CPU, and torch's own number again afterwards.

    A small recurrent net is a long chain of small products. Threads synchronise after every one of them, so a
    second thread slows it down, and badly so when another program uses the core. An explicit choice of one thread
    is left alone.

    Parameters
    ----------
    module : the net, on its device.
    rows : rows of a batch.
    copies : copies of the net that are unfolded over time.
    """
    weights = list(module.parameters())
    operations = 6 * sum(weight.numel() for weight in weights) * rows * copies  # 2 forward, 4 backward
    if torch.get_num_threads() == 1 or operations >= ENOUGH or weights[0].device.type != "cpu":
        yield
        return
    with _one_thread():
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for all that torch computes in the calling thread.

    `torch.set_num_threads` also sets the number that other threads start with: one that a user starts during a fit
    would keep a single thread for good, and the end of a fit would change the number under another one.
    """
    before, setters = torch.get_num_threads(), _setters_of_thread()
    if setters is None:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
        return
    set_openmp, set_mkl = setters
    set_openmp(1)
    mkl_before = set_mkl(1)
    try:
        yield
    finally:
        set_openmp(before)
        set_mkl(mkl_before)


@cache
def _setters_of_thread() -> tuple[Callable[[int], object], Callable[[int], int]] | None:
    """OpenMP's and MKL's functions that set the number of threads of the calling thread alone.

    None where torch has another pool, or keeps them out of reach. A torch without MKL has nothing to set there.
    """
    path = (
        Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{'dylib' if sys.platform == 'darwin' else 'so'}"
    )
    try:
        library = ctypes.CDLL(str(path))  # loaded already; finds what it is linked to as well
        set_openmp = library.omp_set_num_threads
    except (OSError, AttributeError):
        return None
    set_openmp.argtypes, set_openmp.restype = [ctypes.c_int], None
    try:
        set_mkl = library.MKL_Set_Num_Threads_Local
    except AttributeError:
        return set_openmp, lambda threads: 0
    set_mkl.argtypes, set_mkl.restype = [ctypes.c_int], ctypes.c_int
    return set_openmp, set_mkl


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """A context without gradients and without dropout, which restores the mode of `net` at its end.

    Parameters
    ----------
    net : torch.nn.Module
        The network, in any mode.
    """
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        net.train(training)
