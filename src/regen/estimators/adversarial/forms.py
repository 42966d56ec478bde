"""The forms of the fitted attributes of a GAN, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from regen._schema import Form, Labels, Mapped, Maybe, Numbers, Optional, Real, Row, Several, Whole, Words
from regen.data.batching import RowBatch
from regen.estimators._forms import MODALITY, SHARED_FORMS
from regen.estimators.adversarial.gan_model import GANModel

__all__ = ["FORMS", "refuse_inconsistent"]

QUALITY = ("precision", "recall", "density", "coverage", "score", "score_real")
FORMS: Mapping[str, Form] = {
    **SHARED_FORMS,
    "form_": MODALITY,
    "n_labels_": Whole(),
    "classes_": Optional(Labels("labels")),
    "label_shares_": Numbers("f", ("*",), low=0),
    "lengths_": Maybe(Numbers("i", ("*",), low=1)),
    "calibration_": Several(Row((Real(), Real())), 2),
    "companions_": Several(Maybe(Numbers("fi", None, finite=False))),
    "turns_": Several(Row((Words(), Whole(), Whole(), Words()))),
    "quality_": Mapped(Real(finite=False), QUALITY),
}


def refuse_inconsistent(model: GANModel, pack: int) -> None:
    """Refuse labels, lengths and companions, each of its form, that are not those of the networks."""
    labels = 0 if model.classes is None else len(model.classes)
    shares = model.label_shares
    if shares is None or len(shares) != max(labels, 1) or abs(float(shares.sum()) - 1) > 1e-6:
        raise ValueError("label_shares_ are not those of the labels")
    longest = model.modality.steps
    lengths = model.lengths
    if lengths is not None and (longest is None or not len(lengths) or lengths.max() > longest):
        raise ValueError("lengths_ are not those of sequences of form_")
    if (model.companions is None) != (pack == 1):
        raise ValueError(f"companions_ are not those of pack={pack}")
    if model.companions is not None:
        _refuse_other(model.companions, pack - 1, model.modality.layout.blocks[-1].stop, longest, labels)


def _refuse_other(rows: RowBatch, count: int, cells: int, longest: int | None, labels: int) -> None:
    """Refuse companions that are not `count` rows (m - 1, E) or (m - 1, T, E) with their lengths and labels."""
    x, lengths, y, _ = rows
    axes = 2 if longest is None else 3
    right = (
        x is not None
        and x.dtype == torch.float32
        and x.ndim == axes
        and x.shape[-1] == cells
        and len(x) == count
    )
    for each, low, high in ((lengths, 1, longest or 0), (y, 0, labels - 1)):
        if right and each is not None:
            right = (
                each.dtype == torch.int64
                and each.shape == (count,)
                and bool(((low <= each) & (each <= high)).all())
            )
    if (
        not right
        or (y is None) != (labels == 0)
        or (lengths is not None and axes == 3 and x.shape[1] > (longest or 0))
    ):
        raise ValueError("companions_ are not rows of form_ with their lengths and labels")
