"""A step that lacks memory is run in parts: the same loss and gradient, and training goes on."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen.training import RowParts
from regen.training.checkpoint import read_tree
from regen.training.optimizer_step import OptimizerStep

DRAW = np.random.default_rng(0)
Y = np.sin(np.arange(160) / 3)[:, None] + DRAW.normal(size=(160, 2)) / 5
GAPS = np.where(DRAW.random(Y.shape) < 0.2, np.nan, Y)
ROWS = DRAW.normal(size=(80, 4))
HOLES = np.where(DRAW.random(ROWS.shape) < 0.2, np.nan, ROWS)
SEQUENCES = [DRAW.normal(size=(int(n), 2)) for n in DRAW.integers(3, 9, 40)]
IMAGES = DRAW.random((60, 1, 8, 8)).astype(np.float32)
LABELS = np.arange(80) % 3
SGD = {"optimizer": "sgd", "max_steps": 3, "clip": None, "batch_size": 14, "validation": 0.0}
STEP: dict[str, Any] = {"max_epochs": 9, "learning_rate": 0.05, "random_state": 0}

CASES: dict[str, tuple[type, dict[str, Any], tuple[Any, ...]]] = {
    "windows": (regen.Forecaster, {"window": 6, "hidden": 5, "horizon": 2}, (GAPS,)),
    "streams": (regen.Forecaster, {"window": 6, "hidden": 5, "horizon": 2, "bptt": 3}, (GAPS,)),
    "streams gru": (regen.Forecaster, {"window": 6, "hidden": 5, "bptt": 3, "cell": "gru"}, (Y,)),
    "classifier": (regen.SequenceClassifier, {"hidden": 4}, (SEQUENCES, LABELS[:40])),
    "regressor": (regen.SequenceRegressor, {"hidden": 4, "layers": 2}, (SEQUENCES, ROWS[:40, 0])),
    "autoencoder": (
        regen.Autoencoder,
        {"code": 2, "hidden": (6,), "penalty": {"kl": 0.3, "l1": 0.1}},
        (ROWS,),
    ),
    "contractive": (regen.Autoencoder, {"code": 2, "hidden": (6,), "penalty": {"contractive": 0.3}}, (ROWS,)),
    "sequences": (regen.Autoencoder, {"code": 2, "backbone": "gru"}, (SEQUENCES,)),
    "denoiser": (regen.DenoisingAutoencoder, {"code": 2, "hidden": (6,)}, (HOLES,)),
    "vae": (regen.VariationalAutoencoder, {"code": 2, "hidden": (6,), "free_bits": 0.5}, (HOLES,)),
    "importance": (
        regen.VariationalAutoencoder,
        {"code": 2, "hidden": (6,), "importance_samples": 3},
        (ROWS,),
    ),
    "gan": (regen.GAN, {"hidden": (6,)}, (ROWS, LABELS)),
    "gan pairs": (regen.GAN, {"hidden": (6,), "game": {"objective": "relativistic", "pack": 2}}, (ROWS,)),
    "gan gradient": (
        regen.GAN,
        {"hidden": (6,), "game": {"objective": "wasserstein", "penalty": "gradient"}},
        (ROWS,),
    ),
    "gan sequences": (regen.GAN, {"hidden": (6,), "backbone": "gru"}, (SEQUENCES,)),
    "dcgan": (regen.DCGAN, {"channels": 4, "norm": False}, (IMAGES,)),
}


def fitted(case: str, **training: Any) -> Any:
    """The model of a case after three steps of gradient descent."""
    kind, options, data = CASES[case]
    model = kind(**options, **STEP, training=SGD | training)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?!There is not enough memory)")
        return model.fit(*data)


def weights(model: Any) -> torch.Tensor:
    """All of them, in one vector."""
    return torch.cat([value.flatten().double() for value in model.net_.state_dict().values()])


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Run every batch in parts from the start; gives the sizes of all parts."""

    def start(n: int) -> list[int]:
        plain, run, sizes = RowParts.__init__, RowParts._run, []

        def init(self: RowParts, *modules: Any, multiple: int = 1) -> None:
            plain(self, *modules, multiple=multiple)
            self.n = n

        def count(self: RowParts, function: Any, arguments: Any) -> Any:
            sizes.append(len(arguments[0]))
            return run(self, function, arguments)

        monkeypatch.setattr(RowParts, "__init__", init)
        monkeypatch.setattr(RowParts, "_run", count)
        return sizes

    return start


@pytest.mark.parametrize("case", CASES)
def test_parts_have_the_gradient_of_the_batch(case: str, in_parts: Callable[[int], list[int]]) -> None:
    """Means over observed values, penalties of means, pairs, packs, carried states: as of the batch, to rounding."""
    whole = fitted(case)
    sizes = in_parts(3)
    parts = fitted(case)
    assert len(sizes) > 6
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-4, atol=2e-6)
    start = fitted(case, max_steps=1)
    assert (weights(start) - weights(whole)).abs().max() > 1e-4, "the steps in between must matter"


def test_a_part_that_forgets_its_numbers_would_be_noticed(
    in_parts: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, the second computation of a part draws what the first one drew: else the gradient is another."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 50), torch.nn.Dropout(0.5), torch.nn.Linear(50, 1))
    x = torch.randn(12, 3)
    for follows in (True, False):
        parts = RowParts(net)
        parts.halve()
        if follows:
            parts.follow(regen.training.rng.RNGStates(torch.Generator(), torch.device("cpu")))
        net.zero_grad()
        outputs = parts(net, x)
        outputs.sum().backward()
        last = net[2]  # the outputs are linear in its weights
        product = (last.weight.grad * last.weight).sum()
        assert torch.allclose(product, (outputs - last.bias).sum(), atol=1e-4) == follows


class Scarce:
    """Memory for backward passes of parts of at most so many rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, n: int, after: int = 0) -> None:
        plain = OptimizerStep.backward
        self.refused = self.calls = 0
        found: list[RowParts] = []
        init = RowParts.__init__

        def keep(parts: RowParts, *modules: Any, multiple: int = 1) -> None:
            init(parts, *modules, multiple=multiple)
            found.append(parts)

        def backward(step: OptimizerStep, loss: torch.Tensor) -> None:
            self.calls += 1
            if self.calls > after and max(parts.n for parts in found) < n:
                self.refused += 1
                plain(step, loss)  # gradients are there already, in part
                raise error
            plain(step, loss)

        monkeypatch.setattr(RowParts, "__init__", keep)
        monkeypatch.setattr(OptimizerStep, "backward", backward)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 12"
    ),
    MemoryError(),
]


@pytest.mark.parametrize("case", CASES)
def test_training_goes_on(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, however often the parts are halved, and the steps are counted as ever."""
    scarce = Scarce(monkeypatch, ERRORS[0], 4, after=1)
    with pytest.warns(
        RuntimeWarning, match="^There is not enough memory for a step on a whole batch"
    ) as said:
        model = fitted(case)
    assert scarce.refused == 2 and model.epochs_["step"][-1] == 3
    assert len([warning for warning in said if "memory" in str(warning.message)]) == 1
    assert weights(model).isfinite().all()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_kind_of_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of CUDA, of torch on the CPU, of Python and the native kernels; streams go on from before the batch."""
    whole = fitted("streams")
    Scarce(monkeypatch, error, 2, after=1)
    with pytest.warns(RuntimeWarning, match="not enough memory"):
        model = fitted("streams")
    torch.testing.assert_close(weights(model), weights(whole), rtol=1e-4, atol=2e-6)


def test_other_errors_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the computation is no lack of memory."""
    Scarce(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 2)
    with pytest.raises(RuntimeError, match="shapes"):
        fitted("windows")


@pytest.mark.parametrize(
    ("case", "training", "reason"),
    [
        ("windows", {}, "single rows"),
        ("dcgan", {}, "batch normalisation"),
        ("gan spectral", {}, "its power iteration"),
    ],
)
def test_when_parts_do_not_help(
    case: str, training: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised: parts of one row, or layers that need all rows at once."""
    monkeypatch.setitem(
        CASES, "gan spectral", (regen.GAN, {"hidden": (6,), "game": {"spectral_norm": True}}, (ROWS,))
    )
    if case == "dcgan":
        kind, options, data = CASES["dcgan"]
        monkeypatch.setitem(CASES, "dcgan", (kind, options | {"norm": True}, data))
    scarce = Scarce(monkeypatch, ERRORS[0], 1000)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is not enough memory")
        with pytest.raises(torch.OutOfMemoryError):
            fitted(case)
    assert scarce.refused == (5 if case == "windows" else 1), reason  # 14 rows: 1, 2, 4, 8 and 16 parts


@pytest.mark.parametrize("forget", [False, True])
def test_resumed_in_the_same_parts(forget: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint records the parts: the resumed run has the bits of the whole one, which whole batches lack."""
    monkeypatch.setattr("regen.training.loop.CHECK_EVERY", 2)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_EVERY", 0.0)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_SHARE", float("inf"))
    path = tmp_path / "c"
    with monkeypatch.context() as patch:
        Scarce(patch, ERRORS[0], 4)
        with pytest.warns(RuntimeWarning, match="not enough memory"):
            whole = fitted("windows", max_steps=8)
        Scarce(patch, ERRORS[0], 4)
        with pytest.warns(RuntimeWarning, match="not enough memory"):
            fitted("windows", max_steps=4, checkpoint=path)
    assert read_tree(path)["state"]["guard"]["players"]["train"]["parts"] == 4
    if forget:
        monkeypatch.setattr("regen.training.player.PARTS_KEY", "forgotten")
    resumed = fitted("windows", max_steps=8, checkpoint=path)
    assert torch.equal(weights(resumed), weights(whole)) != forget
