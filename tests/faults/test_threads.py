"""Fits beside each other: in threads, processes and on any number of threads, the bits of a fit that runs alone.

And what a fit leaves alone: the random generators of torch and numpy, and every other setting of the process.
"""

import multiprocessing
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import fits
import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from tally import Campaign

import regen

pytestmark = pytest.mark.filterwarnings("ignore")
ROUNDING = 1e-6
"""Largest difference between outputs on different numbers of threads, relative to the largest output."""
together = Campaign("fits in four threads at once, of all estimators", short=6, long=400)
METHODS = [method for method in ("spawn", "fork") if method in multiprocessing.get_all_start_methods()]


def generators() -> tuple[bytes, ...]:
    """The states of the global random generators."""
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), keys.tobytes(), repr((name, rest)).encode()


def settings() -> dict[str, Any]:
    """Settings of the process, and of this thread, that a fit could change."""
    return {
        "threads": torch.get_num_threads(),
        "interop": torch.get_num_interop_threads(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "onednn": torch.backends.mkldnn.enabled,
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        "anomaly": torch.is_anomaly_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "warnings": list(warnings.filters),
        "numpy": np.geterr(),
    }


@cache
def alone(name: str, seed: int = 0) -> str:
    """The bits of a fit with nothing beside it."""
    return fits.result(name, seed)


@pytest.mark.parametrize("name", fits.NAMES)
def test_global_generators_and_settings_are_left_alone(name: str) -> None:
    """By fit, predict, sample, save, load and inspection; and what state they are in does not matter."""
    expected = alone(name)  # imports what torch imports late, whose warning filters are not a fit's
    torch.manual_seed(5)
    np.random.seed(5)
    before, set_before = generators(), settings()
    fitted, (_, data) = fits.fit(name), fits.model(name)
    found = fits.digest(fitted, data)
    if name not in fits.UNSAVED:
        fits.use(fitted, data)
    assert generators() == before and settings() == set_before
    torch.manual_seed(6)
    np.random.seed(6)
    assert found == expected == fits.result(name)
    assert found != alone(name, 1), "another seed gives other bits"


@pytest.mark.parametrize("name", fits.NAMES)
def test_a_resumed_fit_has_the_bits_of_a_whole_one(name: str, tmp_path: Path) -> None:
    """Cut within an epoch and resumed where the global generators are in other states: dropout and noise go on."""
    plan = {"checkpoint": tmp_path / "run"}
    fits.fit(name, training=plan | {"max_steps": 3})
    torch.manual_seed(99)
    resumed = fits.fit(name, training=plan)
    assert "Resumed from" in resumed.stopped_
    assert fits.digest(resumed, fits.model(name)[1]) == alone(name)


class Drawing(threading.Thread):
    """A user's thread that draws from the global generators until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[torch.Tensor, Any]] = []
        self.enough = threading.Event()

    def run(self) -> None:
        """Draw now and then."""
        while not self.enough.wait(0.001):
            self.drawn.append((torch.rand(3), np.random.rand(3)))

    def stop(self) -> None:
        """Draw no more, and compare with the numbers of a thread alone."""
        self.enough.set()
        self.join()
        torch.manual_seed(11)
        np.random.seed(11)
        for of_torch, of_numpy in self.drawn:
            assert torch.equal(of_torch, torch.rand(3)) and (of_numpy == np.random.rand(3)).all()
        assert self.drawn


def test_fits_in_threads_have_the_bits_of_a_fit_alone() -> None:
    """Four at a time, of one estimator or of several, while another thread draws from the global generators."""
    with together as seeds:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            kinds = rng.choice(fits.NAMES, rng.integers(1, 5))
            names, random_states = rng.choice(kinds, 4).tolist(), rng.integers(0, 2, 4).tolist()
            expected = list(map(alone, names, random_states))
            torch.manual_seed(11)
            np.random.seed(11)
            user, before = Drawing(), settings()
            user.start()
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(fits.result, names, random_states))
                after = pool.submit(settings).result()
            user.stop()
            assert found == expected, (seed, names)
            assert settings() == before and after == before
            together.count("the same bits", 4)


def test_the_report_of_four_threads() -> None:
    """Four threads fit the same Forecaster: four times the forecast of a fit alone."""

    def forecast(_: int = 0) -> Any:
        model = regen.Forecaster(window=12, horizon=3, hidden=8, max_epochs=5, random_state=0)
        return model.fit(fits.SERIES).predict()

    expected = forecast()
    with ThreadPoolExecutor(4) as pool:
        assert all((found == expected).all() for found in pool.map(forecast, range(4)))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_cross_validation_in_parallel(backend: str) -> None:
    """Scikit-learn's, under either of joblib's backends, gives the scores of one fit after the other."""
    model, (X, y) = fits.model("SequenceClassifier")
    expected = cross_val_score(model, X, y, cv=4)
    with joblib.parallel_backend(backend, n_jobs=4 if backend == "threading" else 2):
        found = cross_val_score(model, X, y, cv=4)
    assert (found == expected).all()


@pytest.mark.parametrize("method", METHODS)
def test_other_processes(method: str) -> None:
    """Every estimator in a new process; and in a fork of one whose threads have worked."""
    expected = {name: alone(name) for name in fits.NAMES}
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(fits.results, fits.NAMES, torch.get_num_threads()).result(timeout=240) == expected


@pytest.fixture
def threads() -> Iterator[Any]:
    """Sets the number of torch's threads; as before in the end."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", fits.NAMES)
def test_the_number_of_threads(name: str, threads: Any) -> None:
    """Small nets learn the same bits on one, two or four threads; large products of outputs differ by rounding."""
    data, weights, values = fits.model(name)[1], [], []
    for number in (1, 2, 4):
        threads(number)
        fitted = fits.fit(name)
        weights.append(fits.learned(fitted))
        values.append(np.concatenate([np.ravel(part).astype(float) for part in fits.outputs(fitted, data)]))
        assert torch.get_num_threads() == number
    assert len(set(weights)) == 1
    assert max(np.abs(each - values[0]).max() for each in values) <= ROUNDING * np.abs(values[0]).max()


def test_a_random_state_instance_goes_on() -> None:
    """As in scikit-learn: an instance gives each fit a seed of its own, one seeded alike the same ones."""
    first, second = (np.random.RandomState(3) for _ in range(2))
    found = [fits.fit("GAN", first), fits.fit("GAN", first)]
    again = [fits.fit("GAN", second), fits.fit("GAN", second)]
    data = fits.model("GAN")[1]
    assert [fits.digest(each, data) for each in found] == [fits.digest(each, data) for each in again]
    assert fits.digest(found[0], data) != fits.digest(found[1], data)


def test_no_random_state_is_numpys_global_one() -> None:
    """None, as in scikit-learn, takes the seed from numpy's global generator, and nothing from torch's."""
    data = fits.model("VariationalAutoencoder")[1]
    found = []
    for _ in range(2):
        np.random.seed(4)
        torch.seed()
        before = torch.get_rng_state()
        found.append(fits.digest(fits.fit("VariationalAutoencoder", None), data))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] != fits.digest(fits.fit("VariationalAutoencoder", None), data)
