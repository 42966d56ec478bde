"""Losses of both players: values, gradients, penalties and scores, and that no gradient leaks."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.data.batching import RowBatch
from regen.estimators.adversarial.game import Game
from regen.estimators.adversarial.game_losses import EMAGenerator, GANLosses
from regen.losses.gan import GAN_LOSSES
from regen.nets.adversarial import make_gan_nets

B, E, Z, K = 12, 3, 4, 3
LENGTHS = torch.tensor([5, 2, 4, 1, 3, 5, 2, 2, 4, 5, 1, 3])
DEFAULTS = {"penalty_weight": 0.7, "ema_half_life": 0, "beta1": 0.0, "beta2": 0.99}
KINDS = ("mlp", "gru", "conv", "normed")
RNG = torch.default_generator
"""The generator of the losses, which the tests seed."""


def nets(kind: str, classes: int = 0, pack: int = 1, **options: Any) -> tuple[Any, Any]:
    """Generator and critic of one kind, in float64."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"features": E, "outputs": E, "code": Z, "classes": classes, "pack": pack}
    if kind == "gru":
        players = make_gan_nets("gru", hidden=5, **sizes, **options)
    elif kind == "mlp":
        players = make_gan_nets("mlp", hidden=(8, 6), **sizes, **options)
    else:
        shape = {"features": 30, "outputs": 30, "shape": (1, 5, 6), "channels": 2, "norm": kind == "normed"}
        players = make_gan_nets("conv", **sizes | shape, **options)
    return players[0].double(), players[1].double()


def batch_of(kind: str, labelled: bool = False) -> RowBatch:
    """Real rows of one kind."""
    shape = {"gru": (B, 5, E), "mlp": (B, E)}.get(kind, (B, 30))
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return RowBatch(x, LENGTHS if kind == "gru" else None, torch.arange(B) % K if labelled else None)


def losses_of(
    kind: str = "mlp", labelled: bool = False, to_inputs: Any = None, **fields: Any
) -> tuple[GANLosses, Any, Any]:
    """The losses of a game and its nets."""
    game = Game(**fields)
    generator, critic = nets(kind, K if labelled else 0, game.pack, spectral_norm=game.spectral_norm)
    rules = game.rules(DEFAULTS, batch_norm=kind == "normed")
    return (
        GANLosses(generator, critic, to_inputs or (lambda outputs, rng: outputs), rules, RNG),
        generator,
        critic,
    )


def by_hand(kind: str, labelled: bool, twin: str = "", **fields: Any) -> tuple[Tensor, list[Tensor]]:
    """The discriminator's loss by the plain formula, and its gradient; `twin` names a deliberate mistake."""
    game, batch = Game(**fields), batch_of(kind, labelled)
    generator, critic = nets(kind, K if labelled else 0, game.pack, spectral_norm=game.spectral_norm)
    torch.manual_seed(3)
    steps = batch.x.shape[1] if batch.x.ndim == 3 else None
    z = torch.randn(B, Z, dtype=torch.float64)
    fake = generator(z, batch.y, steps).detach().requires_grad_()
    real = batch.x.clone().requires_grad_()
    labels = batch.y.roll(1) if twin == "labels" and batch.y is not None else batch.y
    r, f = critic(real, batch.y, batch.lengths), critic(fake, labels, batch.lengths)
    loss = GAN_LOSSES[game.objective].discriminator(r, f)
    for name, logit, x in (("r1", r, real), ("r2", f, fake)):
        if name in game.resolved_penalty and name != twin:
            (slope,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
            slope = slope.mean(0, keepdim=True) if twin == "batch gradient" else slope
            loss = loss + 0.7 / 2 * slope.square().reshape(len(slope) // game.pack or 1, -1).sum(1).mean()
    return loss.detach(), list(torch.autograd.grad(loss, list(critic.parameters())))


@pytest.fixture(autouse=True)
def double() -> Any:
    """Codes are drawn in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gradient_of(loss: Tensor, net: nn.Module) -> list[Tensor]:
    """The gradient of a loss for the weights of a net."""
    return list(torch.autograd.grad(loss, list(net.parameters())))


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    """Norm of the difference of two gradients, relative to the longer."""
    sizes = [torch.cat([part.flatten() for part in each]) for each in (a, b)]
    return float((sizes[0] - sizes[1]).norm() / max(size.norm() for size in sizes))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", ["r1+r2", "r1", "r2", "none"])
@pytest.mark.parametrize("labelled", [False, True])
def test_the_discriminators_loss_against_the_plain_formula(kind: str, penalty: str, labelled: bool) -> None:
    """Value and gradient, computed in one pass, in two, or with the closed kind of input gradients."""
    losses, _, critic = losses_of(kind, labelled, penalty=penalty)
    torch.manual_seed(3)
    terms = losses.discriminator_loss(batch_of(kind, labelled))
    loss, gradient = by_hand(kind, labelled, penalty=penalty)
    torch.testing.assert_close(terms["loss"].detach(), loss, rtol=1e-10, atol=1e-12)
    assert distance(gradient_of(terms["loss"], critic), gradient) < 1e-9
    for twin in [name for name in ("r1", "r2") if name in penalty] + ["labels"] * labelled:
        assert distance(by_hand(kind, labelled, twin, penalty=penalty)[1], gradient) > 1e-4, twin


def test_a_gradient_of_the_whole_batch_is_another_penalty() -> None:
    """The known mistake, one norm for all rows, is detected."""
    _, right = by_hand("mlp", False)
    assert distance(by_hand("mlp", False, "batch gradient")[1], right) > 1e-2


@pytest.mark.parametrize(("kind", "pack"), [*product(("mlp", "gru"), (2, 3))])
def test_packs_are_penalised_as_one(kind: str, pack: int) -> None:
    """A sample is a pack: one logit and one gradient for all of its rows."""
    losses, _, critic = losses_of(kind, pack=pack)
    torch.manual_seed(3)
    terms = losses.discriminator_loss(batch_of(kind))
    loss, gradient = by_hand(kind, False, pack=pack)
    torch.testing.assert_close(terms["loss"].detach(), loss, rtol=1e-10, atol=1e-12)
    assert distance(gradient_of(terms["loss"], critic), gradient) < 1e-9


@pytest.mark.parametrize("objective", list(GAN_LOSSES))
@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_leaks(objective: str, kind: str) -> None:
    """The discriminator's loss gives the generator none; the generator moves through rows that are not detached."""
    losses, generator, _ = losses_of(kind, objective=objective)
    batch = batch_of(kind)
    loss = losses.discriminator_loss(batch)["loss"]
    loss.backward()
    assert all(weight.grad is None for weight in generator.parameters())
    assert any(size > 0 for size in _sizes(gradient_of(losses.generator_loss(batch)["loss"], generator)))


def _sizes(gradient: list[Tensor]) -> list[float]:
    return [float(each.abs().max()) for each in gradient]


def test_the_twin_that_does_not_detach_leaks() -> None:
    """Without detach() the discriminator's loss has a gradient with respect to the generator."""
    generator, critic = nets("mlp")
    batch = batch_of("mlp")
    fake = generator(torch.randn(B, Z))
    GAN_LOSSES["relativistic"].discriminator(critic(batch.x), critic(fake)).backward()
    assert all(weight.grad is not None for weight in generator.parameters())


@pytest.mark.parametrize("objective", list(GAN_LOSSES))
def test_the_generators_loss(objective: str) -> None:
    """By its formula on the same rows that the discriminator saw, with the discriminator as it is now."""
    losses, generator, critic = losses_of(objective=objective)
    batch = batch_of("mlp")
    torch.manual_seed(3)
    losses.discriminator_loss(batch)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(1.1)  # it has moved
    found = gradient_of(losses.generator_loss(batch)["loss"], generator)
    torch.manual_seed(3)
    logit = critic(generator(torch.randn(B, Z)))
    wanted = gradient_of(GAN_LOSSES[objective].generator(critic(batch.x).detach(), logit), generator)
    assert distance(found, wanted) < 1e-9


def test_each_batch_has_its_own_rows() -> None:
    """Both players see the same generated rows of one batch, and others of the next; also when only one moves."""
    seen: list[Tensor] = []

    def record(outputs: Tensor, rng: torch.Generator) -> Tensor:
        seen.append(outputs)
        return outputs

    losses, _, _ = losses_of(to_inputs=record)
    first, second = batch_of("mlp"), batch_of("mlp")
    losses.discriminator_loss(first)
    losses.generator_loss(first)
    assert len(seen) == 1
    losses.generator_loss(first)  # the same batch again, after the generator moved: its rows are others now
    losses.discriminator_loss(second)
    losses.discriminator_loss(first)
    assert len(seen) == 4
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize(
    ("objective", "both"), [("relativistic", True), ("nonsaturating", False), ("wasserstein", False)]
)
def test_scores_of_both(objective: str, both: bool) -> None:
    """From 1 to 100; 50 for both with a constant discriminator."""
    losses, _, critic = losses_of(objective=objective, penalty="none")
    batch = batch_of("mlp")
    terms = losses.discriminator_loss(batch)
    assert all(1 <= float(terms[name]) <= 100 for name in ("score", "score_real"))
    assert ("score_real" in losses.generator_loss(batch)) == both
    with torch.no_grad():
        for weight in critic.parameters():
            weight.zero_()
    flat = losses.discriminator_loss(batch)
    assert (float(flat["score"]), float(flat["score_real"])) == (50.0, 50.0)
    assert float(terms["score"]) != 50.0


def test_a_score_for_turns_by_scores() -> None:
    """For paired objectives the generator's score takes another pass, made only for turns by scores."""
    batch = batch_of("mlp")
    plain, _, _ = losses_of(objective="wasserstein")
    scored, _, _ = losses_of(objective="wasserstein", turns="scores")
    assert "score" not in plain.generator_loss(batch)
    assert 1 <= float(scored.generator_loss(batch)["score"]) <= 100


def test_least_squares_scores_have_their_middle_at_a_half() -> None:
    """Its labels are 0 and 1: a logit of 1/2 is a guess."""
    losses, _, critic = losses_of(objective="least_squares", penalty="none")
    with torch.no_grad():
        for weight in critic.parameters():
            weight.zero_()
        list(critic.parameters())[-1].fill_(0.5)
    assert float(losses.discriminator_loss(batch_of("mlp"))["score"]) == pytest.approx(50)


def test_instance_noise_is_on_both_and_leaves_the_rows() -> None:
    """Its standard deviation is the given one, and the data are not changed by it."""
    seen: list[Tensor] = []
    losses, _, critic = losses_of(instance_noise=0.5, penalty="none", objective="nonsaturating")
    critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    big = RowBatch(torch.zeros(4000, E), None, None)
    losses.discriminator_loss(big)
    losses.generator_loss(big)
    assert float(seen[0][:4000].std()) == pytest.approx(0.5, rel=0.05)
    assert not big.x.any()
    assert not torch.equal(seen[0][4000:], seen[1])


def test_wasserstein_wants_a_slope_of_one() -> None:
    """The penalty is of its own kind: 0 for a critic of slope 1 everywhere, 1 for a flat one."""

    class Straight(nn.Module):
        def __init__(self, slope: float) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([slope, 0.0, 0.0]))

        def forward(self, x: Tensor, label: Any = None, lengths: Any = None) -> Tensor:
            return x @ self.weight

    generator, _ = nets("mlp")
    for slope, penalty in ((1.0, 0.0), (0.0, 1.0), (3.0, 4.0)):
        rules = Game(objective="wasserstein").rules(DEFAULTS, batch_norm=False)
        terms = GANLosses(generator, Straight(slope), lambda x, rng: x, rules, RNG).discriminator_loss(
            batch_of("mlp")
        )
        assert float(terms["penalty"].detach()) == pytest.approx(penalty, abs=1e-12)


def test_ema_generator() -> None:
    """With a half-life an average samples, without one the net itself does."""
    net = nn.Linear(2, 2)
    ema, plain = EMAGenerator(net, 3.0), EMAGenerator(net, 0.0)
    assert ema.sampler is not net and plain.sampler is net
    before = ema.sampler.weight.clone()
    with torch.no_grad():
        net.weight.add_(1.0)
    ema.update()
    plain.update()
    assert not torch.equal(before, ema.sampler.weight)
    assert not any(weight.requires_grad for weight in ema.sampler.parameters())


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
def test_penalties_through_every_kernel(cell: str) -> None:
    """Compiled or reference, a recurrent discriminator's penalised loss and its gradient are the same."""
    found = []
    for backend in ("reference", "auto"):
        torch.manual_seed(1)
        generator, critic = make_gan_nets(cell, features=E, outputs=E, code=Z, hidden=5, backend=backend)
        rules = Game().rules(DEFAULTS, batch_norm=False)
        torch.manual_seed(3)
        terms = GANLosses(generator, critic, lambda x, rng: x, rules, RNG).discriminator_loss(batch_of("gru"))
        assert float(terms["penalty"].detach()) > 1e-6
        found.append((terms["loss"].detach(), gradient_of(terms["loss"], critic)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-9, atol=1e-12)
    assert distance(found[0][1], found[1][1]) < 1e-8
