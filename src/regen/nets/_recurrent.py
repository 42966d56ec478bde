"""A cell unfolded over time, in layers and directions: what all recurrent nets have in common.

Letters: `B` batch, `T` time, `I` input features, `H` hidden units, `P` width of the output of one direction
(H without a projection), `L` layers, `D` directions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from regen._random import dropout, generator_of
from regen.cells import LSTM, Cell, Gates, Init, State
from regen.kernels import LayerCall, Result, Run, choose, native, torch_fused
from regen.nets import _validation
from regen.nets.stream import Stream

Sequences: TypeAlias = Tensor | PackedSequence
Hidden: TypeAlias = Tensor | State
LayerHook: TypeAlias = Callable[[LayerCall, Callable[[LayerCall], Result]], Result]
WeightsHook: TypeAlias = Callable[[Mapping[str, Tensor], int, int], Mapping[str, Tensor]]

# torch.export warns about attributes that change; before torch 2.7 it is not distinguished from other compilation.
_exporting: Callable[[], bool] = vars(torch.compiler).get("is_exporting", torch.compiler.is_compiling)


class Interception(NamedTuple):
    """The hooks of one ``with net.intercept(...)`` block."""

    layer: LayerHook | None
    weights: WeightsHook | None


_INTERCEPTING = Lock()  # threads may enter and leave blocks of one net at the same time


class Recurrent(nn.Module, ABC):
    """Layers and directions of one cell: what `RNN`, `LSTM` and `GRU` have in common.

    Weights are named and shaped as in ``torch.nn`` (``weight_ih_l0``, ``weight_hh_l0_reverse``, ...), so
    ``load_state_dict`` works both ways.

    Attributes
    ----------
    cell : Cell
        The recurrent equation.
    output_size : int
        P, the width of the output of one direction.
    proj_size : int
        P of an LSTM with a projection, else 0.
    backend_ : str
        After a forward pass, the backend that ran and why.

    Notes
    -----
    With torch's tools: ``torch.compile``, ``torch.export`` and ``torch.jit.trace`` take the net as it is.
    ``torch.jit.script`` compiles the net of ``torch.nn`` with the same weights in its place, and refuses cells and
    options that torch lacks. ``torch.fx`` must keep it whole (``Tracer.is_leaf_module``). Quantisation by
    ``torch.ao.quantization`` leaves it in float32 with a warning, or refuses it where it is named.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    output_size: int
    proj_size: int
    recurrent_dropout: float
    zoneout: float | tuple[float, ...]
    backend: str
    memory: str
    backend_: str
    weight_ih_l0: Tensor

    @abstractmethod
    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        recurrent_dropout: float,
        zoneout: float | tuple[float, ...],
        init: str | Init,
        backend: str,
        memory: str,
    ) -> None:
        super().__init__()
        self.cell, self.input_size, self.hidden_size, self.num_layers = (
            cell,
            input_size,
            hidden_size,
            num_layers,
        )
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout, self.recurrent_dropout, self.zoneout = dropout, recurrent_dropout, zoneout
        self.init, self.backend, self.memory = init, backend, memory
        self.backend_ = "none yet: call the net first"
        self._interceptions: tuple[Interception, ...] = ()
        _validation.check_arguments(type(self).__name__, cell, vars(self))
        self._names: list[dict[str, str]] = []
        self.output_size = cell.state_sizes(hidden_size)[0]
        self.proj_size = cell.proj_size if isinstance(cell, LSTM) else 0
        D = 1 + bidirectional
        for layer in range(num_layers):
            features = input_size if layer == 0 else D * self.output_size
            for suffix in (f"_l{layer}", f"_l{layer}_reverse")[:D]:
                shapes = cell.shapes(features, hidden_size, bias)
                self._names.append({name: name + suffix for name in shapes})
                for name, shape in shapes.items():
                    weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name + suffix, weight)
        self.reset_parameters()
        self.flatten_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from the distribution ``init``; see `regen.cells.Cell.initialise`.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Random generator. None is torch's global one.
        """
        start = self.init if isinstance(self.init, Init) else Init(self.init)
        for params in self._own_weights():
            self.cell.initialise(params, start.init, generator, start.forget_bias, start.max_lag)

    @property
    def mode(self) -> str:
        """Name of the equation: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU" as in ``torch.nn``, or "JORDAN_TANH"."""
        return torch_fused.mode(self.cell)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as in ``torch.nn``.

        Returns
        -------
        list of list of Parameter
            Of l0, l0_reverse, l1, ...; each in the order of ``cell.shapes``.
        """
        return [list(params.values()) for params in self._own_weights()]

    @property
    def qconfig(self) -> Any:
        """Absent: the net is not quantised."""
        raise AttributeError("qconfig")

    @qconfig.setter
    def qconfig(self, value: object) -> None:
        """Called by ``torch.ao.quantization``: a warning, or ValueError when this net is to be quantised."""
        _validation.check_quantisation(type(self).__name__, self.cell, self._dtype(), value)

    def __prepare_scriptable__(self) -> nn.Module:
        """The net of ``torch.nn`` that shares these weights, which ``torch.jit.script`` compiles in place of this."""
        noise = (self.recurrent_dropout or None, self.zoneout if any(self._zones()) else None)
        reason = torch_fused.unsupported_reason(self.cell, *noise, False)
        if reason:
            name = type(self).__name__
            raise ValueError(
                f"torch.jit.script compiles torch.nn.{name} in place of regen.nn.{name}: {reason}. "
                "Use torch.jit.trace or torch.export."
            )
        names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
        options = {name: getattr(self, name) for name in names}
        return torch_fused.module(self.cell, options, dict(self.named_parameters())).train(self.training)

    def flatten_parameters(self) -> None:
        """Move the weights into one block of memory, as cuDNN expects; no effect on other devices."""
        torch_fused.flatten(
            self.cell, self._own_weights(), self.input_size, self.hidden_size, self.bidirectional
        )

    def forward(
        self,
        input: Sequences,
        hx: Hidden | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        return_gates: bool = False,
    ) -> Any:
        """Run over whole sequences.

        Parameters
        ----------
        input : Tensor of shape (T, B, I), or PackedSequence
            Input: (B, T, I) with ``batch_first``, (T, I) for one sequence.
        hx : Tensor of shape (L*D, B, size) or pair of such, default=None
            State before the first step, without B for one sequence; for the LSTM the pair (h_0, c_0). None is zeros.
        lengths : Tensor of shape (B,) or sequence of int, default=None
            Valid steps of each row, from 0 to T. None is all. Outputs past the length are 0, the last state is that
            of the last valid step (`hx` where there is none; onnxruntime gives 0), and padding has no effect.
        return_gates : bool, default=False
            Whether to return every gate and context.

        Returns
        -------
        output : Tensor of shape (T, B, D*P)
            Output of the last layer, in the layout of the input.
        state : Tensor of shape (L*D, B, size) or pair of such
            State after the last valid step: h_n, for the LSTM (h_n, c_n).
        gates : dict of str to Tensor
            Only with ``return_gates``: (L*D, T, B, H) by name, with ``batch_first`` and for packed input
            (L*D, B, T, H), for one sequence (L*D, T, H).

        Raises
        ------
        ValueError
            If input, hx or lengths do not fit the net, or an explicit backend does not support the run.
        """
        if isinstance(input, PackedSequence):
            return self._returned(*self._packed(input, hx, lengths, return_gates), return_gates)
        _validation.check_input(type(self).__name__, self.input_size, self._dtype(), input)
        x = input
        batched = x.ndim == 3
        if not batched:
            x = x.unsqueeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        state = self._state(hx, x, x.shape[0], batched)
        _validation.check_steps(type(self).__name__, x.shape[1])
        valid = _validation.read_lengths(lengths, x, batched)
        output, state, gates = self._unfold(x, state, valid, return_gates)
        if not batched:
            output, state = output.squeeze(0), tuple(s.squeeze(1) for s in state)
            gates = {name: gate.squeeze(1) for name, gate in gates.items()}
        elif not self.batch_first:
            output = output.transpose(0, 1)
            gates = {name: gate.transpose(1, 2) for name, gate in gates.items()}
        return self._returned(output, state, gates, return_gates)

    def stream(self, batch: int = 1) -> Stream:
        """Run the net one step at a time, from zero states.

        Parameters
        ----------
        batch : int, default=1
            B, number of sequences that advance together.

        Returns
        -------
        Stream
            The net with the weights that it has now.

        Raises
        ------
        ValueError
            If the net is bidirectional, or an explicit backend does not support streaming.
        """
        if self.bidirectional:
            raise ValueError(
                "stream() runs forward in time and this net is bidirectional, which needs the whole sequence. "
                "Use bidirectional=False."
            )
        if batch < 1:
            raise ValueError(f"batch must be at least 1. Got {batch} instead.")
        return Stream(self.cell, self._layers(), batch, self._zones(), self.backend)

    @contextmanager
    def intercept(
        self, *, layer: LayerHook | None = None, weights: WeightsHook | None = None
    ) -> Iterator[Self]:
        """Observe or replace what each layer computes within a ``with`` block.

        Both hooks are called for every layer in every direction, in the order l0, l0_reverse, l1, ... Blocks may be
        nested: the weights hook of the outer block is applied first, and the layer hook of the inner block is called
        first, with the outer hook as its `run`. After the block, also after an error, the net is as before.

        The hooks belong to the net and not to a thread: a forward pass in another thread uses them too while the
        block is open. A layer hook that collects results must therefore be thread-safe itself.

        Parameters
        ----------
        layer : callable, default=None
            ``layer(call, run)`` returns the `regen.kernels.Result` of one layer. `call` is a
            `regen.kernels.LayerCall`, the arguments of the kernel; ``run(call)`` runs it, and
            ``run(call._replace(gates=True))`` runs it with other arguments. Gates in the result are returned by the
            net if ``call.gates`` is true. With such a hook layers run one by one, `memory` and `backend` as
            set, and `backend_` is left as it was. None runs the layers as usual.
        weights : callable, default=None
            ``weights(params, layer, direction)`` returns the parameters that the layer uses, by name without the
            layer's suffix (``weight_ih``, ...), from those that the net holds; it must not change `params` in place.
            Gradients flow through it. Applied at each forward pass, and by `stream` once. None uses the weights of
            the net.

        Yields
        ------
        Recurrent
            The net itself.

        Examples
        --------
        >>> import torch
        >>> from regen.nn import LSTM
        >>> net = LSTM(3, 4)
        >>> forget = []
        >>> def read_forget_gate(call, run):
        ...     result = run(call._replace(gates=True))
        ...     forget.append(result.gates["f"])
        ...     return result
        >>> with net.intercept(layer=read_forget_gate):
        ...     output, _ = net(torch.zeros(5, 1, 3))
        >>> forget[0].shape
        torch.Size([1, 5, 4])
        """
        entered = Interception(layer, weights)
        with _INTERCEPTING:
            self._interceptions = (*self._interceptions, entered)
        try:
            yield self
        finally:
            with _INTERCEPTING:
                self._interceptions = tuple(each for each in self._interceptions if each is not entered)

    def _layer_hooks(self) -> tuple[LayerHook, ...]:
        return tuple([each.layer for each in self._interceptions if each.layer is not None])

    def _dtype(self) -> torch.dtype:
        first = self._parameters.get("weight_ih_l0")  # faster than the attribute, as in `_own_weights`
        return (self.weight_ih_l0 if first is None else first).dtype

    def _state(self, hx: Hidden | None, x: Tensor, B: int, batched: bool) -> State | None:
        if hx is None:
            return None
        shapes = self._shapes(B)
        return _validation.read_state(type(self).__name__, self.cell.states, shapes, hx, x, batched)

    def _shapes(self, B: int) -> list[tuple[int, ...]]:
        layers = self.num_layers * (1 + self.bidirectional)
        return [(layers, B, size) for size in self.cell.state_sizes(self.hidden_size)]

    def _returned(self, output: Sequences, state: State, gates: Gates, return_gates: bool) -> tuple[Any, ...]:
        last = state if len(state) > 1 else state[0]
        return (output, last, gates) if return_gates else (output, last)

    def _packed(
        self, x: PackedSequence, hx: Hidden | None, lengths: object, return_gates: bool
    ) -> tuple[PackedSequence, State, Gates]:
        if lengths is not None:
            raise ValueError("input is a PackedSequence, which has its own lengths. Leave out lengths.")
        _validation.check_input(type(self).__name__, self.input_size, self._dtype(), x.data, packed=True)
        state = self._state(hx, x.data, int(x.batch_sizes[0]), batched=True)
        run = None if self._layer_hooks() else self._choose(x.data, None, return_gates)
        if run is torch_fused.run:
            output, last = self._stack(x, state, int(x.batch_sizes[0]))
            assert isinstance(output, PackedSequence)
            return output, last, {}
        rows, valid = pad_packed_sequence(x, batch_first=True)
        padded, last, gates = self._layer_by_layer(run, rows, state, valid, return_gates)
        return torch_fused.repack(padded, x), last, gates

    def _unfold(self, x: Tensor, state: State | None, lengths: Tensor | None, gates: bool) -> Result:
        run = None if self._layer_hooks() else self._choose(x, lengths, gates)
        if run is not torch_fused.run:
            return self._layer_by_layer(run, x, state, lengths, gates)
        output, last = self._stack(torch_fused.pack(x, lengths), state, x.shape[0])
        return Result(torch_fused.unpack(output, x.shape[1]), last, {})

    def _choose(self, x: Tensor, lengths: Tensor | None, gates: bool) -> Run:
        keep = self.recurrent_dropout if self.recurrent_dropout and self.training else None
        zoneout = self.zoneout if self.zoneout and any(self._zones()) else None
        run, description = choose(self.backend, self.cell, x, lengths, keep, zoneout, gates)
        if description != self.backend_ and not _exporting():
            self.backend_ = description
        return run

    def _stack(self, x: Sequences, state: State | None, B: int) -> tuple[Sequences, State]:
        dropout = self.dropout if self.training and self.num_layers > 1 else 0.0
        if state is None:
            data = x.data if isinstance(x, PackedSequence) else x
            state = tuple(data.new_zeros(shape) for shape in self._shapes(B))
        return torch_fused.stack(
            self.cell, self._layers(), x, state, bidirectional=self.bidirectional, dropout=dropout
        )

    def _layer_by_layer(
        self, run: Run | None, x: Tensor, state: State | None, lengths: Tensor | None, gates: bool
    ) -> Result:
        """Run the layers in turn; without `run` each is run by the hooks of `intercept`."""
        D = 1 + self.bidirectional
        layers = self._layers()
        compiled, alone = run is native.run, len(layers) == 1
        done: list[Result] = []
        for k, params in enumerate(layers):
            if k and k % D == 0:
                x = dropout(self._concatenated(done[-D:]), self.dropout, self.training)
            before = None if state is None else tuple([s[k] for s in state])
            keep = self._keep(x) if self.recurrent_dropout and self.training else None
            zoneout = self._zone_masks(x) if self.zoneout else None
            reverse, cell, low = k % D == 1, self.cell, self.memory == "low"
            if run is None:
                noise = (lengths, keep, zoneout)
                call = LayerCall(
                    k // D, k % D, cell, params, x, before, *noise, gates, self.backend, self.memory
                )
                done.append(_run_hooks(self._layer_hooks(), call))
            elif compiled:
                done.append(
                    native.run_supported(
                        cell, params, x, before, lengths, reverse, keep, zoneout, gates, low, alone
                    )
                )
            else:
                noised = partial(run, lengths=lengths, keep=keep, zoneout=zoneout)
                done.append(noised(cell, params, x, before, reverse=reverse, gates=gates))
        if compiled and alone and not gates:
            return done[0]
        if compiled and alone:
            last = done[0].state
        else:
            last = tuple(
                [_stacked(states) for states in zip(*[result.state for result in done], strict=True)]
            )
        stacked = {name: _stacked([result.gates[name] for result in done]) for name in done[0].gates}
        return Result(self._concatenated(done[-D:]), last, stacked)

    def _concatenated(self, directions: list[Result]) -> Tensor:
        outputs = [result.output for result in directions]
        return torch.cat(outputs, -1) if self.bidirectional else outputs[0]

    def _layers(self) -> list[Mapping[str, Tensor]]:
        """The weights of each layer and direction that a forward pass uses."""
        layers: list[Mapping[str, Tensor]] = self._own_weights()
        for each in self._interceptions:
            if each.weights is not None:
                D = 1 + self.bidirectional
                layers = [each.weights(params, k // D, k % D) for k, params in enumerate(layers)]
        return layers

    def _own_weights(self) -> list[Any]:
        own: Any = (
            self._parameters
        )  # faster than attributes, whose lookup costs more time than a small net's gates
        return [
            {name: own[full] if full in own else getattr(self, full) for name, full in names.items()}
            for names in self._names
        ]

    def _keep(self, x: Tensor) -> Tensor:
        """One mask for all steps, scaled so that the expectation is 1 (Gal & Ghahramani 2016)."""
        return dropout(x.new_ones((x.shape[0], self.output_size)), self.recurrent_dropout)

    def _zones(self) -> tuple[float, ...]:
        return self.zoneout if isinstance(self.zoneout, tuple) else (self.zoneout,) * len(self.cell.states)

    def _zone_masks(self, x: Tensor) -> Sequence[Tensor | float] | None:
        """Fraction of the old state kept: randomly 0 or 1 in training, the probability itself in evaluation."""
        zones = self._zones()
        if not any(zones) or not self.training:
            return zones if any(zones) else None
        B, T, _ = x.shape
        generator, sizes = generator_of(x.device), self.cell.state_sizes(self.hidden_size)
        return [
            torch.bernoulli(x.new_full((B, T, size), z), generator=generator)
            for z, size in zip(zones, sizes, strict=True)
        ]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Recurrent":
        moved: Recurrent = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return moved

    def extra_repr(self) -> str:
        """Sizes, cell, and the arguments that differ from their default.

        Returns
        -------
        str
            Text of the repr.
        """
        return _validation.described(self.cell, vars(self))


def _run_hooks(hooks: tuple[LayerHook, ...], call: LayerCall) -> Result:
    """The result of the last hook, for which the others are its `run`."""
    return hooks[-1](call, partial(_run_hooks, hooks[:-1])) if hooks else call.run()


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """(L*D, ...) of L*D tensors; of one, a view."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))
