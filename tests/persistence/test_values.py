"""Values through JSON and tensors and back: exact, of the same type, and nothing that was not written."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regen import cells
from regen.persistence.values import Packer, Unpacker
from regen.training.options import Training


def through(value: Any) -> Any:
    """`value` packed, written as strict JSON, read and unpacked; every tensor must have been used."""
    packer = Packer()
    text = json.dumps(packer.pack(value, "v"), allow_nan=False)
    unpacker = Unpacker(packer.tensors)
    found = unpacker.unpack(json.loads(text))
    assert unpacker.unused == set()
    return found


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(10**30),
        0.1,
        -0.0,
        5e-324,
        math.inf,
        -math.inf,
        "",
        "ação \ud800 \x00 \"'",
        [],
        [1, [2.5, "a"]],
        (),
        (1, (2, [3])),
        {},
        {"a": 1, "tuple": (1,), "float": "nan", "": None},
    ],
    ids=repr,
)
def test_plain_values(value: Any) -> None:
    """JSON's own types, tuples and dicts come back equal and of the same type, also where they look like tags."""
    found = through(value)
    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)  # tells -0.0 from 0.0


def test_nan() -> None:
    """NaN comes back as NaN, though JSON has no NaN."""
    assert math.isnan(through(math.nan))
    assert math.isnan(through([{"a": math.nan}])[0]["a"])


ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array([np.nan, np.inf, -0.0]),
    np.array(3.5),
    np.zeros((0, 4)),
    np.array([True, False]),
    np.array([-1, 2], dtype=np.int8),
    np.array([2**64 - 1], dtype=np.uint64),
    np.array([1.5], dtype=np.float16),
    np.array([1, 2], dtype=">i4"),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(10.0)[::3],
    np.array(["1990-01-31", "NaT"], dtype="M8[D]"),
    np.array([3, 4], dtype="m8[ns]"),
    np.array([["a", "ç"], ["", "long text"]]),
    np.array(["b", "a"], dtype=object),
    np.array([], dtype=object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays(array: np.ndarray) -> None:
    """Arrays come back with equal bits, shape and dtype (in the machine's own byte order)."""
    found = through(array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert found.tolist() == array.tolist() or found.tobytes() == np.ascontiguousarray(array).tobytes()


def test_an_array_is_one_of_its_own() -> None:
    """What was packed does not change with the array it came from, and what comes back can be written to."""
    array, packer = np.zeros(2), Packer()
    packed = packer.pack(array, "v")
    array[:] = 1
    found = Unpacker(packer.tensors).unpack(packed)
    assert found.tolist() == [0, 0]
    found[0] = 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_tensors(dtype: torch.dtype) -> None:
    """Tensors come back as tensors with equal bits, also from a transposed view and with a gradient."""
    tensor = torch.arange(6).reshape(2, 3).to(dtype).T
    if dtype.is_floating_point:
        tensor.requires_grad_()
    found = through(tensor)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == dtype
    assert not found.requires_grad
    assert torch.equal(found, tensor)


@pytest.mark.parametrize(
    "scalar",
    [
        np.float32(0.1),
        np.float64(0.1),
        np.int8(-3),
        np.bool_(True),
        np.datetime64("1990-01"),
        np.uint64(2**63),
    ],
    ids=repr,
)
def test_numpy_scalars(scalar: np.generic) -> None:
    """Scalars of numpy come back as the same kind of scalar."""
    found = through(scalar)
    assert type(found) is type(scalar)
    assert found == scalar
    assert found.dtype == scalar.dtype


def test_nan_scalar_and_text_scalar() -> None:
    """A float32 NaN stays one; numpy's text becomes text."""
    found = through(np.float32("nan"))
    assert type(found) is np.float32
    assert math.isnan(found)
    assert through(np.str_("a")) == "a"


@pytest.mark.parametrize(
    "cell",
    [
        cells.Elman(nonlinearity="relu"),
        cells.Diagonal(),
        cells.Jordan(nonlinearity="relu", proj_size=2),
        cells.LSTM(peephole="full"),
        cells.GRU(reset="before"),
    ],
    ids=repr,
)
def test_cells(cell: cells.Cell) -> None:
    """Every cell comes back equal, with its options."""
    assert through(cell) == cell


def test_training() -> None:
    """Training options come back equal field by field."""
    options = Training(optimizer="sgd", max_time="5m", clip=None)
    found = through(options)
    assert isinstance(found, Training)
    assert found.get_params() == options.get_params()


def test_a_random_state_is_not_saved() -> None:
    """The position in a stream of random numbers is left out."""
    assert through({"random_state": np.random.RandomState(0)}) == {"random_state": None}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({1, 2}, "set"),
        (lambda: 0, "function"),
        (1j, "complex"),
        (b"a", "bytes"),
        ({1: 2}, "dict"),
        (np.array([1j]), "ndarray of complex128"),
        (np.array([None]), "ndarray of object"),
        (np.array([(1, 2)], dtype="i4,i4"), "ndarray of [('f0', '<i4'), ('f1', '<i4')]"),
        (np.longdouble(1), "longdouble"),
    ],
    ids=[
        "set",
        "function",
        "complex",
        "bytes",
        "int-keys",
        "complex-array",
        "objects",
        "records",
        "longdouble",
    ],
)
def test_what_cannot_be_saved(value: Any, kind: str) -> None:
    """Anything else is refused, with its place and type."""
    with pytest.raises(ValueError) as caught:
        through({"a": [value]})
    assert str(caught.value) == (
        f"v.a.0 is a {kind}, which cannot be saved. Only numbers, texts, arrays, tensors and regen's own cells can."
    )


def spec(**changes: Any) -> dict[str, Any]:
    """A well-formed reference to the tensor x, changed."""
    return {"entry": "x", "dtype": "float32", "shape": [2]} | changes


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        ({"pickle": "x"}, "the tag 'pickle' is unknown"),
        ({}, "an object has 0 tags instead of one"),
        ({"tuple": [], "dict": {}}, "an object has 2 tags instead of one"),
        ({"tuple": {"dict": {}}}, "a list is something else"),
        ({"dict": []}, "a dict is not an object"),
        ({"float": "1.5"}, "the float '1.5' is unknown"),
        ({"float": []}, "the float [] is unknown"),
        ({"tensor": spec(entry="y")}, "the tensor 'y' is missing or used twice"),
        ([{"tensor": spec()}, {"tensor": spec()}], "the tensor 'x' is missing or used twice"),
        ({"tensor": spec(shape=[3])}, "the tensor 'x' has shape (2,) instead of (3,)"),
        ({"tensor": spec(shape=[-1])}, "the shape [-1] is none"),
        ({"tensor": spec(shape=[True])}, "the shape [True] is none"),
        ({"tensor": spec(dtype="int32")}, "the tensor 'x' holds torch.float32 instead of int32"),
        ({"array": spec(dtype="datetime64[D]")}, "the tensor 'x' holds torch.float32 instead of int64"),
        ({"array": spec() | {"more": 1}}, "an object lacks one of entry, dtype, shape, or has more"),
        ({"array": {"entry": "x"}}, "an object lacks one of entry, dtype, shape, or has more"),
        ({"array": spec(entry=3)}, "a name is not a text"),
        ({"scalar": {"dtype": "object", "value": 1}}, "the dtype 'object' is unknown"),
        ({"scalar": {"dtype": "f8,f8", "value": 1}}, "the dtype 'f8,f8' is unknown"),
        ({"scalar": {"dtype": "int8", "value": "a"}}, "a scalar has no number"),
        (
            {"texts": {"dtype": "U999999999", "shape": [1], "values": ["a"]}},
            "an array of texts holds something else",
        ),
        ({"texts": {"dtype": "str", "shape": [1], "values": [1]}}, "an array of texts holds something else"),
        ({"texts": {"dtype": "str", "shape": [9], "values": ["a"]}}, "1 texts do not have the shape (9,)"),
        ({"training": {"lose": "mse"}}, "Training has no parameter 'lose'. Did you mean 'loss'?"),
        ({"cell": {"name": "os.system", "options": {}}}, "The cell must be one of"),
        (
            {"cell": {"name": "gru", "options": {"peephole": "full"}}},
            "The cell 'gru' has no option 'peephole'",
        ),
    ],
    ids=str,
)
def test_what_is_not_read(packed: Any, words: str) -> None:
    """Whatever the writer would not write is refused with a reason."""
    with pytest.raises(ValueError) as caught:
        Unpacker({"x": torch.zeros(2)}).unpack(packed)
    assert str(caught.value).startswith(words)


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=6), below, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(trees)
def test_any_tree(tree: Any) -> None:
    """Any nesting of lists, tuples and dicts comes back as it was."""
    assert repr(through(tree)) == repr(tree)


def test_a_writer_that_forgets_tuples_is_caught() -> None:
    """Plain JSON, which turns tuples into lists and dict keys into text, would not pass these tests."""
    assert json.loads(json.dumps((1, 2))) != (1, 2)
    assert through((1, 2)) == (1, 2)
