"""Losses of the two players of a GAN on one batch of real rows.

Letters: `B` rows of a batch, `E` numbers of a row, `Z` code, `m` rows of a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Generator, Tensor, nn

from regen.data.batching import RowBatch
from regen.estimators.adversarial.game import PAIRED, GameRules
from regen.losses.gan import gradient_penalty, score, zero_centred_penalty
from regen.nets.adversarial import MLPCritic
from regen.nets.ema import EMA
from regen.training.row_parts import RowParts

__all__ = ["EMAGenerator", "GANLosses"]

Logits = tuple[Tensor, Tensor]
"""Logits of real rows and of generated ones."""


@final
class EMAGenerator(nn.Module):
    """A generator with the exponential moving average of its weights; none with a `half_life` of 0."""

    def __init__(self, net: nn.Module, half_life: float) -> None:
        super().__init__()
        self.net = net
        self.average = EMA(net, half_life) if half_life else None

    @property
    def sampler(self) -> nn.Module:
        """The network that generates samples: the average, if there is one."""
        return self.net if self.average is None else self.average.net

    def update(self) -> None:
        """Update the average after a step of the generator."""
        if self.average is not None:
            self.average.update(self.net)


@final
class GANLosses:
    """Losses of discriminator and generator.

    Each loss is a mapping of terms: "loss"; "score", the mean score (1 to 100) of generated rows; "score_real", that
    of real rows; and "penalty" before its weight.

    Parameters
    ----------
    generator, discriminator : the networks.
    to_inputs : callable, (outputs of the generator, rng) -> inputs of the discriminator; differentiable.
    rules : objective and penalty.
    rng : draws codes, samples, noise and the points of the gradient penalty; on the device of the networks.
    """

    def __init__(
        self,
        generator: Any,
        discriminator: Any,
        to_inputs: Callable[[Tensor, Generator], Tensor],
        rules: GameRules,
        rng: Generator,
    ) -> None:
        self._generator, self._discriminator = generator, discriminator
        self._to_inputs, self._rules, self._rng = to_inputs, rules, rng
        self.parts = RowParts(generator, discriminator, multiple=rules.pack)
        self._drawn: tuple[Tensor, Tensor] | None = None
        self._needs_real = rules.losses.needs_real or (rules.by_scores and rules.objective in PAIRED)

    def discriminator_loss(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """Terms of the discriminator; the generator gets no gradient."""
        real, fake = self._noisy(batch.x).detach(), self._noisy(self._generated(batch).detach())
        logits, penalty = (
            self._separate_passes(real, fake, batch)
            if self._rules.batch_norm
            else self._single_pass(real, fake, batch)
        )
        terms = {"loss": self._rules.losses.discriminator(*logits)}
        if penalty is not None:
            terms = {"loss": terms["loss"] + self._rules.penalty_weight * penalty, "penalty": penalty}
        return terms | self._scores(*logits)

    def generator_loss(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """Terms of the generator; the player that calls it takes no gradient of the discriminator's weights."""
        fake = self._noisy(self._generated(batch))
        self._drawn = None
        real_logit = None
        if self._needs_real:
            with torch.no_grad():
                real_logit = self._logits(self._noisy(batch.x), batch)
        logit = self._logits(fake, batch)
        terms = {"loss": self._rules.losses.generator(real_logit, logit)}
        return terms | self._scores(real_logit, logit)

    def _generated(self, batch: RowBatch) -> Tensor:
        """As many generated rows as the batch has, the same for both players on one batch."""
        if self._drawn is None or self._drawn[0] is not batch.x:
            x = batch.x
            z = torch.randn(len(x), self._generator.code, generator=self._rng, device=x.device)
            steps = x.shape[1] if x.ndim == 3 else None
            self._drawn = x, self._to_inputs(self.parts(self._generator, z, batch.y, steps), self._rng)
        return self._drawn[1]

    def _noisy(self, x: Tensor) -> Tensor:
        """Rows with instance noise."""
        noise = self._rules.instance_noise
        return x + noise * torch.empty_like(x).normal_(generator=self._rng) if noise else x

    def _logits(self, x: Tensor, batch: RowBatch) -> Tensor:
        return self._run(x, batch.y, batch.lengths)

    def _run(self, x: Tensor, label: Tensor | None, lengths: Tensor | None) -> Tensor:
        return self.parts(self._discriminator, x, label, lengths)  # type: ignore[no-any-return]

    def _single_pass(self, real: Tensor, fake: Tensor, batch: RowBatch) -> tuple[Logits, Tensor | None]:
        """Logits and penalty by one pass over real and generated rows."""
        kind = self._rules.penalty
        if kind == "r1":
            real.requires_grad_()
        elif kind == "r2":
            fake.requires_grad_()
        both = torch.cat([real, fake])
        if kind == "r1+r2":
            logits, squared_norms = self._logits_and_squared_norms(both, *_repeated(batch))
            return _halves(logits), squared_norms.mean()
        pair = _halves(self._run(both, *_repeated(batch)))
        return pair, self._penalty(pair, real, fake, batch)

    def _separate_passes(self, real: Tensor, fake: Tensor, batch: RowBatch) -> tuple[Logits, Tensor | None]:
        """Logits and penalty by two passes, so that batch statistics are those of real or of generated rows only."""
        kind = self._rules.penalty
        real.requires_grad_("r1" in kind)
        fake.requires_grad_("r2" in kind)
        pair = self._logits(real, batch), self._logits(fake, batch)
        return pair, self._penalty(pair, real, fake, batch)

    def _logits_and_squared_norms(
        self, x: Tensor, label: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Logits and the squared norms of their input gradients, in closed form where the network has one."""
        if isinstance(self._discriminator, MLPCritic):
            found = self.parts(self._discriminator.squared_input_gradients, x, label)
            if found is not None:
                return found  # type: ignore[no-any-return]
        logits = self._run(x.requires_grad_(), label, lengths)
        return logits, zero_centred_penalty(logits, x)

    def _penalty(self, logits: Logits, real: Tensor, fake: Tensor, batch: RowBatch) -> Tensor | None:
        """Mean penalty of the batch: "gradient", or ``(R1 + R2) / 2``."""
        kind = self._rules.penalty
        if kind == "none":
            return None
        if kind == "gradient":
            pack = self._rules.pack
            return gradient_penalty(lambda x: self._logits(x, batch), real, fake, self._rng, pack).mean()
        rows = (("r1", logits[0], real), ("r2", logits[1], fake))
        terms = [zero_centred_penalty(logit, x).mean() for name, logit, x in rows if name in kind]
        return 0.5 * sum(terms[1:], terms[0])

    @torch.no_grad()
    def _scores(self, real: Tensor | None, fake: Tensor) -> dict[str, Tensor]:
        """Mean scores of real and generated rows; of pairs, for objectives whose logits are meaningful in pairs only:
        the probability that the real row of a pair gets the higher logit.
        """
        if self._rules.objective in PAIRED:
            if real is None:
                return {}
            probability = torch.sigmoid(real - fake).mean() * 100
            return {"score": 100 - probability, "score_real": probability}
        slope, offset = (4.0, -2.0) if self._rules.objective == "least_squares" else (1.0, 0.0)
        logits = {"score": fake} if real is None else {"score": fake, "score_real": real}
        return {name: score(logit, slope, offset).mean() for name, logit in logits.items()}


def _halves(both: Tensor) -> Logits:
    real, fake = both.chunk(2)
    return real, fake


def _repeated(batch: RowBatch) -> tuple[Tensor | None, Tensor | None]:
    """Labels and lengths of real rows and, equal, of the generated rows after them."""
    y, lengths = batch.y, batch.lengths
    return (None if y is None else torch.cat([y, y])), (
        None if lengths is None else torch.cat([lengths, lengths])
    )
