"""Many fits in one process: memory, descriptors, threads and hooks stay what they were after the first ones."""

import gc
import os
import warnings
from pathlib import Path

import fits
import pytest
import torch
from tally import Campaign

import regen
from regen.estimators import ESTIMATORS

NAMES = tuple(kind.__name__ for kind in ESTIMATORS)
GROWTH = 24 * 2**20
"""Bytes by which the memory of the process may differ from that after the first fits, however many follow. Over 264
fits alone in a process it went up and down by 3 MB."""
soak = Campaign(
    "fits of all estimators in one process: memory, descriptors, threads, hooks", short=20, long=1000
)
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


def memory() -> int:
    """Bytes of the process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open files, pipes and sockets."""
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    """Threads of the process, those of torch among them."""
    return len(os.listdir("/proc/self/task"))


def hooks() -> int:
    """Hooks of all modules and tensors, and filters of warnings."""
    module = torch.nn.modules.module
    registered = (
        module._global_forward_hooks,
        module._global_forward_pre_hooks,
        module._global_backward_hooks,
        module._global_backward_pre_hooks,
        module._global_parameter_registration_hooks,
        module._global_module_registration_hooks,
        module._global_buffer_registration_hooks,
    )
    return sum(map(len, registered)) + len(warnings.filters)


def fit(number: int, folder: Path) -> None:
    """A fit with a checkpoint, its file, and its outputs."""
    name, path = NAMES[number % len(NAMES)], folder / "checkpoint"
    fitted = fits.fit(name, number, training={"checkpoint": str(path)})
    loaded = regen.load(regen.save(fitted, folder / "model"))
    assert fits.digest(loaded, fits.model(name)[1]) == fits.digest(fitted, fits.model(name)[1])
    path.unlink()


@pytest.mark.filterwarnings("ignore")
def test_nothing_grows(tmp_path: Path) -> None:
    """Nothing of a fit is left when the estimator is gone."""
    for number in range(len(NAMES)):
        fit(number, tmp_path)
    before = memory(), descriptors(), threads(), hooks()
    with soak as seeds:
        for seed in seeds:
            fit(seed, tmp_path)
            if seed % 10 == 9:
                now = memory(), descriptors(), threads(), hooks()
                assert now[1:] == before[1:], "descriptors, threads or hooks"
                assert abs(now[0] - before[0]) < GROWTH, f"{(now[0] - before[0]) / 2**20:.0f} MB"
            soak.count("constant")
    assert os.listdir(tmp_path) == ["model"]


def test_what_is_left_open_would_be_noticed(tmp_path: Path) -> None:
    """The counters are sensitive: a descriptor, a hook, and memory above the bound."""
    before = memory(), descriptors(), hooks()
    kept = torch.ones(2**26)  # far more than what may be freed meanwhile
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    with (tmp_path / "open").open("w"):
        assert descriptors() == before[1] + 1 and hooks() == before[2] + 1
    handle.remove()
    assert memory() - before[0] > GROWTH and len(kept)
