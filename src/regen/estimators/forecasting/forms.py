"""The forms of the fitted attributes of a forecaster.

Sizes: `F` columns, steps of the `window`.
"""

from collections.abc import Mapping
from typing import Any

from regen._schema import Fields, Form, Numbers, Optional, Several, Tensors, Truth, Whole
from regen.data.layout import SERIES_LAYOUT, refuse_unreadable
from regen.estimators._forms import SHARED_FORMS
from regen.estimators.forecasting._preparation import series_of
from regen.estimators.forecasting.bptt import StreamState
from regen.nets.forecast import WindowNet
from regen.training.device import evaluating

__all__ = ["FORMS", "refuse_inconsistent"]

FORMS: Mapping[str, Form] = {
    **SHARED_FORMS,
    "window_": Whole(1, size="window"),
    "center_": Numbers("f", ("F",)),
    "scale_": Numbers("f", ("F",), low=0),
    "gaps_": Truth(),
    "validated_": Truth(),
    "loss_per_step_": Numbers("f", ("*",), finite=False),
    "errors_": Numbers("f", ("*", "*", "F"), finite=False),
    "layout_": SERIES_LAYOUT,
    "tail_": Numbers("f", ("window", "F")),
    "tail_seen_": Numbers("b", ("window", "F")),
    "stream_": Optional(
        Fields(
            {
                "state": Several(Tensors(("*", "*", "*"))),
                "before": Tensors(("*", 1, "*")),
                "latest": Tensors(("*", "*", "*")),
            }
        )
    ),
}


def refuse_inconsistent(net: WindowNet, values: Mapping[str, Any]) -> None:
    """Refuse attributes, each of its form, that do not fit together: forecasts could not be made or returned.

    values : parameters and attributes by name.
    """
    layout, bptt, state = values["layout_"], values["bptt"], values.get("stream_")
    if values["window_"] % int(values["segment"]) or values["errors_"].shape[1] != values["horizon"]:
        raise ValueError("window_ or errors_ is not of the segment and the horizon")
    if layout["shape"] == "series" and len(layout["names"]) != 1:
        raise ValueError("layout_ is that of a single column")
    refuse_unreadable(layout)
    series_of(layout, values["tail_"])
    if (state is None) != (bptt == "full"):
        raise ValueError(f"stream_ is not that of bptt={bptt!r}")
    if state is not None:
        stream = StreamState.of(net, state)
        with evaluating(net):
            stream.forecast(stream.known + 1)  # one more than are known: the network must run from this state
