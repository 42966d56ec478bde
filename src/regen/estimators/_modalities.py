"""Modalities of rows: tables, images and sequences, encoded as numbers for a network and decoded to data.

Letters: `n` rows, `E` encoded numbers of a row (of a step, for sequences), `T` steps, `N` steps of all sequences.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_array,
)
from torch import Tensor

from regen._masks import length_mask
from regen.cells import Cell
from regen.data.columns.identifiers import (
    find_identifiers,
    holds_written_dates,
    known_columns,
    merged,
    without,
)
from regen.data.images import Images, Pixels
from regen.data.magnitude import overflow_refusal, refuse_far
from regen.data.masked_arrays import unmasked
from regen.data.plain import plain, shape_of
from regen.data.ragged import Ragged
from regen.data.table_encoding import Columns
from regen.data.table_input import Cells, read_cells
from regen.estimators._sequence_input import SequenceInput, read_known_sequences, read_sequences

__all__ = ["MODALITIES", "Modality", "modality_of", "ragged", "read_codes"]

Data = TypeVar("Data")
Index = NDArray[np.int64]


class Modality(ABC, Generic[Data]):
    """Encodes data of one modality as rows for a network, and decodes a network's outputs to data.

    Encoded numbers are those of `layout`; NaN where a value is missing.
    """

    layout: Columns | Pixels

    @classmethod
    @abstractmethod
    def read(cls, owner: BaseEstimator, X: Any, image_shape: Any, identifiers: str | Sequence[Any]) -> Data:
        """X at fit, checked; sets the ``n_features_in_`` of `owner`, and ``feature_names_in_`` where it has names.

        identifiers : "drop" leaves out the columns of a table that identify single rows, with a warning, "keep" none;
            names of columns leave out these.
        """

    @classmethod
    @abstractmethod
    def learn(cls, data: Data, output: str, rows: Index, bounds: Any) -> Modality[Data]:
        """The modality of `data`, with the statistics of the rows number `rows` only.

        bounds : as in `Columns.fit`.
        """

    @abstractmethod
    def read_known(self, owner: BaseEstimator, X: Any) -> Data:
        """X for a fitted `owner`, checked against the data of fit."""

    @abstractmethod
    def encode(self, data: Data) -> Ragged:
        """(n, E), or (n, T, E), or sequences one after the other; float32."""

    @abstractmethod
    def decode(
        self, values: Tensor, lengths: Index | None = None, rounded: bool = False, like: Data | None = None
    ) -> Any:
        """Data as at fit from encoded numbers (n, E) or (n, T, E), of which `lengths` (n,) steps are valid.

        rounded : whole numbers and truth values are rounded. like : the rows restored; a table is then of their
        library, with their index.
        """

    @abstractmethod
    def fill(self, data: Data, values: Tensor) -> Any:
        """`data` with only its missing values replaced by `values` (n, E) or (n, T, E)."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """The modality as numbers, texts, arrays and dicts."""

    @classmethod
    @abstractmethod
    def of(cls, state: Mapping[str, Any]) -> Modality[Data]:
        """The modality with that `state`."""

    @abstractmethod
    def refuse_other(self, features: int) -> None:
        """Refuse, when a model is loaded, a modality that is not of as many features as the model."""

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Hook: (C, Y, X) of images, None for other modalities."""
        return None

    @property
    def steps(self) -> int | None:
        """Hook: steps of the longest sequence of fit, None for other modalities."""
        return None


@final
@dataclass(frozen=True, eq=False)
class TableModality(Modality[Cells]):
    """Rows of an (n, F) array or dataframe, its columns of any kind.

    left_out : names of columns of the data of fit that are not among those of `layout`.
    """

    layout: Columns
    left_out: tuple[str, ...]

    @classmethod
    def read(cls, owner: BaseEstimator, X: Any, image_shape: Any, identifiers: str | Sequence[Any]) -> Cells:
        if not isinstance(identifiers, str):
            return _table(owner, X, known_columns(X, identifiers) if identifiers else [], reset=True)
        X = plain(X)
        cells = read_cells(X) if identifiers == "drop" else None
        found = [] if cells is None else _noticed(cells)
        return _table(owner, X, found, None if found else cells, reset=True)

    @classmethod
    def learn(cls, data: Cells, output: str, rows: Index, bounds: Any) -> TableModality:
        return cls(Columns.fit(data, output, rows, bounds), data.left_out)

    def read_known(self, owner: BaseEstimator, X: Any) -> Cells:
        return _table(owner, X, self.left_out, reset=False)

    def encode(self, data: Cells) -> Ragged:
        return Ragged.from_block(self.layout.encode(data))

    def decode(
        self, values: Tensor, lengths: Index | None = None, rounded: bool = False, like: Cells | None = None
    ) -> Any:
        return self.layout.decode(values.numpy(), rounded=rounded, like=like)

    def fill(self, data: Cells, values: Tensor) -> Any:
        filled = self.layout.fill(data, values.numpy())
        return filled if data.whole is None else merged(data.whole, filled, self.left_out)

    def state(self) -> dict[str, Any]:
        return {"kind": "table", "layout": self.layout.state(), "left_out": list(self.left_out)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> TableModality:
        return cls(Columns.from_state(state["layout"]), tuple(state.get("left_out", ())))

    def refuse_other(self, features: int) -> None:
        self.layout.layout.refuse_unreadable()
        _refuse_count(len(self.layout.names), features)


@final
@dataclass(frozen=True, eq=False)
class ImageModality(Modality[Images]):
    """Images, (n, Y, X), (n, C, Y, X), or flat with an image shape."""

    layout: Pixels

    @classmethod
    def read(cls, owner: BaseEstimator, X: Any, image_shape: Any, identifiers: str | Sequence[Any]) -> Images:
        _refuse_columns("identifiers", identifiers)
        images = Pixels.read(X, image_shape)
        owner.n_features_in_ = math.prod(images.size)
        _check_feature_names(owner, X, reset=True)
        return images

    @classmethod
    def learn(cls, data: Images, output: str, rows: Index, bounds: Any) -> ImageModality:
        _refuse_columns("bounds", bounds)
        return cls(Pixels.fit(data, output, rows, bounded=bounds == "data"))

    def read_known(self, owner: BaseEstimator, X: Any) -> Images:
        _check_feature_names(owner, X, reset=False)
        return self.layout.read_known(X)

    def encode(self, data: Images) -> Ragged:
        return Ragged.from_block(self.layout.encode(data))

    def decode(
        self, values: Tensor, lengths: Index | None = None, rounded: bool = False, like: Images | None = None
    ) -> Any:
        return self.layout.decode(values.numpy(), rounded=rounded)

    def fill(self, data: Images, values: Tensor) -> Any:
        return self.layout.fill(data, values.numpy())

    def state(self) -> dict[str, Any]:
        return {"kind": "images", "layout": self.layout.state()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> ImageModality:
        return cls(Pixels.from_state(state["layout"]))

    def refuse_other(self, features: int) -> None:
        _refuse_count(math.prod(self.layout.shape), features)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.layout.shape


@final
@dataclass(frozen=True, eq=False)
class SequenceModality(Modality[SequenceInput]):
    """Sequences, (n, T, F), an (n, T) table, or a list of (T_k, F) arrays; each feature a column.

    kind : container of the data of fit, and of decoded data: "block" (n, T, F), "table" (n, T), or "list".
    longest : steps of the longest sequence at fit.
    """

    layout: Columns
    kind: str
    longest: int

    @classmethod
    def read(
        cls, owner: BaseEstimator, X: Any, image_shape: Any, identifiers: str | Sequence[Any]
    ) -> SequenceInput:
        _refuse_columns("identifiers", identifiers)
        return read_sequences(owner, X)

    @classmethod
    def learn(cls, data: SequenceInput, output: str, rows: Index, bounds: Any) -> SequenceModality:
        steps = np.flatnonzero(data.rows.steps_of(torch.from_numpy(rows)))
        return cls(Columns.fit(_cells(data), output, steps, bounds), data.kind, data.rows.longest)

    def read_known(self, owner: BaseEstimator, X: Any) -> SequenceInput:
        steps = self.longest if self.kind == "table" else None
        features = 1 if self.kind == "table" else owner.n_features_in_
        return read_known_sequences(owner, X, features, steps)

    def encode(self, data: SequenceInput) -> Ragged:
        return Ragged.from_steps(self.layout.encode(_cells(data)), data.rows.n_steps)

    def decode(
        self,
        values: Tensor,
        lengths: Index | None = None,
        rounded: bool = False,
        like: SequenceInput | None = None,
    ) -> Any:
        n, T, _ = values.shape
        lengths = np.full(n, T) if lengths is None else lengths
        steps = values[length_mask(torch.from_numpy(lengths), T)]
        return self._shaped(self.layout.decode(steps.numpy(), rounded=rounded), lengths)

    def fill(self, data: SequenceInput, values: Tensor) -> Any:
        lengths = data.rows.n_steps
        steps = values[length_mask(lengths, values.shape[1])]
        return self._shaped(self.layout.fill(_cells(data), steps.numpy()), lengths.numpy())

    def _shaped(self, steps: NDArray[Any], lengths: Index) -> Any:
        """(N, F) steps in the container of fit; a list when the lengths differ."""
        if not (lengths == lengths[0]).all():
            return np.split(steps, np.cumsum(lengths)[:-1])
        block = steps.reshape(len(lengths), int(lengths[0]), -1)
        if self.kind == "table":
            return block[:, :, 0]
        return block if self.kind == "block" else list(block)

    def state(self) -> dict[str, Any]:
        layout = self.layout.state()
        return {"kind": "sequences", "layout": layout, "given": self.kind, "longest": self.longest}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> SequenceModality:
        return cls(Columns.from_state(state["layout"]), str(state["given"]), int(state["longest"]))

    def refuse_other(self, features: int) -> None:
        self.layout.layout.refuse_unreadable()
        if self.kind == "table":
            _refuse_count(len(self.layout.names), 1)
            _refuse_count(self.longest, features)
        else:
            _refuse_count(len(self.layout.names), features)

    @property
    def steps(self) -> int:
        return self.longest


MODALITIES: Mapping[str, type[Modality[Any]]] = {
    "table": TableModality,
    "images": ImageModality,
    "sequences": SequenceModality,
}


def read_codes(owner: Any, Z: Any, code: int) -> Tensor:
    """Codes (n, Z) for a decoder, float32.

    owner : the estimator, or its name, for messages. code : Z.
    """
    Z = plain(Z, "Z")
    shape = shape_of(Z, "Z")
    if len(shape) != 2:
        raise ValueError(
            f"Z must be codes of shape (n, {code}). Expected 2D array, got {len(shape)}D array of shape {shape}"
            " instead. Reshape your data."
        )
    try:
        codes = check_array(unmasked(Z), dtype=np.float64, estimator=owner, input_name="Z")
    except OverflowError:  # a whole number beyond all floats
        raise overflow_refusal("Z", Z) from None
    refuse_far(codes, lambda row, k: (f"Column {k} of Z", f"in row {row}"))
    if codes.shape[1] != code:
        raise ValueError(f"Z must have {code} columns, the size of the code. Got {codes.shape[1]} columns.")
    return torch.from_numpy(codes.astype(np.float32))


def modality_of(X: Any, backbone: str | Cell, image_shape: Any) -> str:
    """Which of `MODALITIES` X is for this backbone.

    Raises
    ------
    ValueError
        When X may be images as well as sequences, or is a table for a net of images.
    """
    X = plain(X)
    shape = shape_of(X) if not ragged(X) else (len(X),)
    axes = 0 if ragged(X) else len(shape)
    if isinstance(backbone, Cell) or backbone not in ("auto", "mlp", "conv"):
        return "sequences"
    if image_shape is not None or axes == 4 or (axes == 3 and backbone != "auto"):
        return "images"
    if ragged(X) and backbone == "auto":
        return "sequences"
    if axes == 3:
        if np.asarray(X).dtype in (np.uint8, np.bool_):
            return "images"
        raise ValueError(
            f"X of shape {shape} may be images (n, Y, X) or sequences (n, T, F). Say which: backbone='conv' or"
            " backbone='recurrent'."
        )
    if backbone == "conv":
        raise ValueError(
            f"backbone='conv' needs images (n, Y, X) or (n, C, Y, X), or image_shape=(Y, X) for flat ones. Got X of"
            f" shape {shape}."
        )
    return "table"


def ragged(X: Any) -> bool:
    """Whether X is a list of arrays, or of lists of different lengths, as sequences come."""
    if not isinstance(X, list | tuple) or not X:
        return False
    if any(getattr(x, "shape", None) for x in X):
        return True
    return all(isinstance(x, list | tuple) for x in X) and len({len(x) for x in X}) > 1


def _refuse_count(found: int, features: int) -> None:
    if found != features:
        raise ValueError(f"form_ describes {found} features, and the model has {features}")


def _table(
    owner: BaseEstimator, X: Any, left_out: Sequence[str], cells: Cells | None = None, *, reset: bool
) -> Cells:
    """A table: its values as `read_cells` reads them, its columns as scikit-learn checks them.

    left_out : names of columns that are not read; X may lack them. cells : what `read_cells` found, None to read now.
    """
    X = plain(X)
    part = without(X, left_out)
    if part is not X and not part.shape[1]:
        raise ValueError(
            f"All columns of X are identifiers: {', '.join(map(repr, left_out))}. Give columns of other kinds, too,"
            " or identifiers='keep'."
        )
    cells = read_cells(part) if cells is None else cells
    _check_feature_names(owner, part, reset=reset)
    _check_n_features(owner, part, reset=reset)
    return cells if part is X else replace(cells, whole=X, left_out=tuple(left_out))


def _noticed(cells: Cells) -> list[str]:
    """The identifiers of a table, with a warning that names them."""
    found = find_identifiers(cells)
    if found:
        names, one = ", ".join(map(repr, found)), len(found) == 1
        dated = [name for name in found if holds_written_dates(cells, name)]
        advice = f" To learn {', '.join(map(repr, dated))} as dates, convert the text." if dated else ""
        warnings.warn(
            f"The column{'' if one else 's'} {names} of X {'identifies' if one else 'identify'} single rows: nearly"
            " all values differ, so that a network can only learn them by heart and repeat them."
            f" {'It is' if one else 'They are'} left out. To train on {'it' if one else 'them'} give fit"
            f" identifiers='keep', or identifiers=[...] with the columns to leave out.{advice}",
            UserWarning,
            stacklevel=6,
        )
    return found


def _refuse_columns(argument: str, value: Any) -> None:
    """Refuse names of columns for data that have none."""
    if value is not None and not isinstance(value, str) and len(value):
        raise ValueError(
            f"{argument}={value!r} is for the columns of a table, and X is no table. Leave it out."
        )


def _cells(sequences: SequenceInput) -> Cells:
    """The steps (N, F) of sequences as the rows of a table."""
    return read_cells(sequences.rows.with_nan().reshape(sequences.rows.steps.shape).numpy())
