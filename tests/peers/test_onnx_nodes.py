"""Our cells and nets against ONNX: its 18 node tests, and random models with distinct weights run by onnxruntime.

The node tests alone would not do: their weights are constant across gates, and the peephole case has one step
from c_0 = 0. The random models have T > 1, c_0 != 0, all three peepholes, lengths and both directions.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.backend.test.case import node as onnx_cases
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Elman
from regen.kernels import reference, torch_fused
from regen.nets.recurrent import Recurrent, recurrent

with np.errstate(invalid="ignore"):  # numpy's matrix product now and then warns of numbers it does not use
    from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401

Array = NDArray[Any]
NAMES = {
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
}
NODE_TESTS = {
    test.name: test for test in onnx_cases._NodeTestCases if test.model.graph.node[0].op_type in NAMES
}
"""ONNX's own cases, made in memory when its three case modules are imported (all of them take 15 s)."""
ORDER = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
"""Where torch's gates are found in ONNX's blocks: LSTM i o f c, GRU z r h."""
ORT_TOLERANCE = 2e-6
"""Both sides compute in float32, on numbers below 1. Measured over 450 models: 5.5e-7."""


class Node(NamedTuple):
    """One recurrent node: its attributes and its inputs by their names in the ONNX standard."""

    op: str
    attributes: dict[str, Any]
    inputs: dict[str, Array]


def cell_of(node: Node) -> Cell:
    """The cell that the ONNX node stands for."""
    if node.op == "LSTM":
        return LSTM("full" if "P" in node.inputs else "none")
    if node.op == "GRU":
        return GRU("after" if node.attributes.get("linear_before_reset") else "before")
    return Elman(node.attributes.get("activations", ["Tanh"])[0].lower())


def params_of(node: Node, side: int) -> dict[str, Tensor]:
    """ONNX's W, R, B, P of one direction under our names, with the gates in our order."""

    def blocks(w: Array) -> Tensor:
        parts = np.split(w, len(ORDER[node.op]))
        return torch.from_numpy(np.concatenate([parts[k] for k in ORDER[node.op]]))

    inputs = node.inputs
    params = {"weight_ih": blocks(inputs["W"][side]), "weight_hh": blocks(inputs["R"][side])}
    if "B" in inputs:
        wb, rb = np.split(inputs["B"][side], 2)
        params |= {"bias_ih": blocks(wb), "bias_hh": blocks(rb)}
    if "P" in inputs:
        i, o, f = np.split(inputs["P"][side], 3)
        params |= {f"weight_c{k}": torch.from_numpy(p) for k, p in zip("iof", (i, o, f), strict=True)}
    return params


def ours(node: Node) -> list[Array]:
    """Y (T, D, B, H), Y_h and for the LSTM Y_c (D, B, H), or the batchwise layout, through the reference loop."""
    batchwise = node.attributes.get("layout", 0) == 1
    x = torch.from_numpy(node.inputs["X"])
    x = x if batchwise else x.transpose(0, 1)
    lengths = node.inputs.get("sequence_lens")
    valid = None if lengths is None else torch.from_numpy(lengths).long()
    direction, cell, results = node.attributes.get("direction", "forward"), cell_of(node), []
    for side in range(node.inputs["W"].shape[0]):
        start = [node.inputs.get(f"initial_{name}") for name in cell.states]
        state = None
        if start[0] is not None:
            state = tuple(
                torch.from_numpy((s[:, side] if batchwise else s[side]).copy())
                for s in start
                if s is not None
            )
        reverse = direction == "reverse" or side == 1
        results.append(reference.run(cell, params_of(node, side), x, state, lengths=valid, reverse=reverse))
    whole = torch.stack([r.output for r in results], 2 if batchwise else 0)
    output = whole if batchwise else whole.permute(2, 0, 1, 3)
    states = [torch.stack(s, 1 if batchwise else 0) for s in zip(*(r.state for r in results), strict=True)]
    return [output.numpy(), *(s.numpy() for s in states)]


def net_of(node: Node) -> Recurrent:
    """The net of regen.nn that the node stands for; a node that only runs backward is one on reversed sequences."""
    D, _, I = node.inputs["W"].shape  # noqa: E741
    H = node.inputs["R"].shape[-1]
    net = recurrent(cell_of(node), I, H, bias="B" in node.inputs, bidirectional=D == 2)
    sides = [(params_of(node, side), suffix) for side, suffix in enumerate(("_l0", "_l0_reverse")[:D])]
    net.load_state_dict({name + suffix: w for params, suffix in sides for name, w in params.items()})
    return net


def by_net(node: Node) -> list[Array]:
    """As `ours`, through a net of regen.nn on the backend that it chooses."""
    net, inputs = net_of(node), node.inputs
    batchwise, reverse = node.attributes.get("layout", 0) == 1, node.attributes.get("direction") == "reverse"
    x = torch.from_numpy(inputs["X"])
    x = x if batchwise else x.transpose(0, 1)
    valid = torch.from_numpy(inputs["sequence_lens"]).long() if "sequence_lens" in inputs else None
    hx = None
    if "initial_h" in inputs:
        start = [torch.from_numpy(inputs[f"initial_{name}"]) for name in net.cell.states]
        start = [s.transpose(0, 1) if batchwise else s for s in start]
        hx = tuple(start) if len(start) > 1 else start[0]
    with torch.no_grad():
        output, last = net(torch_fused.reversed_steps(x, valid) if reverse else x, hx, lengths=valid)
    output = torch_fused.reversed_steps(output, valid) if reverse else output
    output = output.view(*x.shape[:2], -1, net.hidden_size)
    states = [last] if isinstance(last, Tensor) else list(last)
    if not batchwise:
        return [output.permute(1, 2, 0, 3).numpy(), *(s.numpy() for s in states)]
    return [output.numpy(), *(s.transpose(0, 1).numpy() for s in states)]


def attributes_of(proto: Any) -> dict[str, Any]:
    """A node's attributes as plain values."""
    results = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in results.items()}


@pytest.mark.parametrize("run", [ours, by_net])
@pytest.mark.parametrize("name", NODE_TESTS)
def test_node(name: str, run: Callable[[Node], list[Array]]) -> None:
    """ONNX's own node test, at its own tolerance: layouts, initial states, lengths, peepholes."""
    test = NODE_TESTS[name]
    proto = test.model.graph.node[0]
    for input_arrays, expected in test.data_sets:
        arrays = iter(input_arrays)
        inputs = {
            role: next(arrays)
            for role, wired in zip(NAMES[proto.op_type], proto.input, strict=False)
            if wired
        }
        results = dict(
            zip(("Y", "Y_h", "Y_c"), run(Node(proto.op_type, attributes_of(proto), inputs)), strict=False)
        )
        requested = [role for role, wired in zip(("Y", "Y_h", "Y_c"), proto.output, strict=False) if wired]
        for role, array in zip(requested, expected, strict=True):
            np.testing.assert_allclose(results[role], array, rtol=test.rtol, atol=test.atol)


def test_all_node_tests_are_there() -> None:
    """18 of them, so that a new onnx cannot quietly bring none."""
    assert len(NODE_TESTS) >= 18


# Random models ----------------------------------------------------------------------------------------------


def theirs(node: Node) -> list[Array]:
    """The same node run by onnxruntime."""
    roles = NAMES[node.op]
    wired = [role if role in node.inputs else "" for role in roles]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if node.op == "LSTM" else 2]
    H = node.inputs["R"].shape[-1]
    proto = helper.make_node(node.op, wired, outputs, hidden_size=H, **node.attributes)
    kinds = {np.dtype("float32"): TensorProto.FLOAT, np.dtype("int32"): TensorProto.INT32}
    graph = helper.make_graph(
        [proto],
        "one",
        [helper.make_tensor_value_info(k, kinds[v.dtype], v.shape) for k, v in node.inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, node.inputs)  # type: ignore[no-any-return]


def drawn(op: str, direction: str, B: int, T: int, sizes: tuple[int, int], seed: int, **options: Any) -> Node:
    """A node of I = sizes[0], H = sizes[1] whose weights all differ, from a state that is not zero."""
    generator, (I, H), G = np.random.default_rng(seed), sizes, len(ORDER[op])  # noqa: E741
    D = 2 if direction == "bidirectional" else 1

    def draw(*shape: int) -> Array:
        return generator.uniform(-0.8, 0.8, shape).astype(np.float32)

    inputs = {"X": draw(T, B, I), "W": draw(D, G * H, I), "R": draw(D, G * H, H), "B": draw(D, 2 * G * H)}
    inputs["initial_h"] = draw(D, B, H)
    if op == "LSTM":
        inputs["initial_c"] = draw(D, B, H)
    if options.pop("peepholes", False):
        inputs["P"] = draw(D, 3 * H)
    if options.pop("lengths", False):
        inputs["sequence_lens"] = generator.integers(1, T + 1, B).astype(np.int32)
    return Node(op, {"direction": direction} | options, inputs)


def check(node: Node, run: Callable[[Node], list[Array]] = ours) -> float:
    """Largest difference between `run` and onnxruntime; raises above `ORT_TOLERANCE`.

    In units of the largest output, where that is above 1: behind a ReLU it is not bounded, and float32 rounds in
    proportion.
    """
    worst = 0.0
    for name, mine, other in zip(("Y", "Y_h", "Y_c"), run(node), theirs(node), strict=False):
        assert mine.shape == other.shape, f"{name} has shape {mine.shape}, onnxruntime's {other.shape}"
        worst = max(worst, float(np.abs(mine - other).max() / max(1.0, np.abs(other).max())))
        assert worst <= ORT_TOLERANCE, f"{name} differs by {worst:.1e}"
    return worst


DIRECTIONS = st.sampled_from(["forward", "reverse", "bidirectional"])
SIZES = {
    "direction": DIRECTIONS,
    "B": st.integers(1, 5),
    "T": st.integers(2, 7),
    "sizes": st.tuples(st.integers(1, 6), st.integers(1, 9)),
    "seed": st.integers(0, 2**31),
    "lengths": st.booleans(),
}


@given(peepholes=st.booleans(), **SIZES)
def test_lstm_models(**options: Any) -> None:
    """LSTM with and without all three peepholes, c_0 != 0, T > 1."""
    check(drawn("LSTM", **options))


@given(linear_before_reset=st.integers(0, 1), **SIZES)
def test_gru_models(**options: Any) -> None:
    """GRU in both reset conventions."""
    check(drawn("GRU", **options))


@given(relu=st.booleans(), **SIZES)
def test_rnn_models(relu: bool, **options: Any) -> None:
    """The simple network with both nonlinearities."""
    activations = ["Relu" if relu else "Tanh"] * (2 if options["direction"] == "bidirectional" else 1)
    check(drawn("RNN", activations=activations, **options))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", NAMES)
def test_nets(op: str, direction: str) -> None:
    """A net of regen.nn with the weights of a node is the node."""
    check(
        drawn(op, direction, 4, 6, (3, 5), 7, lengths=True, **{"peepholes": True} if op == "LSTM" else {}),
        by_net,
    )


@pytest.mark.parametrize("run", [ours, by_net])
@pytest.mark.parametrize("op", NAMES)
def test_a_row_of_length_0(op: str, run: Callable[[Node], list[Array]]) -> None:
    """The standard leaves its last states open. onnxruntime gives zeros; ours are the states before the first step.

    So that a sequence in two parts has the states of the whole, also where the second part of a row is empty. The
    outputs are zeros in both, and the other rows agree.
    """
    node = drawn(op, "forward", 3, 4, (2, 3), 1)
    node = replace_inputs(node, {"sequence_lens": np.array([4, 0, 2], np.int32)})
    names = [f"initial_{name}" for name in cell_of(node).states]
    (mine, *mine_last), (other, *other_last) = run(node), theirs(node)
    np.testing.assert_allclose(mine, other, rtol=0, atol=ORT_TOLERANCE)
    assert not mine[:, :, 1].any()
    for name, a, b in zip(names, mine_last, other_last, strict=True):
        np.testing.assert_allclose(a[:, [0, 2]], b[:, [0, 2]], rtol=0, atol=ORT_TOLERANCE)
        np.testing.assert_array_equal(a[:, 1], node.inputs[name][:, 1])
        assert not b[:, 1].any()


def changed(**arrays: Callable[[Array], Array]) -> Callable[[Node], list[Array]]:
    """Our run of a node whose inputs were changed on the way."""
    return lambda node: ours(replace_inputs(node, {k: edit(node.inputs[k]) for k, edit in arrays.items()}))


def replace_inputs(node: Node, inputs: dict[str, Array]) -> Node:
    """The node with some inputs exchanged."""
    return node._replace(inputs=node.inputs | inputs)


def swap(axis: int, parts: int, a: int, b: int) -> Callable[[Array], Array]:
    """Two blocks of an array exchanged."""
    order = list(range(parts))
    order[a], order[b] = b, a
    return lambda w: np.concatenate([np.split(w, parts, axis)[k] for k in order], axis)


class LatePeephole(LSTM):  # type: ignore[misc]
    """The output gate sees the old context."""

    def step(self, params: Any, wx_t: Tensor, state: Any, keep: Any = None) -> Any:
        H = state[1].shape[-1]
        plain = replace(LSTM("full"), peephole="full")
        shifted = torch.cat([wx_t[:, : 3 * H], wx_t[:, 3 * H :] + params["weight_co"] * state[1]], -1)
        return plain.step({**params, "weight_co": torch.zeros(H)}, shifted, state, keep)


def with_cell(cell: Cell) -> Callable[[Node], list[Array]]:
    """Our run of the node's first direction by another cell."""

    def run(node: Node) -> list[Array]:
        x = torch.from_numpy(node.inputs["X"]).transpose(0, 1)
        names = [f"initial_{name}" for name in cell.states]
        start = tuple(torch.from_numpy(node.inputs[name][0]) for name in names)
        lengths = torch.from_numpy(node.inputs["sequence_lens"]).long()
        results = reference.run(cell, params_of(node, 0), x, start, lengths=lengths)
        return [results.output.transpose(0, 1)[:, None].numpy(), *(s[None].numpy() for s in results.state)]

    return run


WRONG_VARIANTS = {
    "input and forget peephole exchanged": ("LSTM", changed(P=swap(1, 3, 0, 2))),
    "input and output peephole exchanged": ("LSTM", changed(P=swap(1, 3, 0, 1))),
    "output peephole sees the old context": ("LSTM", with_cell(LatePeephole("full"))),
    "output peephole only": ("LSTM", with_cell(LSTM("output"))),
    "no peephole": ("LSTM", with_cell(LSTM())),
    "gates exchanged": ("LSTM", changed(W=swap(1, 4, 1, 2), R=swap(1, 4, 1, 2), B=swap(1, 8, 1, 2))),
    "recurrent matrix transposed": (
        "GRU",
        changed(R=lambda r: r.reshape(3, 5, 5).transpose(0, 2, 1).reshape(r.shape)),
    ),
    "bias dropped": ("GRU", changed(B=np.zeros_like)),
    "reset after for before": ("GRU", with_cell(GRU("after"))),
    "lengths ignored": ("LSTM", changed(sequence_lens=lambda n: np.full_like(n, 6))),
    "c_0 ignored": ("LSTM", changed(initial_c=np.zeros_like)),
    "h_0 ignored": ("RNN", changed(initial_h=np.zeros_like)),
    "wrong direction": ("RNN", lambda node: ours(node._replace(attributes={"direction": "reverse"}))),
}


@pytest.mark.parametrize("twin", WRONG_VARIANTS)
def test_wrong_variants_fail(twin: str) -> None:
    """The check notices each of these, and passes on the same node when nothing is wrong."""
    op, run = WRONG_VARIANTS[twin]
    node = drawn(op, "forward", 4, 6, (3, 5), 1, lengths=True, **{"peepholes": True} if op == "LSTM" else {})
    check(node)
    with pytest.raises(AssertionError, match="differs by"):
        check(node, run)
