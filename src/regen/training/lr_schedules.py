"""Learning-rate schedules, most of them torch's own schedulers."""

from __future__ import annotations

from typing import Any, final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from regen._schema import Form, Optional, Real, Several, Whole, check_form

__all__ = ["FIXED_LENGTH", "LearningRate"]

FIXED_LENGTH = ("cosine", "step", "onecycle")
"""Schedules that depend on the length of the run, which therefore cannot be extended afterwards."""
PROGRESS: dict[str, Form] = {
    "last_epoch": Whole(),
    "steps": Whole(),
    "base_lrs": Several(Real(), "groups"),
    "best": Real(finite=False),
    "num_bad_epochs": Whole(),
    "cooldown_counter": Whole(),
    "_step_count": Optional(Whole()),
    "_last_lr": Optional(Several(Real(), "groups")),
}
"""What changes in a scheduler during a run, those that not every version of torch has as optional; all else follows
from its arguments."""
HALVING_STEPS = 1000
"""Batches after which an inverse rate is half of the initial one."""


@final
class LearningRate:
    """The learning rate of one optimizer.

    - ``"constant"``, and ``"auto"`` where the estimator chooses none: no change.
    - ``"inverse"``: over ``1 + step / 1000``, so that a run of unknown length converges (Robbins & Monro 1951);
      changes with every batch.
    - ``"cosine"``: half a cosine down to 0 at the last step (Loshchilov & Hutter 2017); changes with every batch.
    - ``"step"``: a tenth from half of the steps on, a hundredth from three quarters (He et al. 2016); every batch.
    - ``"onecycle"``: from 1/25 up to the rate in the first 30 % of the steps, then down to nearly 0 (Smith & Topin
      2019), without cycling the momentum; every batch.
    - ``"plateau"``: half after more than 3 epochs in a row without a lower loss; every epoch.

    Batches count from the optimizer's first step on. The loss of "plateau" is the validation loss if there is one,
    otherwise the first player's training loss.

    Parameters
    ----------
    name : of the schedule.
    optimizer : its present rates are the highest ones.
    steps : batches in the whole run.
    """

    def __init__(self, name: str, optimizer: Optimizer, steps: int) -> None:
        self._optimizer = optimizer
        self._by_step: LRScheduler | _Inverse | None = None
        self._by_epoch: ReduceLROnPlateau | None = None
        if name == "inverse":
            self._by_step = _Inverse(optimizer)
        elif name == "cosine":
            self._by_step = CosineAnnealingLR(optimizer, steps)
        elif name == "step":
            self._by_step = MultiStepLR(optimizer, [steps // 2, steps * 3 // 4], gamma=0.1)
        elif name == "onecycle":
            highest = [group["lr"] for group in optimizer.param_groups]
            self._by_step = OneCycleLR(optimizer, highest, steps, cycle_momentum=False)
        elif name == "plateau":
            self._by_epoch = ReduceLROnPlateau(optimizer, factor=0.5, patience=3)

    @property
    def current(self) -> float:
        """The rate of the first parameter group."""
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def n_steps(self) -> int:
        """How often the schedule has advanced; 0 for those that do not."""
        state = self.state_dict()
        return int(state.get("last_epoch", state.get("steps", 0)))

    def after_batch(self) -> None:
        """Advance a schedule that changes with every batch."""
        if self._by_step is not None:
            self._by_step.step()

    def after_epoch(self, loss: float) -> None:
        """Advance a schedule that changes with every epoch and depends on `loss`."""
        if self._by_epoch is not None:
            self._by_epoch.step(loss)

    def halve(self) -> None:
        """Halve the rate from now on, whatever the schedule."""
        for group in self._optimizer.param_groups:
            for key in ("lr", "initial_lr", "max_lr", "min_lr"):
                if key in group:
                    group[key] = group[key] / 2
        if self._by_step is not None:
            self._by_step.base_lrs = [rate / 2 for rate in self._by_step.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's numbers; the rate itself is part of the optimizer's state."""
        scheduler = self._by_step or self._by_epoch
        return {} if scheduler is None else dict(scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        scheduler = self._by_step or self._by_epoch
        if scheduler is None:
            return
        own, sizes = scheduler.state_dict(), {"groups": len(self._optimizer.param_groups)}
        for name, form in PROGRESS.items():
            if name in own and not (isinstance(form, Optional) and name not in state):
                check_form(form, state[name], name, sizes)
        scheduler.load_state_dict(
            own | {name: state[name] for name in PROGRESS if name in own and name in state}
        )


@final
class _Inverse:
    """A scheduler with the methods that are used here, cheaper per step than torch's `LambdaLR`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._steps = 0
        self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self) -> None:
        """Advance by a batch."""
        self._steps += 1
        for group, rate in zip(self._optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate * (1 / (1 + self._steps / HALVING_STEPS))

    def state_dict(self) -> dict[str, Any]:
        """Steps so far and the initial rates."""
        return {"steps": self._steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._steps, self.base_lrs = state["steps"], list(state["base_lrs"])
