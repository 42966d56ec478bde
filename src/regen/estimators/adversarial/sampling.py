"""What is asked of a fitted generator, checked: codes, labels and lengths of the rows to make.

Letters: `n` rows, `Z` code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_array
from torch import Generator, Tensor

from regen._check import Number, check_parameters

if TYPE_CHECKING:
    from regen.estimators.adversarial._base import AdversarialEstimator

__all__ = ["codes_for", "codes_of", "labels_for", "lengths_for"]


def codes_for(model: AdversarialEstimator, n: int, truncation: float | None, chance: Generator) -> Tensor:
    """(n, Z) codes from N(0, 1), within (-truncation, truncation) if it is given."""
    codes = torch.empty(n, model._code, device=model._device)
    if truncation is None:
        return codes.normal_(generator=chance)
    check_parameters(
        type(model).__name__, {"truncation": Number(0, low_open=True)}, {"truncation": truncation}
    )
    share = math.erf(truncation / math.sqrt(2))  # of the normal distribution that lies within
    return math.sqrt(2) * torch.erfinv(codes.uniform_(-share, share, generator=chance))


def codes_of(model: AdversarialEstimator, Z: Any) -> Tensor:
    """Codes (n, Z) that were given, checked."""
    codes = check_array(Z, dtype=np.float32, estimator=model, input_name="Z")
    if codes.shape[1] != model._code:
        raise ValueError(f"Z has {codes.shape[1]} columns; the code has {model._code} units.")
    return torch.from_numpy(codes).to(model._device)


def labels_for(model: AdversarialEstimator, label: Any, n: int, chance: Generator | None) -> Tensor | None:
    """(n,) places of labels among `classes_`; drawn when none are given."""
    if not model.n_labels_:
        if label is not None:
            raise ValueError(
                f"This {type(model).__name__} was fitted without labels. Fit it with y, or leave label out."
            )
        return None
    if label is None:
        if chance is None:
            raise ValueError(
                f"This {type(model).__name__} was fitted with labels. Give label, one of {_shown(model.classes_)},"
                " or one for each row."
            )
        shares = torch.from_numpy(model.label_shares_).float().to(model._device)
        return torch.multinomial(shares, n, replacement=True, generator=chance)
    wanted = np.asarray(label)
    wanted = np.full(n, wanted) if wanted.ndim == 0 else wanted
    if wanted.shape != (n,):
        raise ValueError(f"label must be one label or {n} of them. Got shape {wanted.shape}.")
    places = {value: place for place, value in enumerate(model.classes_.tolist())}
    unknown = [value for value in wanted.tolist() if value not in places]
    if unknown:
        raise ValueError(f"There is no label {unknown[0]!r}; fit had {_shown(model.classes_)}.")
    return torch.tensor([places[value] for value in wanted.tolist()], device=model._device)


def lengths_for(
    model: AdversarialEstimator, lengths: Any, n: int, chance: Generator | None
) -> NDArray[np.int64] | None:
    """(n,) steps of each sequence, None for other data; drawn from those of fit when none are given."""
    longest = model._form.steps
    if longest is None:
        if lengths is not None:
            raise ValueError(
                "lengths are for sequences; this estimator was not fitted on any. Leave them out."
            )
        return None
    if lengths is None:
        if model.lengths_ is None or chance is None:
            return np.full(n, longest)
        drawn = torch.randint(len(model.lengths_), (n,), generator=chance, device=chance.device)
        return model.lengths_[drawn.cpu().numpy()]  # type: ignore[no-any-return]
    found = np.asarray(lengths)
    if found.shape != (n,) or found.dtype.kind not in "iu" or found.min(initial=1) < 1:
        raise ValueError(
            f"lengths must be {n} whole numbers of at least 1, one for each row. Got {lengths!r}."
        )
    return found.astype(np.int64)


def _shown(classes: NDArray[Any]) -> str:
    words = [repr(value) for value in classes[:12].tolist()]
    return ", ".join(words) + (", ..." if len(classes) > 12 else "")
