"""The loop: players move over batches until a limit, patience or the user ends it.

It knows nothing of what is trained. One player is a regression or an autoencoder; two are a GAN.
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
from regen.training.checkpoint import Checkpoint, identity
from regen.training.device import autocast
from regen.training.divergence import DivergenceGuard
from regen.training.history import History, Means
from regen.training.options import Training
from regen.training.player import Player
from regen.training.player_state import PlayerState
from regen.training.pytree import clone
from regen.training.rng import RNGStates
from regen.training.schedule import Schedule
from regen.training.stopping import Budget, EarlyStopping

__all__ = ["train"]

CHECK = 64
"""Batches between two looks at whether all is finite; each waits for the device and copies the state."""


def train(
    players: Sequence[Player],
    schedule: Schedule,
    feed: Batches,
    training: Training,
    *,
    max_epochs: int,
    learning_rate: float,
    validate: Callable[[], Mapping[str, float]] | None = None,
    generator: torch.Generator,
    fingerprint: str = "",
) -> History:
    """Train the players' modules in place, and say what happened.

    For every batch, the players whose turn it is move: gradient of their loss for their own parameters,
    clipped, then their optimiser; then learning rates advance. After every epoch: `validate`, a row of
    history, the best weights so far. In the end the modules have their best weights if there is a
    validation loss, else the last ones, and are in eval mode.

    Parameters
    ----------
    players : at least one, with different names, their modules already on their device.
    schedule : says which of them move on each batch.
    feed : the batches.
    training : Training, checked.
    max_epochs : passes over the feed, at most.
    learning_rate : of every player without an optimiser of its own.
    validate : callable or None
        Called after every epoch with modules in eval mode and gradients off; returns floats by name. The
        lowest ``"loss"`` is best; an epoch without ``"loss"`` is not judged.
    generator : torch.Generator
        Gives the order of the data and nothing else. All other chance (dropout, noise) is that of torch's
        global generators, which the caller seeds.
    fingerprint : text that identifies the data; a checkpoint made with another one is refused.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        When the checkpoint is damaged or of another run, or the feed is empty.

    Warns
    -----
    RuntimeWarning
        When training diverges, that is, a loss, a weight or a number of an optimiser is not finite. It is
        looked for every 64 batches and at the end of every epoch; all players go back to where they were at
        the last good look, with half the rate, and training goes on with the next batch. The third time it
        stops. Also when a checkpoint cannot be written, which does not end training.
    UserWarning
        When Ctrl-C ends it.
    """
    run = _Run(players, schedule, feed, training, max_epochs, learning_rate, validate, generator, fingerprint)
    try:
        run.resume()
        run.go()
    except KeyboardInterrupt:
        run.interrupted()
    return run.finish()


@final
class _Run:
    def __init__(
        self,
        players: Sequence[Player],
        schedule: Schedule,
        feed: Batches,
        training: Training,
        max_epochs: int,
        learning_rate: float,
        validate: Callable[[], Mapping[str, float]] | None,
        generator: torch.Generator,
        fingerprint: str,
    ) -> None:
        if not len(feed):
            raise ValueError("There is no batch to train on. Give more data or a smaller batch_size.")
        assert len({player.name for player in players}) == len(players), "players need different names"
        self.schedule, self.feed, self.validate, self.learning_rate = schedule, feed, validate, learning_rate
        self.limits = Budget(training, max_epochs)
        steps = self.limits.steps(len(feed))
        device = next(parameter.device for player in players for parameter in player.parameters())
        self.precision = autocast(training.precision, device)
        self.seats = {
            player.name: PlayerState(player, training, learning_rate, steps, self.precision)
            for player in players
        }
        self.first = players[0].name
        self.best = EarlyStopping({name: seat.module for name, seat in self.seats.items()}, training.patience)
        self.guard = DivergenceGuard(self.seats)
        self.chance = RNGStates(generator, device)
        self.history, self.means = History(), Means()
        self.terms: dict[str, dict[str, Tensor]] = {}
        self.epoch = self.done = self.step = 0  # whole epochs; batches of the present one; batches in all
        whose = identity(players, schedule, training, learning_rate, steps, fingerprint)
        self.checkpoint = Checkpoint(training.checkpoint, whose)
        self.bar = tqdm(total=steps, unit="batch") if training.verbose else None

    def resume(self) -> None:
        """Take up the run where its checkpoint left it, if there is one."""
        state = self.checkpoint.read()
        if state is not None:
            self.load_state_dict(state)
            self.history.resumed = (
                f"Resumed from {str(self.checkpoint.path)!r} after {self.epoch} epochs, at step {self.step}."
            )
        self.remember()

    def go(self) -> None:
        """Epoch after epoch, until there is a reason to stop."""
        while not (reason := self.verdict()):
            whole = self.run_epoch()
            self.check()
            if whole:
                self.close_epoch()
            self.remember()
        self.history.stopped = reason
        self.checkpoint.write(self.state_dict())
        if self.done:  # cut within an epoch: it gets its row, but only after the checkpoint
            self.add_row()

    def run_epoch(self) -> bool:
        """Move over the batches of an epoch; False if a limit cut it short."""
        for seat in self.seats.values():
            seat.module.train()
        batches = len(self.feed)
        for batch in self.chance.batches(self.feed, self.done):
            self.turn(batch)
            if self.step % CHECK == 0:
                self.check()
                self.remember()
            if self.done < batches and (self.limits.out(self.step) or self.guard.struck_out):
                return False
        return True

    def turn(self, batch: Any) -> None:
        """Move the players whose turn it is; advance the learning rates of those that have ever moved."""
        for name in self.schedule.turn(self.step, self.terms):
            terms = self.seats[name].move(batch)
            self.terms[name] = terms
            self.means.add(name, terms)
        for seat in self.seats.values():
            if seat.moved:
                seat.rate.after_batch()
        self.step += 1
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.step - self.bar.n)

    def check(self) -> None:
        """See that all is finite; else the players go back."""
        strikes = self.guard.strikes
        self.guard.check(self.means.fold(), self.epoch + 1, self.step)
        if self.guard.strikes > strikes:
            self.terms = {}

    def remember(self) -> None:
        """Keep the present state, to go back to and to write to the checkpoint if it is time."""
        self.guard.keep()
        if self.checkpoint.path is not None:
            self.checkpoint.offer(self.state_dict())

    def close_epoch(self) -> None:
        """Validate, write the row, judge, and turn the page."""
        loss = self.add_row()
        for seat in self.seats.values():
            seat.rate.after_epoch(loss)
        self.means.clear()
        self.epoch += 1
        self.done = 0

    def add_row(self) -> float:
        """The epoch's row of history; returns the loss that it is judged by."""
        validation = self.validated()
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "seconds": self.limits.seconds,
            "learning_rate": self.seats[self.first].rate.now,
            **self.means.row(),
            **{f"schedule.{term}": value for term, value in self.schedule.report().items()},
            **{f"validation.{term}": value for term, value in validation.items()},
        }
        self.history.rows.append(row)
        if "loss" in validation:
            self.best.judge(validation["loss"], self.epoch + 1)
        loss = validation.get("loss", row.get(f"{self.first}.loss", math.nan))
        if self.bar is not None:
            self.bar.set_postfix({"epoch": self.epoch + 1, "loss": f"{loss:.4g}"})
        return loss

    def validated(self) -> dict[str, float]:
        """What `validate` says of the present weights."""
        if self.validate is None:
            return {}
        for seat in self.seats.values():
            seat.module.eval()
        with torch.no_grad(), self.precision:
            return {term: float(value) for term, value in self.validate().items()}

    def verdict(self) -> str:
        """Why training ends now, or nothing."""
        if self.guard.struck_out:
            return (
                f"Stopped: the loss was not finite three times; {self.kept()} are kept. "
                f"Lower learning_rate (now {self.learning_rate:g}) or scale the data."
            )
        patience = self.best.verdict() if not self.done else ""
        return patience or self.limits.verdict(self.epoch, self.step, self.done)

    def kept(self) -> str:
        """Which weights would be kept now, in words."""
        best = self.best.epoch
        return f"weights of epoch {best}" if best else f"weights of step {self.guard.step}"

    def interrupted(self) -> None:
        """Ctrl-C came, perhaps in the middle of a move: the checkpoint gets what was remembered last."""
        self.checkpoint.write_offered()
        if not self.best.epoch and not self.guard.sound():
            self.guard.go_back()
        kept = f"the best weights so far (epoch {self.best.epoch})" if self.best.epoch else "the last weights"
        self.history.stopped = f"Interrupted by Ctrl-C in epoch {self.epoch + 1}; {kept} are kept."
        warnings.warn(self.history.stopped, UserWarning, stacklevel=3)

    def finish(self) -> History:
        """Give the modules the weights that are kept, and leave no gradients behind."""
        self.best.restore()
        for seat in self.seats.values():
            seat.module.eval()
            seat.optimizer.zero_grad(set_to_none=True)
        if self.bar is not None:
            self.bar.close()
        rows = self.history.rows
        self.history.best_epoch = self.best.epoch or (int(rows[-1]["epoch"]) if rows else 0)
        return self.history

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on. Players are as they were remembered last."""
        return {
            "epoch": self.epoch,
            "done": self.done,
            "step": self.step,
            "seconds": self.limits.seconds,
            "guard": self.guard.state_dict(),
            "best": self.best.state_dict(),
            "schedule": clone(self.schedule.state_dict()),
            "terms": clone(self.terms),
            "means": self.means.state_dict(),
            "rows": list(self.history.rows),
            "chance": self.chance.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.epoch, self.done, self.step = state["epoch"], state["done"], state["step"]
        self.limits.resume(state["seconds"])
        self.guard.load_state_dict(state["guard"])
        self.best.load_state_dict(state["best"])
        self.schedule.load_state_dict(state["schedule"])
        self.terms = state["terms"]
        self.means.load_state_dict(state["means"])
        self.history.rows = state["rows"]
        self.chance.load_state_dict(state["chance"])
