"""A recurrent net that runs one step at a time."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from regen.cells import Cell, Parameters, State
from regen.kernels import choose, native


@final
class Stream:
    """A net that runs one step at a time, returned by `Recurrent.stream`.

    It runs as the net in evaluation, without gradients: no dropout, and zoneout by its expectation. The weights are
    copied when the stream is made; later training does not change them. On the native backend the weights are packed
    once and a step allocates nothing.

    Attributes
    ----------
    state : Tensor of shape (L, B, size), or pair of such
        The state as the net returns and takes it, for the LSTM (h, c). Reading returns a copy; set it to continue
        from a state of the net.
    backend_ : str
        The backend that runs, and why.
    """

    def __init__(
        self, cell: Cell, layers: Sequence[Parameters], batch: int, zones: tuple[float, ...], backend: str
    ) -> None:
        W = layers[0]["weight_ih"]
        H = W.shape[0] // len(cell.gates)
        self._cell, self._batch, self._zones = cell, batch, zones if any(zones) else None
        self._features, self._sizes = W.shape[1], cell.state_sizes(H)
        x = W.new_empty((batch, 1, self._features))
        run, self.backend_ = choose(backend, cell, x, zoneout=self._zones)
        if run is native.run and self._zones:
            if backend == "native":
                raise ValueError("backend='native' cannot stream zoneout. Use backend='auto'.")
            run, self.backend_ = choose("reference", cell, x)
        self._layers = [{name: w.detach().clone() for name, w in params.items()} for params in layers]
        self._outputs = [x.new_zeros((batch, self._sizes[0])) for _ in layers]
        self._chain: list[tuple[Any, int]] = []
        if run is native.run:
            self._chain = [
                (native.stepper(cell, params, batch), out.data_ptr())
                for params, out in zip(self._layers, self._outputs, strict=True)
            ]
        self._output = self._outputs[-1]
        self._row = self._output[0]
        self.reset()

    def step(self, x: Tensor) -> Tensor:
        """Run one step.

        Parameters
        ----------
        x : Tensor of shape (B, I)
            Input, or (I,) for a stream of one sequence.

        Returns
        -------
        Tensor of shape (B, P)
            Output of the last layer, or (P,) for x of one dimension. The next call overwrites it: ``clone()`` it to
            keep it.

        Raises
        ------
        ValueError
            If x has another shape, type or device than the weights.
        """
        shape, output = x.shape, self._output
        if len(shape) != 2 or shape[0] != self._batch or shape[1] != self._features:
            if shape != (self._features,) or self._batch != 1:
                raise ValueError(self._expected(x))
            output = self._row
        if x.dtype is not output.dtype or x.device != output.device or x.layout is not torch.strided:
            raise ValueError(self._expected(x))
        if self._chain:
            if not x.is_contiguous() or x.is_neg():
                x = x.contiguous().resolve_neg()
            source = x.data_ptr()
            for stepper, out in self._chain:
                stepper.step(source, out)
                source = out
        else:
            self._advance(x.reshape(self._batch, self._features))
        return output

    @property
    def state(self) -> Any:
        """(L, B, size), or for the LSTM the pair; a copy."""
        if self._chain:
            parts = [
                [self._output.new_empty((self._batch, size)) for size in self._sizes] for _ in self._chain
            ]
            for (stepper, _), part in zip(self._chain, parts, strict=True):
                for k, s in enumerate(part):
                    stepper.read(k, s.data_ptr())
        else:
            parts = [list(state) for state in self._states]
        stacked = tuple(torch.stack(layers) for layers in zip(*parts, strict=True))
        return stacked if len(stacked) > 1 else stacked[0]

    @state.setter
    def state(self, value: Tensor | tuple[Tensor, ...]) -> None:
        """Continue from `value`, (L, B, size), or for the LSTM the pair."""
        states = (value,) if isinstance(value, Tensor) else tuple(value)
        shapes = [(len(self._layers), self._batch, size) for size in self._sizes]
        if [tuple(s.shape) for s in states] != shapes:
            got = ", ".join(str(tuple(s.shape)) for s in states)
            raise ValueError(f"state has the shapes {got}; this stream has {', '.join(map(str, shapes))}.")
        self._set([tuple(s[k].detach().to(self._output) for s in states) for k in range(len(self._layers))])

    def reset(self) -> None:
        """Set the states to zero."""
        zeros = tuple(self._output.new_zeros((self._batch, size)) for size in self._sizes)
        self._set([zeros] * len(self._layers))

    def _set(self, states: list[State]) -> None:
        self._states = states
        for (stepper, _), state in zip(self._chain, states, strict=False):
            for k, s in enumerate(state):
                dense = s.contiguous()
                stepper.write(k, dense.data_ptr())

    @torch.no_grad()
    def _advance(self, x: Tensor) -> None:
        for k, (params, old) in enumerate(zip(self._layers, self._states, strict=True)):
            _, new, _ = self._cell.step(params, self._cell.project(params, x), old)
            if self._zones:
                new = tuple(z * o + (1 - z) * s for z, o, s in zip(self._zones, old, new, strict=True))
            self._states[k], x = new, new[0]
        self._output.copy_(x)

    def _expected(self, x: Tensor) -> str:
        one = f" or ({self._features},)" if self._batch == 1 else ""
        return (
            f"x is {x.dtype} on {x.device} with shape {tuple(x.shape)}; this stream takes {self._output.dtype} "
            f"on {self._output.device} with shape ({self._batch}, {self._features}){one}."
        )
