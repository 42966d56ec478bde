"""torch's own samples and bad inputs for RNN, LSTM and GRU (its ModuleInfo database), run on regen.nn."""

from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

import regen.nn as ours

pytest.importorskip("expecttest", reason="torch's test database needs expecttest")


@pytest.fixture(scope="module")
def database() -> dict[str, Any]:
    """Entries by class name; the import would freeze torch's backend flags for the other tests, so it may not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends, "disable_global_flags", lambda: None)
        from torch.testing._internal.common_modules import module_db
    return {
        info.module_cls.__name__: info for info in module_db if info.module_cls in (nn.RNN, nn.LSTM, nn.GRU)
    }


def tensors(results: Any) -> list[Tensor]:
    """All tensors of a result, in order."""
    return [results] if isinstance(results, Tensor) else [t for part in results for t in tensors(part)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_samples(name: str, training: bool, database: dict[str, Any]) -> None:
    """Same arguments, same weights: outputs, gradients and second derivatives are torch's, batched or not."""
    info = database[name]
    samples = info.module_inputs_func(info, "cpu", torch.float64, True, training)
    assert len(samples) >= 16
    for sample in samples:
        made, options = sample.constructor_input, sample.forward_input
        theirs = info.module_cls(*made.args, dtype=torch.float64, **made.kwargs).train(training)
        net = getattr(ours, name)(*made.args, dtype=torch.float64, **made.kwargs).train(training)
        net.load_state_dict(theirs.state_dict())
        leaves = tensors(options.args)
        results = []
        for module in (net, theirs):
            outputs = tensors(module(*options.args, **options.kwargs))
            inputs = [*leaves, *module.parameters()]
            first = torch.autograd.grad(sum(t.square().sum() for t in outputs), inputs, create_graph=True)
            second = torch.autograd.grad(sum(t.square().sum() for t in first), inputs)
            results.append([*outputs, *first, *second])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_bad_inputs(name: str, database: dict[str, Any]) -> None:
    """What torch refuses, regen.nn refuses: in words, or in the tests by the check of its annotations."""
    info = database[name]
    cases = list(info.module_error_inputs_func(info, "cpu", torch.float64, True, True))
    assert len(cases) >= 10
    for case in cases:
        sample = case.module_error_input
        made, options = sample.constructor_input, sample.forward_input
        with pytest.raises((ValueError, TypeCheckError), match=r"must be|weights of this|Expected type"):
            net = getattr(ours, name)(*made.args, **made.kwargs)
            net(*options.args, **options.kwargs)
