"""The training loop: players take optimizer steps over batches until a limit, early stopping or the user ends it.

It does not depend on what is trained. One player is a regression or an autoencoder; two are a GAN.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from tqdm import tqdm

from regen.training.batches import Batches
from regen.training.checkpoint import Checkpoint, run_identity
from regen.training.device import autocast
from regen.training.divergence import DivergenceGuard
from regen.training.history import EpochMeans, History, checked_terms
from regen.training.options import Training
from regen.training.player import Player, PlayerState, clone
from regen.training.rng import RNGStates
from regen.training.schedule import Schedule
from regen.training.stopping import Budget, EarlyStopping

__all__ = ["train"]

CHECK_EVERY = 64
"""Batches between two checks that all is finite; each check waits for the device and copies the state. They count
batches, not seconds, because a rollback returns to the last of them and must not depend on the clock."""
RNG_KEY = "chance"
"""Name of the generators' states in a checkpoint file."""
LATEST_KEY = "latest"
"""Name of what has changed since the last check, in a checkpoint file that was written between two checks."""


def train(
    players: Sequence[Player],
    schedule: Schedule,
    batches: Batches,
    training: Training,
    *,
    max_epochs: int,
    learning_rate: float,
    validate: Callable[[], Mapping[str, float]] | None = None,
    generator: torch.Generator,
    fingerprint: str = "",
) -> History:
    """Train the modules of the players in place.

    On every batch, each player that `schedule` names computes the gradient of its loss for its own parameters, clips
    it and updates them; then the learning rates advance. After every epoch: `validate`, a row of history, the best
    weights so far. In the end the modules have their best weights if there is a validation loss, otherwise the last
    ones, and are in eval mode.

    Parameters
    ----------
    players : sequence of Player
        At least one, with different names, their modules already on their device.
    schedule : Schedule
        Names the players that move on each batch.
    batches : Batches
        The training data.
    training : Training
        Already checked.
    max_epochs : int
        Most passes over the batches.
    learning_rate : float
        Of every player without an optimizer of its own.
    validate : callable or None, default=None
        Called after every epoch with modules in eval mode and without gradients; returns floats by name. The epoch
        with the lowest ``"loss"`` is the best one; one without ``"loss"`` is not compared.
    generator : torch.Generator
        Gives the order of the data and nothing else. Modules and losses that draw from torch's global generators do
        so as in any loop of torch; the caller seeds them. Their state is saved in a checkpoint and set to resume it.
    fingerprint : str, default=""
        Identifies the data; a checkpoint made with another one is refused.

    Returns
    -------
    History
        One row per epoch, and why training stopped.

    Raises
    ------
    ValueError
        When the checkpoint is damaged, of another run or in use by another training, or there are no batches.

    Warns
    -----
    RuntimeWarning
        When training diverges, that is, a loss, a weight or a number of an optimizer is not finite. This is checked
        every 64 batches and at the end of every epoch; all players are rolled back to the last check that passed,
        with half the learning rate, and training goes on with the next batch. The third time it stops. Also when a
        checkpoint cannot be written, which does not end training.
    UserWarning
        When Ctrl-C ends training, or any other KeyboardInterrupt; its text, if it has one, names the cause in place
        of Ctrl-C.

    See Also
    --------
    Player : What is trained.
    solo, alternate, turns : Schedules.

    Examples
    --------
    >>> from regen.training import solo
    >>> class Rows:
    ...     def __len__(self):
    ...         return 1
    ...
    ...     def epoch(self, generator):
    ...         yield torch.ones(4, 2), torch.zeros(4, 1)
    >>> net = torch.nn.Linear(2, 1)
    >>> player = Player("net", net, lambda batch: {"loss": (net(batch[0]) - batch[1]).square().mean()})
    >>> history = train(
    ...     [player], solo("net"), Rows(), Training(), max_epochs=3, learning_rate=0.1, generator=torch.Generator()
    ... )
    >>> history.stopped
    'Reached max_epochs=3.'
    """
    run = _Run(
        players, schedule, batches, training, max_epochs, learning_rate, validate, generator, fingerprint
    )
    with run.checkpoint:
        try:
            run.resume()
            run.run()
        except KeyboardInterrupt as interrupt:
            run.interrupt(str(interrupt) or "Ctrl-C")
    return run.finish()


@final
class _Run:
    def __init__(
        self,
        players: Sequence[Player],
        schedule: Schedule,
        batches: Batches,
        training: Training,
        max_epochs: int,
        learning_rate: float,
        validate: Callable[[], Mapping[str, float]] | None,
        generator: torch.Generator,
        fingerprint: str,
    ) -> None:
        if not len(batches):
            raise ValueError("There is no batch to train on. Give more data or a smaller batch_size.")
        assert len({player.name for player in players}) == len(players), "players need different names"
        self.schedule, self.batches, self.validate = schedule, batches, validate
        self.learning_rate = learning_rate
        self.budget = Budget(training, max_epochs)
        steps = self.budget.total_steps(len(batches))
        self.device = device = next(
            parameter.device for player in players for parameter in player.parameters()
        )
        self.precision = autocast(training.precision, device)
        self.players = {
            player.name: PlayerState(player, training, learning_rate, steps, self.precision)
            for player in players
        }
        self.first = players[0].name
        modules = {name: player.module for name, player in self.players.items()}
        self.early_stopping = EarlyStopping(modules, training.patience)
        self.guard = DivergenceGuard(self.players)
        self.rng = RNGStates(generator, device)
        for player in self.players.values():
            player.follow(self.rng)
        self.history, self.means = History(), EpochMeans()
        self.terms: dict[str, dict[str, Tensor]] = {}
        self.epoch = self.n_done = self.step = 0  # whole epochs; batches of the present one; batches in all
        identity = run_identity(players, schedule, training, learning_rate, steps, fingerprint)
        self.checkpoint = Checkpoint(training.checkpoint, identity)
        self.bar = tqdm(total=steps, unit="batch") if training.verbose else None

    def resume(self) -> None:
        """Load the checkpoint, if there is one."""
        state = self.checkpoint.read()
        if state is not None:
            with self.checkpoint.refusing_damage():
                self.load_state_dict(state)
            self.history.resumed = (
                f"Resumed from {str(self.checkpoint.path)!r} after {self.epoch} epochs, at step {self.step}."
            )
        if state is None or LATEST_KEY not in state:  # else the snapshot is the one of the file
            self.take_snapshot()

    def run(self) -> None:
        """Epoch after epoch, until there is a reason to stop."""
        if self.n_done and (self.n_done == len(self.batches) or self.stop_reason()):
            self.close_epoch()  # resumed after the last batch of an epoch or of the run, whose end is still to come
        while not (reason := self.stop_reason()):
            self.run_epoch()
            self.close_epoch()
        self.history.stopped = reason
        self.checkpoint.write(self.state_dict())
        if self.n_done:  # cut within an epoch: it gets its row, but only after the checkpoint
            self.add_row()

    def close_epoch(self) -> None:
        """Check what was trained since the last check, and end the epoch unless a limit cut it short."""
        self.check_finite()
        if self.n_done == len(self.batches):
            self.end_epoch()
        self.take_snapshot()

    def run_epoch(self) -> None:
        """Train on the batches of an epoch, until a limit cuts it short."""
        for player in self.players.values():
            player.module.train()
        n_batches = len(self.batches)
        for batch in self.rng.epoch(self.batches, self.n_done):
            self.train_batch(batch)
            if self.step % CHECK_EVERY == 0:
                self.check_finite()
                self.take_snapshot()
            elif self.checkpoint.is_overdue():
                self.checkpoint.write(self.latest_state_dict())
            if self.n_done < n_batches and (self.budget.exceeded(self.step) or self.guard.exhausted):
                return

    def train_batch(self, batch: Any) -> None:
        """Step the players that the schedule names; advance the learning rates of all that have ever stepped."""
        for name in self.schedule.next_players(self.step, self.terms):
            terms = self.players[name].step(batch)
            self.terms[name] = terms
            self.means.add(name, terms)
        for player in self.players.values():
            if player.has_stepped:
                player.learning_rate.after_batch()
        self.step += 1
        self.n_done += 1
        if self.bar is not None:
            self.bar.update(self.step - self.bar.n)

    def check_finite(self) -> None:
        """Check that all is finite; otherwise the players are rolled back."""
        before = self.guard.n_divergences
        self.guard.check(self.means.flush(), self.epoch + 1, self.step)
        if self.guard.n_divergences > before:
            self.terms = {}

    def take_snapshot(self) -> None:
        """Keep the present state for a rollback, and write the checkpoint if it is due."""
        self.guard.take_snapshot()
        if self.checkpoint.path is not None:
            self.checkpoint.write_if_due(self.state_dict())

    def end_epoch(self) -> None:
        """Validate, add the row and advance the learning rates that depend on the loss."""
        loss = self.add_row()
        for player in self.players.values():
            player.learning_rate.after_epoch(loss)
        self.means.clear()
        self.epoch += 1
        self.n_done = 0

    def add_row(self) -> float:
        """Add the epoch's row of history; returns the loss by which epochs are compared."""
        validation = self.run_validation()
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "seconds": self.budget.seconds,
            "learning_rate": self.players[self.first].learning_rate.current,
            **self.means.means(),
            **{f"schedule.{term}": value for term, value in self.schedule.report().items()},
            **{f"validation.{term}": value for term, value in validation.items()},
        }
        self.history.rows.append(row)
        if "loss" in validation:
            self.early_stopping.update(validation["loss"], self.epoch + 1)
        loss = validation.get("loss", row.get(f"{self.first}.loss", math.nan))
        if self.bar is not None:
            self.bar.set_postfix({"epoch": self.epoch + 1, "loss": f"{loss:.4g}"})
        return loss

    def run_validation(self) -> dict[str, float]:
        """The terms of `validate` for the present weights."""
        if self.validate is None:
            return {}
        for player in self.players.values():
            player.module.eval()
        with torch.no_grad(), self.precision:
            return {term: float(value) for term, value in self.validate().items()}

    def stop_reason(self) -> str:
        """Why training ends now, or an empty text."""
        if self.guard.exhausted:
            return (
                f"Stopped: the loss was not finite three times; {self.kept_weights()} are kept. "
                f"Lower learning_rate (now {self.learning_rate:g}) or scale the data."
            )
        patience = self.early_stopping.stop_reason() if not self.n_done else ""
        return patience or self.budget.stop_reason(self.epoch, self.step, self.n_done)

    def kept_weights(self) -> str:
        """Which weights would be kept now, in words."""
        best = self.early_stopping.epoch
        return f"weights of epoch {best}" if best else f"weights of step {self.guard.step}"

    def interrupt(self, cause: str) -> None:
        """End after Ctrl-C, perhaps in the middle of a step: the checkpoint gets the last snapshot."""
        self.checkpoint.flush()
        best = self.early_stopping.epoch
        if not best and not self.guard.all_finite():
            self.guard.roll_back()
        kept = f"the best weights so far (epoch {best})" if best else "the last weights"
        self.history.stopped = f"Interrupted by {cause} in epoch {self.epoch + 1}; {kept} are kept."
        warnings.warn(self.history.stopped, UserWarning, stacklevel=3)

    def finish(self) -> History:
        """Restore the best weights, and leave no gradients behind."""
        self.early_stopping.restore()
        for player in self.players.values():
            player.module.eval()
            player.optimizer.zero_grad(set_to_none=True)
        if self.bar is not None:
            self.bar.close()
        rows = self.history.rows
        self.history.best_epoch = self.early_stopping.epoch or (int(rows[-1]["epoch"]) if rows else 0)
        return self.history

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, the players as in the last snapshot.

        The keys are those of checkpoint files: they stay.
        """
        return {
            "epoch": self.epoch,
            "done": self.n_done,
            "step": self.step,
            "seconds": self.budget.seconds,
            "guard": self.guard.state_dict(),
            "best": self.early_stopping.state_dict(),
            "schedule": clone(self.schedule.state_dict()),
            "terms": clone(self.terms),
            "means": self.means.state_dict(),
            "rows": list(self.history.rows),
            RNG_KEY: self.rng.state_dict(),
        }

    def latest_state_dict(self) -> dict[str, Any]:
        """The state after a batch that no check followed: that of `state_dict`, whose players are those of the last
        check and stay the ones to roll back to, and what has changed since.
        """
        players = {name: player.state_dict() for name, player in self.players.items()}
        latest = {"players": players, "pending": self.means.pending()}
        return self.state_dict() | {LATEST_KEY: latest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` or `latest_state_dict` returned.

        Raises
        ------
        ValueError
            When its parts are not those of one training; some were restored then. Other errors come of missing parts.
        """
        self.epoch, self.n_done, self.step = state["epoch"], state["done"], state["step"]
        place = self.epoch * len(self.batches) + self.n_done
        if self.n_done > len(self.batches) or self.step != place:
            raise ValueError(f"step {self.step} is not batch {self.n_done} after {self.epoch} epochs")
        if [row["epoch"] for row in state["rows"]] != list(range(1, self.epoch + 1)):
            raise ValueError(f"the rows of history are not those of {self.epoch} epochs")
        self.budget.resume(state["seconds"])
        self.guard.load_state_dict(state["guard"])
        self.early_stopping.load_state_dict(state["best"])
        self.schedule.load_state_dict(state["schedule"])
        self.terms = checked_terms(state["terms"])
        self.means.load_state_dict(state["means"])
        if LATEST_KEY in state:
            for name, player in self.players.items():
                player.load_state_dict(state[LATEST_KEY]["players"][name])
            self.means.load_pending(state[LATEST_KEY]["pending"], self.device)
        if any(player.learning_rate.n_steps > self.step for player in self.players.values()):
            raise ValueError("a learning rate has had more steps than the training")
        self.history.rows = state["rows"]
        self.rng.load_state_dict(state[RNG_KEY])
