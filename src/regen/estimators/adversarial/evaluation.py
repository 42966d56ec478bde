"""What two nets are compared on: rows that are held out, as many generated ones, and what a critic says of them.

Letters: `k` or `n` rows, `m` rows of a pack, `Z` code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from regen._masks import length_mask
from regen.data.batching import RowBatch
from regen.estimators._evaluation import EVALUATION_BATCH
from regen.losses.gan import calibrate, score
from regen.metrics.generative import Memorisation, memorisation, mmd, prdc, two_sample_accuracy

__all__ = ["NEIGHBOURS", "Board", "logits_of"]

NEIGHBOURS = 5
"""The k of PRDC (Naeem et al. 2020)."""


@final
class Board:
    """Rows to compare with.

    Parameters
    ----------
    rows : real ones as the discriminator reads them, with their labels and lengths.
    write : (generator, codes, labels, steps, chance) -> what the discriminator reads of generated rows.
    logits : what the discriminator says of a batch of rows, (k,).
    code : Z.
    seed : of the codes, and of what is drawn in a row.
    labels : (k,) of the generated rows; None: those of the real ones.
    """

    def __init__(
        self,
        rows: RowBatch,
        write: Callable[..., Tensor],
        logits: Callable[[RowBatch], Tensor],
        code: int,
        seed: int,
        labels: Tensor | None = None,
    ) -> None:
        self._rows, self._write, self._logits, self._code, self._seed = rows, write, logits, code, seed
        self._labels = rows.y if labels is None else labels

    def __len__(self) -> int:
        return len(self._rows.x)

    @property
    def real(self) -> Tensor:
        """(k, D) the real rows."""
        return _flat(self._rows)

    def fake(self, generator: Any, again: int = 0) -> Tensor:
        """(k, ...) as many generated ones, the same codes at each call with the same `again`."""
        x = self._rows.x
        chance = Generator(x.device).manual_seed(self._seed + again)
        codes = torch.empty(len(x), self._code, device=x.device).normal_(generator=chance)
        return self._write(generator, codes, self._labels, x.shape[1] if x.ndim == 3 else None, chance)

    @property
    def unlabelled(self) -> Board:
        """The same, of rows whose labels are not told."""
        rows = self._rows._replace(y=None)
        return Board(rows, self._write, self._logits, self._code, self._seed)

    def measured(self, fake: Tensor, bandwidth: float | None = None) -> dict[str, float]:
        """All measures of the generated rows (k, ...) against the real ones."""
        real, made = self.real, _flat(self._rows._replace(x=fake))
        return {
            **prdc(real, made, NEIGHBOURS)._asdict(),
            "two_sample": two_sample_accuracy(real, made),
            "mmd": mmd(real, made, bandwidth),
        }

    def copies(self, fake: Tensor, training: RowBatch) -> Memorisation:
        """Whether the generated rows (k, ...) are copies of those trained on."""
        steps = max(training.x.shape[1], self._rows.x.shape[1]) if training.lengths is not None else None
        parts = self._rows._replace(x=fake), training, self._rows
        return memorisation(*(_flat(part, steps) for part in parts))

    def scored(self, fake: Tensor) -> tuple[dict[str, float], tuple[float, float]]:
        """Mean scores of real and generated rows, and the slope and offset that make scores of logits.

        They are 0, and all scores 50, where a logit is not finite.
        """
        told = self._logits(self._rows), self._logits(self._rows._replace(x=fake))
        if not bool(torch.cat(told).isfinite().all()):
            return {"score_real": 50.0, "score": 50.0}, (0.0, 0.0)
        place = calibrate(*told)
        real, made = (float(score(each, *place).mean()) for each in told)
        return {"score_real": real, "score": made}, place


@torch.no_grad()
def logits_of(discriminator: Any, batch: RowBatch, companions: RowBatch | None) -> Tensor:
    """(n,) what a discriminator says of rows; one that reads packs reads each beside the same m - 1 `companions`."""
    found = []
    for start in range(0, len(batch.x), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        x, lengths, y = (None if each is None else each[part] for each in batch)
        if companions is not None:
            x, lengths, y = (_beside(a, b) for a, b in zip((x, lengths, y), companions, strict=True))
        found.append(discriminator(x, y, lengths))
    return torch.cat(found)


def _flat(rows: RowBatch, steps: int | None = None) -> Tensor:
    """(k, D) rows as they are compared: sequences, 0 past their ends, step after step; labels as ones and zeros."""
    x, lengths, labels = rows
    if lengths is not None:
        x = x * length_mask(lengths, x.shape[1])[..., None]
    if steps is not None:
        x = F.pad(x, (0, 0, 0, steps - x.shape[1]))
    x = x.flatten(1)
    return x if labels is None else torch.cat([x, F.one_hot(labels).to(x.dtype)], 1)


def _beside(rows: Tensor | None, companions: Tensor | None) -> Tensor | None:
    """(n m, ...) each of the rows (n, ...), followed by all companions (m - 1, ...)."""
    if rows is None or companions is None:
        return None
    if rows.ndim == 3 and rows.shape[1] != companions.shape[1]:
        steps = max(rows.shape[1], companions.shape[1])
        rows, companions = (F.pad(each, (0, 0, 0, steps - each.shape[1])) for each in (rows, companions))
    near = companions.expand(len(rows), *companions.shape)
    return torch.cat([rows[:, None], near], 1).flatten(0, 1)
