"""A weight that rises over the first steps of a training."""

from __future__ import annotations

from typing import Any, final

__all__ = ["KLWarmup"]


@final
class KLWarmup:
    """How far the divergence has been warmed up; saved with the run."""

    def __init__(self, steps: float) -> None:
        self.steps, self.step = steps, 0

    def weight(self, full: float) -> float:
        """The weight at this step, which is then over: from 0 up to `full`."""
        share = min(self.step / self.steps, 1.0) if self.steps else 1.0
        self.step += 1
        return full * share

    def state_dict(self) -> dict[str, Any]:
        """How many steps it has risen."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Take back what `state_dict` returned."""
        self.step = int(state["step"])
