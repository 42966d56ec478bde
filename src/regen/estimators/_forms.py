"""The forms of fitted attributes: what a saved state must hold, checked before an estimator takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from regen._schema import (
    AnyTensor,
    Cases,
    Fields,
    Form,
    Mapped,
    Optional,
    Real,
    Several,
    Sizes,
    Texts,
    Whole,
    Words,
    check_form,
)
from regen.data.images import PIXELS
from regen.data.table_encoding import COLUMNS

__all__ = ["MODALITY", "SHARED_FORMS", "check_state", "check_weights"]

SHARED_FORMS: Mapping[str, Form] = {
    "fitted_with_": Mapped(Words()),
    "epochs_": Mapped(Several(Real(finite=False), "epochs")),
    "stopped_": Words(),
    "n_epochs_": Whole(),
    "best_epoch_": Whole(),
    "backend_": Words(),
    "n_features_in_": Whole(1, size="F"),
    "feature_names_in_": Optional(Texts("F")),
}
"""Of the attributes that every estimator has."""
MODALITY = Cases(
    "kind",
    {
        "table": Fields({"kind": Words(), "layout": COLUMNS, "left_out": Optional(Several(Words()))}),
        "images": Fields({"kind": Words(), "layout": PIXELS}),
        "sequences": Fields(
            {
                "kind": Words(),
                "layout": COLUMNS,
                "given": Words(("block", "table", "list")),
                "longest": Whole(1),
            }
        ),
    },
)
"""Of what `Modality.state` returns."""
WEIGHTS = Mapped(AnyTensor())


def check_state(owner: str, forms: Mapping[str, Form], state: Mapping[str, Any]) -> None:
    """Refuse a state without an attribute, with one too many, or with one of another form.

    owner : name of the class. forms : of all its fitted attributes but `net_`.
    """
    if unknown := sorted(set(state) - set(forms) - {"net_"}):
        raise ValueError(f"{unknown[0]!r} is no fitted attribute of {owner}")
    sizes: Sizes = {}
    for name, form in {**forms, "net_": WEIGHTS}.items():
        if name in state:
            check_form(form, state[name], name, sizes)
        elif not isinstance(form, Optional):
            raise ValueError(f"the fitted attribute {name!r} is missing")


def check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights with other names, shapes or dtypes than the expected ones."""
    for name in {**expected, **weights}:
        if name not in weights or name not in expected:
            raise ValueError(f"the weight {name!r} is {'missing' if name in expected else 'unknown'}")
        saved, needed = (
            f"{each[name].dtype} of shape {tuple(each[name].shape)}" for each in (weights, expected)
        )
        if saved != needed:
            raise ValueError(f"the weight {name!r} is {saved}, and its network needs {needed}")
