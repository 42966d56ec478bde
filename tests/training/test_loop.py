"""The loop is a plain torch loop: equal weights, bit for bit; and wrong loops give other weights."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, MultiStepLR, OneCycleLR, ReduceLROnPlateau

from regen.training import Player, alternate

EPOCHS, RATE = 5, 0.05
OPTIMIZERS: dict[str, Callable[[Iterator[nn.Parameter]], Optimizer]] = {
    "adam": lambda weights: Adam(weights, lr=RATE, weight_decay=0.01, fused=True),
    "adamw": lambda weights: AdamW(weights, lr=RATE, weight_decay=0.01, fused=True),
    "sgd": lambda weights: SGD(weights, lr=RATE, weight_decay=0.01, momentum=0.9, nesterov=True, fused=True),
}
SCHEDULES: dict[str, Callable[[Optimizer, int], Any]] = {
    "constant": lambda optimizer, steps: None,
    "inverse": lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 / (1 + step / 1000)),
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "step": lambda optimizer, steps: MultiStepLR(optimizer, [steps // 2, steps * 3 // 4], gamma=0.1),
    "onecycle": lambda optimizer, steps: OneCycleLR(
        optimizer, max_lr=RATE, total_steps=steps, cycle_momentum=False
    ),
    "plateau": lambda optimizer, steps: ReduceLROnPlateau(optimizer, factor=0.5, patience=3),
}


def plain(toy: Any, optimizer: str, schedule: str, clip: float | None, twin: str = "") -> Tensor:
    """The loop that anyone would write; `twin` names a mistake to make in it."""
    generator = torch.Generator().manual_seed(1 if twin == "order" else 0)
    steps = EPOCHS * len(toy.batches)
    rule = OPTIMIZERS[optimizer](toy.net.parameters())
    rates = SCHEDULES[schedule](rule, steps)
    if twin == "rate one step ahead":
        rates.step()
    toy.net.train()
    for _ in range(EPOCHS):
        losses = []
        for batch in toy.batches.epoch(generator):
            if twin != "gradients pile up":
                rule.zero_grad()
            loss = toy.loss(batch)
            loss.backward()
            if clip and twin != "clip after step":
                clip_grad_norm_(toy.net.parameters(), clip)
            rule.step()
            if clip and twin == "clip after step":
                clip_grad_norm_(toy.net.parameters(), clip)
            if rates is not None and schedule != "plateau":
                rates.step()
            losses.append(loss.item())
        if schedule == "plateau":
            rates.step(sum(losses) / len(losses))
    return toy.weights()


def ours(toy: Any, optimizer: str, schedule: str, clip: float | None) -> Tensor:
    """The same by the loop."""
    fields = {"optimizer": optimizer, "schedule": schedule, "clip": clip, "weight_decay": 0.01}
    toy.train(max_epochs=EPOCHS, learning_rate=RATE, generator=torch.Generator().manual_seed(0), **fields)
    return toy.weights()


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_player_is_a_plain_loop(toy: Any, optimizer: str, schedule: str, clip: float | None) -> None:
    """Every optimiser, schedule and clipping, with dropout: the same bits."""
    ours_, plain_ = toy(), toy()
    torch.manual_seed(5)
    weights = ours(ours_, optimizer, schedule, clip)
    assert not torch.equal(weights, ours_.before), "training must change the weights"
    torch.manual_seed(5)
    assert torch.equal(weights, plain(plain_, optimizer, schedule, clip))


@pytest.mark.parametrize("twin", ["clip after step", "order", "gradients pile up", "rate one step ahead"])
def test_wrong_loops_differ(toy: Any, twin: str) -> None:
    """A plain loop with one mistake is not ours."""
    torch.manual_seed(5)
    weights = ours(toy(), "adam", "cosine", 0.1)
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        assert not torch.equal(weights, plain(toy(), "adam", "cosine", 0.1, twin))


def test_another_dropout_differs(toy: Any) -> None:
    """The proof covers dropout: under another seed the weights are others."""
    torch.manual_seed(5)
    weights = ours(toy(), "adam", "constant", None)
    torch.manual_seed(6)
    assert not torch.equal(weights, plain(toy(), "adam", "constant", None))


class PointGAN:
    """A generator of points and a discriminator, small enough to write by hand."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.g = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3))
            self.d = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.2), nn.Linear(6, 1))

    def made(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """As many points as the batch has, from torch's global generator."""
        return self.g(torch.randn(len(batch[0]), 2))

    def d_loss(self, batch: tuple[Tensor, Tensor], detach: bool = True) -> Tensor:
        """Distinguish the real points from the generated ones (Goodfellow et al. 2014)."""
        made = self.made(batch).detach() if detach else self.made(batch)
        return nn.functional.softplus(-self.d(batch[0])).mean() + nn.functional.softplus(self.d(made)).mean()

    def g_loss(self, batch: tuple[Tensor, Tensor], detach: bool = False) -> Tensor:
        """Let the discriminator take the generated points for real."""
        made = self.made(batch).detach() if detach else self.made(batch)
        return nn.functional.softplus(-self.d(made)).mean()

    def weights(self) -> Tensor:
        """All weights, in one copy."""
        both = [*self.g.parameters(), *self.d.parameters()]
        return nn.utils.parameters_to_vector(both).detach().clone()


def plain_gan(batches: Any, d_moves: int, twin: str = "") -> Tensor:
    """Two players by hand: the discriminator on every batch, the generator after every `d_moves` of them."""
    pair, generator = PointGAN(), torch.Generator().manual_seed(0)
    d_rule = Adam(pair.d.parameters(), lr=0.02, betas=(0.5, 0.999), fused=True)
    g_rule = Adam(pair.g.parameters(), lr=RATE, fused=True)
    step = 0
    for _ in range(EPOCHS):
        for batch in batches.epoch(generator):
            pair.d_loss(batch, detach=twin != "generator not detached").backward()
            clip_grad_norm_(pair.d.parameters(), 1.0)
            d_rule.step()
            d_rule.zero_grad()
            step += 1
            if step % d_moves:
                continue
            loss = pair.g_loss(batch, detach=twin == "generator detached")
            if twin != "generator detached":
                loss.backward()
            clip_grad_norm_(pair.g.parameters(), 1.0)
            g_rule.step()
            g_rule.zero_grad()
            if twin != "discriminator keeps gradients":
                d_rule.zero_grad()
    return pair.weights()


def our_gan(toy: Any, d_moves: int) -> tuple[PointGAN, Any]:
    """The same by the loop; the discriminator's loss is not even detached, and the players leak nothing."""
    pair = PointGAN()
    players = [
        Player(
            "d",
            pair.d,
            lambda batch: {"loss": pair.d_loss(batch, detach=False)},
            Adam(pair.d.parameters(), lr=0.02, betas=(0.5, 0.999), fused=True),
        ),
        Player("g", pair.g, lambda batch: {"loss": pair.g_loss(batch)}),
    ]
    generator, turns = torch.Generator().manual_seed(0), alternate(d=d_moves, g=1)
    options = {"max_epochs": EPOCHS, "learning_rate": RATE, "generator": generator}
    return pair, toy.train(*players, turns=turns, **options)


@pytest.mark.parametrize("d_moves", [1, 2])
def test_two_players_are_a_plain_gan_loop(toy: Any, d_moves: int) -> None:
    """The generator learns through the discriminator, whose gradients are not affected: the same bits as by hand."""
    one, before = toy(), PointGAN().weights()
    torch.manual_seed(5)
    pair, history = our_gan(one, d_moves)
    assert not torch.equal(pair.weights(), before)
    assert (pair.weights() != before).all(), "both players must move, every weight"
    torch.manual_seed(5)
    assert torch.equal(pair.weights(), plain_gan(one.batches, d_moves))
    assert set(history.rows[0]) == {"epoch", "step", "seconds", "learning_rate", "d.loss", "g.loss"}


@pytest.mark.parametrize(
    "twin", ["generator not detached", "generator detached", "discriminator keeps gradients"]
)
def test_wrong_gan_loops_differ(toy: Any, twin: str) -> None:
    """Gradients that leak between players, or do not reach the generator, are noticed."""
    torch.manual_seed(5)
    weights = our_gan(toy(), 1)[0].weights()
    torch.manual_seed(5)
    assert not torch.equal(weights, plain_gan(toy().batches, 1, twin))


def test_gradients_of_other_players_are_kept(toy: Any) -> None:
    """Moving the generator through the discriminator leaves the discriminator's gradients as they were."""
    pair, seen = PointGAN(), []
    marks = [torch.full_like(weight, 7.0) for weight in pair.d.parameters()]
    for weight, mark in zip(pair.d.parameters(), marks, strict=True):
        weight.grad = mark.clone()

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        seen.append(all(torch.equal(w.grad, m) for w, m in zip(pair.d.parameters(), marks, strict=True)))
        return {"loss": pair.g_loss(batch)}

    toy().train(Player("g", pair.g, loss), max_epochs=2, learning_rate=RATE, generator=torch.Generator())
    assert seen == [True] * 14
    assert all(torch.equal(w.grad, m) for w, m in zip(pair.d.parameters(), marks, strict=True))
    assert all(weight.grad is None for weight in pair.g.parameters())


def test_frozen_weights_stay(toy: Any) -> None:
    """A player moves only the parameters that require a gradient."""
    one = toy()
    frozen = one.net[0].weight.detach().clone()
    one.net[0].weight.requires_grad_(False)
    weights = ours(one, "adam", "constant", 1.0)
    assert torch.equal(one.net[0].weight, frozen)
    assert not torch.equal(weights, one.before)


def test_global_state_of_torch_is_left_alone(toy: Any) -> None:
    """Grad mode, deterministic flags, default dtype, threads and autocast are as before."""

    def state() -> tuple[Any, ...]:
        return (
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_autocast_enabled("cpu"),
            torch.backends.cudnn.benchmark,
        )

    before, one = state(), toy()
    one.train(max_epochs=1, learning_rate=RATE, validate=one.validate, precision="bfloat16")
    assert state() == before


def test_bfloat16_computes_in_bfloat16_and_keeps_float32(toy: Any) -> None:
    """Products are in bfloat16 both in the loss and in validation; weights stay float32, and differ."""
    seen: list[torch.dtype] = []
    one, two = toy(), toy()
    one.net[3].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for each, precision in ((one, "bfloat16"), (two, "auto")):
        torch.manual_seed(5)
        each.train(max_epochs=1, learning_rate=RATE, validate=each.validate, precision=precision)
    assert set(seen) == {torch.bfloat16} and len(seen) == len(one.batches) + 1
    assert one.net[0].weight.dtype == torch.float32
    assert not torch.equal(one.weights(), two.weights())
