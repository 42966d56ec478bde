"""A model with data, ready to be inspected: fitted estimators give their own probe, torch modules get one here.

Letters: `B` batch, `T` steps, `F` features, `K` outputs, `D` directions.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from regen._masks import length_mask
from regen.estimators._base import Estimator
from regen.estimators._probe import PROBE_ROWS, CopyLosses, Probe, ProbeTraits, ProbeWindows, column_names
from regen.inspection.recurrent.parts import Part, part_named, parts_of
from regen.losses.regression import LOSSES, mean_per_step
from regen.nets import Recurrent

__all__ = [
    "Loss",
    "check_label_input",
    "gradients_in_evaluation",
    "inspected_part",
    "net_of",
    "probe_to_evaluate",
    "probe_to_observe",
]

Loss = Callable[[Tensor, Tensor], Tensor]


def net_of(model: Any) -> nn.Module:
    """The network of a fitted estimator, or the torch module itself."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, Estimator):
        return model.fitted_net()
    raise ValueError(
        f"A model must be a fitted estimator of regen or a torch module. Got {type(model).__name__} instead."
    )


def inspected_part(probe: Probe, name: str | None) -> Part:
    """The recurrent net of that name; None is the default of the probe, or the first."""
    if name is None and probe.default_part is not None:
        names = [part.name for part in parts_of(probe.net) if part.name.startswith(probe.default_part)]
        name = names[0] if names else None
    return part_named(probe.net, name)


def check_label_input(model: Any, y: Any) -> None:
    """Refuse labels y (n,) for a model without an input for them."""
    if y is not None and not (isinstance(model, Estimator) and model.y_is_input):
        raise ValueError(f"{type(model).__name__} has no input for labels. Leave out y.")


def probe_to_observe(
    model: Any, X: Any, y: Any = None, part: str | None = None, windows: ProbeWindows = "tiled"
) -> Probe:
    """The network of a model with all of X (n, ...), without targets; y (n,) are labels that are an input of it."""
    part_named(net_of(model), part)  # refuses a model without recurrent nets before X is checked
    check_label_input(model, y)
    if not isinstance(model, Estimator):
        return _module_probe(model, X, None, None)
    return model.probe(X, y, part=part, windows=windows, rows=None)


def probe_to_evaluate(
    model: Any,
    X: Any,
    y: Any = None,
    part: str | None = None,
    loss: Loss | None = None,
    rows: int = PROBE_ROWS,
) -> Probe:
    """The network of a model with X (n, ...) and its targets y (n, ...); at most `rows` rows of an estimator."""
    part_named(net_of(model), part)
    if not isinstance(model, Estimator):
        return _module_probe(model, X, y, loss)
    if loss is not None:
        raise ValueError(
            "loss= is for torch modules; an estimator has the loss that it was trained with. Leave it out."
        )
    return model.probe(X, y, part=part, rows=rows)


@contextmanager
def gradients_in_evaluation(net: nn.Module) -> Iterator[None]:
    """Within, the network is in evaluation mode and differentiable on every device; its modes are restored.

    On a GPU, nets of ``torch.nn`` are run by their twins: in evaluation mode, cuDNN has no gradient.
    """
    modes = {module: module.training for module in net.modules()}
    if any(modes.values()):
        net.eval()
    try:
        with ExitStack() as stack:
            for module in modes:
                if isinstance(module, nn.RNNBase) and (part := Part("", module)).weight.is_cuda:
                    stack.enter_context(part.intercept())
            yield
    finally:
        for module, mode in modes.items():
            if module.training is not mode:  # torch looks at every attribute that is set
                module.training = mode


# Torch modules.


def _module_probe(net: nn.Module, X: Any, y: Any, loss: Loss | None) -> Probe:
    """A torch module with its arguments: the first is the input, the others stay as they are."""
    first = parts_of(net)[0]
    like = first.weight
    args = _as_tensors(X, like)
    x, *others = args if isinstance(args, tuple) and not isinstance(args, PackedSequence) else (args,)
    targets = None if y is None else torch.as_tensor(y, device=like.device)
    if targets is not None and targets.is_floating_point():
        targets = targets.to(like.dtype)
    values = _values(first, x)

    def run(_: Probe, x: Any) -> Tensor:
        return _module_outputs(net, net(x, *others))

    return Probe(
        net=net,
        x=x,
        run=run,
        loss=lambda probe, x: _module_losses(run(probe, x), probe.targets, loss),
        copy_losses=lambda probe: _module_copy_losses(probe, others, loss),
        targets=targets,
        values=values,
        features=() if values is None else column_names(values.shape[2]),
        traits=ProbeTraits(divisible=False),
    )


def _as_tensors(value: Any, like: Tensor) -> Any:
    """An array or a list as a tensor with the dtype and device of `like`; tensors and others as they are."""
    if isinstance(value, Tensor | PackedSequence | bool | int | float) or value is None:
        return value
    if isinstance(value, tuple):
        return tuple(_as_tensors(each, like) for each in value)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"X must hold numbers. Got {type(value).__name__} of {array.dtype} instead.")
    return torch.as_tensor(array, dtype=like.dtype, device=like.device)


def _values(part: Part, x: Any) -> NDArray[Any] | None:
    """(B, T, F) the input of a module as an array, NaN past the end of a sequence; None where it is no such input."""
    lengths = None
    if isinstance(x, PackedSequence):
        x, lengths = pad_packed_sequence(x, batch_first=True)
    elif isinstance(x, Tensor) and not part.module.batch_first:
        x = x.transpose(0, 1) if x.ndim == 3 else x
    if not isinstance(x, Tensor) or x.ndim not in (2, 3) or not x.is_floating_point():
        return None
    x = x.float() if x.dtype is torch.bfloat16 else x
    values: NDArray[Any] = (x if x.ndim == 3 else x[None]).detach().cpu().numpy()
    if lengths is not None:
        values[~length_mask(lengths, values.shape[1]).numpy()] = np.nan
    return values


def _module_outputs(net: nn.Module, returned: Any) -> Tensor:
    """(B, K) what a module returned; (B, D * H) last states of the top layer for a recurrent net."""
    if isinstance(net, Recurrent | nn.RNNBase):
        last = returned[1]
        last = last[0] if isinstance(last, tuple) else last
        last = last if last.ndim == 3 else last[:, None]
        top: Tensor = last[-(1 + bool(net.bidirectional)) :]
        return top.transpose(0, 1).flatten(1)
    output = returned[0] if isinstance(returned, tuple) else returned
    if not isinstance(output, Tensor):
        raise ValueError(
            f"{type(net).__name__} must return a tensor, or a tuple that begins with one."
            f" Got {type(output).__name__} instead."
        )
    return output.flatten(1) if output.ndim > 1 else output.unsqueeze(-1)


def _module_losses(outputs: Tensor, targets: Tensor | None, loss: Loss | None) -> Tensor:
    """(B,) by `loss`; None is the cross-entropy for whole numbers and the squared error for others."""
    assert targets is not None
    if loss is not None:
        return loss(outputs, targets)
    if not targets.is_floating_point():
        return functional.cross_entropy(outputs, targets, reduction="none")
    return (outputs - targets.reshape(outputs.shape)).square().mean(1)


def _module_copy_losses(probe: Probe, others: list[Any], loss: Loss | None) -> CopyLosses:
    """Of a module with an output at every step."""
    probe.check_targets()
    net, y, lengths = probe.net, probe.targets, None
    assert y is not None
    output = net(probe.x, *others)
    output = output[0] if isinstance(output, tuple) and not isinstance(output, PackedSequence) else output
    if isinstance(output, PackedSequence):
        output, lengths = pad_packed_sequence(output, batch_first=True)
    elif isinstance(net, Recurrent | nn.RNNBase) and not net.batch_first:
        output = output.transpose(0, 1)
        y = y.transpose(0, 1) if y.shape[:2] == output.shape[1::-1] and y.ndim > 1 else y
    if output.ndim != 3:
        raise ValueError(
            f"{type(net).__name__} returns shape {tuple(output.shape)}; a loss of every copy needs outputs (B, T, K)"
            " at every step. Give a module that returns them."
        )
    classes = not y.is_floating_point()
    shape = output.shape[:2] if classes else output.shape
    each_step = y.shape == shape
    if not each_step:  # the same targets at every step
        y = y.reshape(len(y), 1, *y.shape[1:]).expand(shape)
    losses = (loss or LOSSES["cross_entropy" if classes else "mse"])(output, y)
    mask = None
    if lengths is not None:
        mask = length_mask(lengths, losses.shape[1], losses.device)
        mask = mask.view(*mask.shape, *[1] * (losses.ndim - 2)).expand(losses.shape)
    mean = mean_per_step(losses) if mask is None else mean_per_step(losses, mask)
    return CopyLosses(mean.cpu().double().numpy(), len(mean), "step" if each_step else "output")
