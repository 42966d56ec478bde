"""Backend "torch": the fused recurrent operators of torch (oneDNN or ATen on CPU, cuDNN on CUDA).

The same signature and results as `reference`, for the cells that torch has. `stack` runs all layers and directions in
one call, as torch does; `run` is a stack of one.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from regen._masks import length_mask
from regen._random import dropout as drop
from regen._random import generator_of
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan, Parameters, State
from regen.kernels.reference import Result, blank

_OPERATORS: dict[str, Any] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}
_ORDER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def unsupported_reason(cell: Cell, keep: object, zoneout: object, gates: bool) -> str:
    """Why torch's operators do not support a run; empty when they do."""
    if isinstance(cell, LSTM) and cell.peephole != "none":
        return "torch's LSTM has no peepholes"
    if isinstance(cell, GRU) and cell.reset != "after":
        return "torch's GRU resets after the recurrent product"
    if not isinstance(cell, Elman | LSTM | GRU):
        return f"torch has no {type(cell).__name__.lower()} cell"
    if gates:
        return "torch's operators keep their gates to themselves"
    if keep is not None:
        return "torch's operators have no recurrent dropout"
    if zoneout is not None:
        return "torch's operators have no zoneout"
    return ""


def run(
    cell: Cell,
    params: Parameters,
    x: Float[Tensor, "B T I"],
    state: State | None = None,
    *,
    lengths: Int64[Tensor, "B"] | None = None,
    reverse: bool = False,
    keep: Float[Tensor, "B P"] | None = None,
    zoneout: Sequence[Tensor | float] | None = None,
    gates: bool = False,
) -> Result:
    """As `reference.run`, where `unsupported_reason` is empty and lengths are at least 1.

    zoneout : None, as keep, in place of masks (B, P); gates is False.
    """
    reason = unsupported_reason(cell, keep, zoneout, gates)
    if reason:
        raise ValueError(f"backend='torch' cannot run this: {reason}. Use backend='auto' or 'reference'.")
    state = blank(cell, params, x) if state is None else state
    x = reversed_steps(x, lengths) if reverse else x
    output, last = stack(cell, [params], pack(x, lengths), tuple(s[None] for s in state))
    output = unpack(output, x.shape[1])
    output = reversed_steps(output, lengths) if reverse else output
    return Result(output, tuple(s[0] for s in last), {})


def stack(
    cell: Cell,
    layers: Sequence[Parameters],
    x: Tensor | PackedSequence,
    state: State,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> tuple[Tensor | PackedSequence, State]:
    """Run layers and directions in one call.

    Parameters
    ----------
    layers : the parameters of each layer and direction, in the order l0, l0_reverse, l1, ...
    x : (B, T, I), or the same packed.
    state : (L*D, B, size) for each of ``cell.states``.
    dropout : probability that an output is masked for the next layer; 0 when not training.

    Returns
    -------
    (B, T, D*P) outputs, packed if x was, and the last states.
    """
    D = 2 if bidirectional else 1
    if 0 < dropout < 1 and len(layers) > D and generator_of(state[0].device) is not None:
        return _stack_by_layer(cell, layers, x, state, bidirectional, dropout)
    weights = _flat_weights(layers)
    # A constant of a traced graph, whose check runs without gradients.
    train = torch.is_grad_enabled() or dropout > 0 or torch._C._is_tracing()
    settings = ("bias_ih" in layers[0], len(layers) // D, dropout, train, bidirectional)
    operator = _OPERATORS[mode(cell)]
    if isinstance(cell, LSTM) and cell.proj_size and not torch.compiler.is_compiling():
        _use_up_projection_warning()
    if isinstance(x, PackedSequence):
        hidden = _hidden(tuple(_rows(s, x.sorted_indices) for s in state))
        data, *last = operator(x.data, x.batch_sizes, hidden, weights, *settings)
        return x._replace(data=data), tuple(_rows(s, x.unsorted_indices) for s in last)
    output, *last = operator(x, _hidden(state), weights, *settings, True)
    return output, tuple(last)


def _stack_by_layer(
    cell: Cell,
    layers: Sequence[Parameters],
    x: Tensor | PackedSequence,
    state: State,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor | PackedSequence, State]:
    """As `stack`, layer by layer: the operators draw dropout between layers from the global generator only.

    Between them the steps come first, as within the operators, so that a mask falls on the same outputs.
    """
    D, last = 2 if bidirectional else 1, []
    for k in range(0, len(layers), D):
        if k:
            x = _between(x, dropout)
        x, after = stack(
            cell, layers[k : k + D], x, tuple(s[k : k + D] for s in state), bidirectional=bidirectional
        )
        last.append(after)
    return x, tuple(torch.cat(states) for states in zip(*last, strict=True))


def _between(x: Tensor | PackedSequence, p: float) -> Tensor | PackedSequence:
    """The outputs of a layer as the inputs of the next, with dropout."""
    if isinstance(x, PackedSequence):
        return x._replace(data=drop(x.data, p))
    return drop(x.transpose(0, 1).contiguous(), p).transpose(0, 1)


def pack(x: Float[Tensor, "B T F"], lengths: Int64[Tensor, "B"] | None) -> Tensor | PackedSequence:
    """The valid steps of x (B, T, I); x itself when every row is full."""
    if lengths is None or bool((lengths == x.shape[1]).all()):
        return x
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def unpack(output: Float[Tensor, "B T F"] | PackedSequence, T: int) -> Float[Tensor, "B T F"]:
    """(B, T, P) of what `stack` returned, 0 past a row's length."""
    if isinstance(output, PackedSequence):
        return pad_packed_sequence(output, batch_first=True, total_length=T)[0]
    return output


def repack(rows: Float[Tensor, "B T F"], like: PackedSequence) -> PackedSequence:
    """Rows (B, T, F) packed in the order of `like`."""
    B, T, F = rows.shape
    order = torch.arange(B, device=rows.device) if like.sorted_indices is None else like.sorted_indices
    valid = like.batch_sizes[:, None] > torch.arange(B)
    where = (order * T + torch.arange(T, device=rows.device)[:, None])[valid.to(rows.device)]
    return like._replace(data=rows.reshape(B * T, F).index_select(0, where))


def flatten(
    cell: Cell, layers: Sequence[Parameters], input_size: int, hidden_size: int, bidirectional: bool
) -> None:
    """Move the weights into one block of memory, as cuDNN expects; no effect on other devices or for other cells."""
    weights = _flat_weights(layers)
    if unsupported_reason(cell, None, None, False) or not all(w.is_cuda for w in weights):
        return
    shared = len({w.data_ptr() for w in weights}) < len(weights)
    if shared or not torch.backends.cudnn.is_acceptable(weights[0]):  # type: ignore[no-untyped-call]
        return
    number = torch.backends.cudnn.rnn.get_cudnn_mode(mode(cell))  # type: ignore[no-untyped-call]
    P = cell.proj_size if isinstance(cell, LSTM) else 0
    each, L = len(weights) // len(layers), len(layers) // (1 + bidirectional)
    with torch.cuda.device(weights[0].device), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            weights, each, input_size, number, hidden_size, P, L, True, bidirectional
        )


def mode(cell: Cell) -> str:
    """Name of the equation, as in torch where torch has the cell: "RNN_TANH", "LSTM"; else such as "JORDAN_TANH"."""
    if isinstance(cell, Elman | Diagonal | Jordan):
        name = "RNN" if isinstance(cell, Elman) else type(cell).__name__.upper()
        return f"{name}_{cell.nonlinearity.upper()}"
    return type(cell).__name__


def module(cell: Cell, options: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The module of ``torch.nn`` that holds `weights`, the parameters of a net by name.

    options : the arguments that all of torch's nets share.
    """
    made = dict(options) | {"device": "meta"}
    made |= {"dropout": 0.0} if options["num_layers"] == 1 else {}
    made |= {"nonlinearity": cell.nonlinearity} if isinstance(cell, Elman) else {}
    made |= {"proj_size": cell.proj_size} if isinstance(cell, LSTM) else {}
    known: dict[type[Cell], Any] = {Elman: nn.RNN, LSTM: nn.LSTM, GRU: nn.GRU}
    net: nn.Module = known[type(cell)](**made)
    for name, weight in weights.items():
        setattr(net, name, weight)
    return net


def reversed_steps(x: Float[Tensor, "B T F"], lengths: Int64[Tensor, "B"] | None) -> Float[Tensor, "B T F"]:
    """`x` (B, T, F) with the valid steps of every row in reverse order; padding stays in place."""
    if lengths is None:
        return x.flip(1)
    steps, ends = torch.arange(x.shape[1], device=x.device), lengths.to(x.device)[:, None]
    index = torch.where(length_mask(lengths, len(steps), x.device), ends - 1 - steps, steps)
    return x.gather(1, index[..., None].expand_as(x))


def _flat_weights(layers: Sequence[Parameters]) -> list[Tensor]:
    return [params[name] for params in layers for name in _ORDER if name in params]


def _hidden(state: State) -> Tensor | State:
    return state if len(state) > 1 else state[0]


def _rows(state: Tensor, order: Tensor | None) -> Tensor:
    return state if order is None else state.index_select(1, order)


@cache
def _use_up_projection_warning() -> None:
    """Trigger, with its output suppressed, the warning that torch gives once for a projected LSTM (ATen, not oneDNN).

    Filters of warnings belong to all threads, so that they are not changed around every run.
    """
    weights = [torch.zeros(shape) for shape in ((8, 1), (8, 1), (8,), (8,), (1, 2))]
    state = (torch.zeros(1, 1, 1), torch.zeros(1, 1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.lstm(torch.zeros(1, 1, 1), state, weights, True, 1, 0.0, False, False, True)
