"""Evaluation of generated rows: padding, labels, companions of packs, the validation loss, and interpolation."""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from regen.data.batching import RowBatch
from regen.estimators.adversarial.evaluation import Evaluator, QualityMonitor, validation_loss
from regen.estimators.adversarial.gan_model import batched_logits
from regen.estimators.adversarial.latent import slerp
from regen.nets.adversarial import make_gan_nets

QUALITY = {"precision": 0.9, "recall": 0.7, "density": 1.2, "coverage": 0.6, "two_sample": 0.4, "mmd": 0.02}


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (None, 0.25),
        ("coverage", 0.4),
        ("density", 0.2),
        ("precision", 0.1),
        ("recall", 0.3),
        ("two_sample", 0.1),
        ("mmd", 0.02),
    ],
)
def test_validation_loss(measure: str | None, expected: float) -> None:
    """Distance of each measure from its perfect value; None is the mean of precision and coverage."""
    assert validation_loss(QUALITY, measure) == pytest.approx(expected)


def evaluator(rows: RowBatch, fake: Tensor, logits: Any = None) -> Evaluator:
    """A board whose generator writes `fake`."""
    return Evaluator(rows, lambda *_: fake, logits or (lambda batch: batch.x.flatten(1).sum(1)), 2, 0)


def test_padding_is_not_compared() -> None:
    """Two sequences that differ in padding only are the same; steps within count."""
    x = torch.randn(20, 4, 2, generator=Generator().manual_seed(0))
    lengths = torch.arange(20) % 4 + 1
    padded = x.masked_fill((torch.arange(4) >= lengths[:, None])[..., None], 9.0)
    same = evaluator(RowBatch(x, lengths, None), padded).quality(padded)
    assert (same["precision"], same["recall"], same["coverage"]) == (1.0, 1.0, 1.0)
    twin = evaluator(RowBatch(x, None, None), padded).quality(padded)
    assert twin["precision"] < 1.0


def test_labels_are_compared_too() -> None:
    """Right rows under wrong labels are wrong rows."""
    x = 0.01 * torch.randn(40, 3, generator=Generator().manual_seed(0))
    y = torch.arange(40) % 2
    rows = RowBatch(x, None, y)
    assert evaluator(rows, x).quality(x)["coverage"] == 1.0
    wrong = Evaluator(rows._replace(y=y * 0), lambda *_: x, lambda batch: batch.x.sum(1), 2, 0)
    assert torch.equal(wrong.real[:, :3], evaluator(rows, x).real[:, :3])
    assert evaluator(rows, x).real.shape == (40, 5)


def test_an_evaluator_repeats_its_codes() -> None:
    """The same codes at every call, so that generators are comparable; others for another draw."""
    seen: list[Tensor] = []

    def write(generator: Any, codes: Tensor, *_: Any) -> Tensor:
        seen.append(codes)
        return codes

    rows = RowBatch(torch.zeros(9, 2), None, None)
    one = Evaluator(rows, write, lambda batch: batch.x.sum(1), 2, 5)
    one.generated(None)
    one.generated(None)
    one.generated(None, draw=1)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_scores_of_equal_distributions() -> None:
    """Both score 50 if real and generated rows are equal, or logits are not finite; else far from it."""
    x = torch.randn(50, 2, generator=Generator().manual_seed(0))
    rows = RowBatch(x, None, None)
    scores, _ = evaluator(rows, x).scores(x)
    assert (scores["score_real"], scores["score"]) == (50.0, 50.0)
    broken, place = evaluator(rows, x, lambda batch: batch.x.sum(1) * torch.nan).scores(x)
    assert (broken["score"], place) == (50.0, (0.0, 0.0))
    apart, _ = evaluator(rows, x).scores(x - 5)
    assert apart["score_real"] > 95 and apart["score"] < 5


def test_a_monitor_counts_epochs() -> None:
    """It measures after every third one, and goes on where its count was saved."""
    x = torch.randn(30, 2, generator=Generator().manual_seed(0))
    monitor = QualityMonitor(evaluator(RowBatch(x, None, None), x), lambda: None, 3, "coverage")
    measured = [bool(monitor()) for _ in range(7)]
    assert measured == [False, False, True, False, False, True, False]
    other = QualityMonitor(evaluator(RowBatch(x, None, None), x), lambda: None, 3, "coverage")
    other.load_state_dict(monitor.state_dict())
    assert [bool(other()) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("form", ["mlp", "gru"])
def test_companions_complete_the_pack_of_every_row(form: str) -> None:
    """A critic of packs receives each row with the same companions; others change the logits."""
    torch.manual_seed(0)
    _, critic = make_gan_nets(form, features=2, outputs=2, code=2, hidden=6, pack=3, classes=2)
    shape = (5, 4, 2) if form == "gru" else (5, 2)
    lengths = torch.tensor([4, 1, 3, 2, 4]) if form == "gru" else None
    rows = RowBatch(torch.randn(shape), lengths, torch.arange(5) % 2)
    companions = RowBatch(
        torch.randn(2, *shape[1:]), None if lengths is None else torch.tensor([2, 3]), torch.tensor([1, 0])
    )
    found = batched_logits(critic, rows, companions)
    for k in range(5):
        x = torch.cat([rows.x[k : k + 1], companions.x])
        steps = None if lengths is None else torch.cat([lengths[k : k + 1], torch.tensor([2, 3])])
        alone = critic(x, torch.tensor([k % 2, 1, 0]), steps).detach()
        torch.testing.assert_close(found[k : k + 1], alone, rtol=1e-4, atol=1e-5)
    other = batched_logits(critic, rows, companions._replace(x=companions.x + 1))
    assert (other - found).abs().max() > 1e-3


def test_companions_of_other_lengths() -> None:
    """Longer or shorter ones are padded, and padding is never read."""
    torch.manual_seed(0)
    _, critic = make_gan_nets("gru", features=2, outputs=2, code=2, hidden=6, pack=2)
    rows = RowBatch(torch.randn(3, 3, 2), torch.tensor([3, 1, 2]), None)
    companions = RowBatch(torch.randn(1, 6, 2), torch.tensor([5]), None)
    padded = rows._replace(x=torch.cat([rows.x, torch.full((3, 3, 2), 7.0)], 1))
    torch.testing.assert_close(
        batched_logits(critic, rows, companions), batched_logits(critic, padded, companions)
    )


def test_an_arc_between_codes() -> None:
    """The ends are the codes; the norm is kept for ends of equal norm; parallel codes are interpolated linearly."""
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    way = slerp(a, b, 5)
    torch.testing.assert_close(way[[0, -1]], torch.stack([a, b]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(way.norm(dim=1), torch.full((5,), 3.0))
    assert torch.lerp(a, b, 0.5).norm() < 2.2, "the straight line comes nearer to 0"
    torch.testing.assert_close(slerp(a, 2 * a, 3), torch.tensor([[3.0, 0.0], [4.5, 0.0], [6.0, 0.0]]))
    assert slerp(a, -a, 3).isfinite().all()
    assert slerp(a, 0 * a, 3).isfinite().all()
