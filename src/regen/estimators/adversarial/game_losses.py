"""Two players at one board: what each minimises, of one batch of real rows.

Letters: `B` rows of a batch, `E` numbers of a row that the discriminator reads, `Z` code, `m` rows of a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from regen.data.batching import RowBatch
from regen.estimators.adversarial.game import CENTRED, Rules
from regen.losses.gan import gradient_penalty, score, zero_centred_penalty
from regen.nets.adversarial import MLPCritic
from regen.nets.ema import EMA

__all__ = ["Duel", "Duellists", "Followed"]

Told = tuple[tuple[Tensor, Tensor], Tensor | None]
"""Logits of real rows and of generated ones, and the penalty."""


@final
class Duellists(nn.Module):
    """The two nets of a trained estimator."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


@final
class Followed(nn.Module):
    """A generator and, unless `half_life` is 0, the moving average that follows it."""

    def __init__(self, net: nn.Module, half_life: float) -> None:
        super().__init__()
        self.net = net
        self.average = EMA(net, half_life) if half_life else None

    @property
    def sampler(self) -> nn.Module:
        """What samples: the average, if there is one."""
        return self.net if self.average is None else self.average.net

    def follow(self) -> None:
        """Take in a move."""
        if self.average is not None:
            self.average.update(self.net)


@final
class Duel:
    """The losses of both players.

    Each returns "loss" and what a person wants to see: the `score` (1 to 100) that the discriminator gives to
    generated rows, in "score_real" that of real ones, and the "penalty" before its weight.

    Parameters
    ----------
    generator, discriminator : the nets.
    say : what the discriminator reads of what the generator writes; a gradient comes back through it.
    rules : what is played for.
    """

    def __init__(
        self, generator: Any, discriminator: Any, say: Callable[[Tensor], Tensor], rules: Rules
    ) -> None:
        self._generator, self._critic, self._say, self._rules = generator, discriminator, say, rules
        self._drawn: tuple[Tensor, Tensor] | None = None
        self._needs_real = rules.losses.needs_real or (rules.scored and rules.objective in CENTRED)

    def discriminate(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """The discriminator's loss: no gradient goes to the generator."""
        real, fake = self._seen(batch.x).detach(), self._seen(self._fake(batch).detach())
        told, penalty = (
            self._apart(real, fake, batch) if self._rules.norm else self._together(real, fake, batch)
        )
        terms = {"loss": self._rules.losses.discriminator(*told)}
        if penalty is not None:
            terms = {"loss": terms["loss"] + self._rules.weight * penalty, "penalty": penalty}
        return terms | self._scores(*told)

    def generate(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """The generator's loss; the discriminator's weights are not asked for a gradient by who pulls it."""
        fake = self._seen(self._fake(batch))
        self._drawn = None
        real_logit = None
        if self._needs_real:
            with torch.no_grad():
                real_logit = self._logits(self._seen(batch.x), batch)
        logit = self._logits(fake, batch)
        terms = {"loss": self._rules.losses.generator(real_logit, logit)}
        return terms | self._scores(real_logit, logit)

    def _fake(self, batch: RowBatch) -> Tensor:
        """Rows generated beside those of the batch, the same for both players on one batch."""
        if self._drawn is None or self._drawn[0] is not batch.x:
            x = batch.x
            z = torch.randn(len(x), self._generator.code, device=x.device)
            steps = x.shape[1] if x.ndim == 3 else None
            self._drawn = x, self._say(self._generator(z, batch.y, steps))
        return self._drawn[1]

    def _seen(self, x: Tensor) -> Tensor:
        """Rows as the discriminator sees them."""
        noise = self._rules.noise
        return x + noise * torch.randn_like(x) if noise else x

    def _logits(self, x: Tensor, batch: RowBatch) -> Tensor:
        return self._critic(x, batch.y, batch.lengths)  # type: ignore[no-any-return]

    def _together(self, real: Tensor, fake: Tensor, batch: RowBatch) -> Told:
        """Logits and penalty by one pass."""
        kind = self._rules.penalty
        if kind == "r1":
            real.requires_grad_()
        elif kind == "r2":
            fake.requires_grad_()
        both = torch.cat([real, fake])
        if kind == "r1+r2":
            logits, slopes = self._with_slopes(both, *_twice(batch))
            return _halves(logits), slopes.mean()
        told = _halves(self._critic(both, *_twice(batch)))
        return told, self._penalty(told, real, fake, batch)

    def _with_slopes(self, x: Tensor, label: Tensor | None, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits and squared slopes: by a net that knows a sooner way, or as anywhere."""
        if isinstance(self._critic, MLPCritic):
            found = self._critic.with_slopes(x, label)
            if found is not None:
                return found
        logits = self._critic(x.requires_grad_(), label, lengths)
        return logits, zero_centred_penalty(logits, x)

    def _apart(self, real: Tensor, fake: Tensor, batch: RowBatch) -> Told:
        """Logits and penalty by two passes, so that a batch norm sees one kind of rows at a time."""
        kind = self._rules.penalty
        real.requires_grad_("r1" in kind)
        fake.requires_grad_("r2" in kind)
        told = self._logits(real, batch), self._logits(fake, batch)
        return told, self._penalty(told, real, fake, batch)

    def _penalty(self, told: Any, real: Tensor, fake: Tensor, batch: RowBatch) -> Tensor | None:
        """Mean over the batch: of "gradient" as it is, of the others ``(R1 + R2) / 2``."""
        kind = self._rules.penalty
        if kind == "none":
            return None
        if kind == "gradient":
            pack = self._rules.pack
            return gradient_penalty(lambda x: self._logits(x, batch), real, fake, pack=pack).mean()
        rows = (("r1", told[0], real), ("r2", told[1], fake))
        found = [zero_centred_penalty(logit, x).mean() for name, logit, x in rows if name in kind]
        return 0.5 * sum(found[1:], found[0])

    @torch.no_grad()
    def _scores(self, real: Tensor | None, fake: Tensor) -> dict[str, Tensor]:
        """Mean scores of both kinds, as far as they are known.

        Where logits mean something only beside others, of pairs: how surely the real one of two is told to be real.
        """
        if self._rules.objective in CENTRED:
            if real is None:
                return {}
            chance = torch.sigmoid(real - fake).mean() * 100
            return {"score": 100 - chance, "score_real": chance}
        slope, offset = (4.0, -2.0) if self._rules.objective == "least_squares" else (1.0, 0.0)
        known = {"score": fake} if real is None else {"score": fake, "score_real": real}
        return {name: score(logit, slope, offset).mean() for name, logit in known.items()}


def _halves(both: Tensor) -> tuple[Tensor, Tensor]:
    real, fake = both.chunk(2)
    return real, fake


def _twice(batch: RowBatch) -> tuple[Tensor | None, Tensor | None]:
    """Labels and lengths of real and then generated rows."""
    y, lengths = batch.y, batch.lengths
    return (None if y is None else torch.cat([y, y])), (
        None if lengths is None else torch.cat([lengths, lengths])
    )
