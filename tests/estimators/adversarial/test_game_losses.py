"""What both players minimise: their losses, penalties and scores, and that no gradient goes astray."""

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
FORMS = ("mlp", "gru", "conv", "normed")


def nets(form: str, classes: int = 0, pack: int = 1, **options: Any) -> tuple[Any, Any]:
    """Two players of one form, in float64."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"features": E, "outputs": E, "code": Z, "classes": classes, "pack": pack}
    if form == "gru":
        players = make_gan_nets("gru", hidden=5, **sizes, **options)
    elif form == "mlp":
        players = make_gan_nets("mlp", hidden=(8, 6), **sizes, **options)
    else:
        shape = {"features": 30, "outputs": 30, "shape": (1, 5, 6), "channels": 2, "norm": form == "normed"}
        players = make_gan_nets("conv", **sizes | shape, **options)
    return players[0].double(), players[1].double()


def batch_of(form: str, labelled: bool = False) -> RowBatch:
    """Real rows of one form."""
    shape = {"gru": (B, 5, E), "mlp": (B, E)}.get(form, (B, 30))
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return RowBatch(x, LENGTHS if form == "gru" else None, torch.arange(B) % K if labelled else None)


def duel(
    form: str = "mlp", labelled: bool = False, say: Any = None, **fields: Any
) -> tuple[GANLosses, Any, Any]:
    """A duel and its nets."""
    game = Game(**fields)
    generator, critic = nets(form, K if labelled else 0, game.pack, spectral_norm=game.spectral_norm)
    rules = game.rules(DEFAULTS, batch_norm=form == "normed")
    return GANLosses(generator, critic, say or (lambda outputs: outputs), rules), generator, critic


def by_hand(form: str, labelled: bool, twin: str = "", **fields: Any) -> tuple[Tensor, list[Tensor]]:
    """The discriminator's loss as anyone would write it, and its gradient; `twin` names a mistake."""
    game, batch = Game(**fields), batch_of(form, labelled)
    generator, critic = nets(form, K if labelled else 0, game.pack, spectral_norm=game.spectral_norm)
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
            slope = slope.mean(0, keepdim=True) if twin == "batch slope" else slope
            loss = loss + 0.7 / 2 * slope.square().reshape(len(slope) // game.pack or 1, -1).sum(1).mean()
    return loss.detach(), list(torch.autograd.grad(loss, list(critic.parameters())))


@pytest.fixture(autouse=True)
def double() -> Any:
    """Codes are drawn in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pulled(loss: Tensor, net: nn.Module) -> list[Tensor]:
    """The gradient of a loss for the weights of a net."""
    return list(torch.autograd.grad(loss, list(net.parameters())))


def apart(a: list[Tensor], b: list[Tensor]) -> float:
    """How far two gradients are apart, as a share of the longer."""
    sizes = [torch.cat([part.flatten() for part in each]) for each in (a, b)]
    return float((sizes[0] - sizes[1]).norm() / max(size.norm() for size in sizes))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("penalty", ["r1+r2", "r1", "r2", "none"])
@pytest.mark.parametrize("labelled", [False, True])
def test_the_discriminators_loss_is_the_one_anyone_would_write(
    form: str, penalty: str, labelled: bool
) -> None:
    """Value and gradient, whichever way they are computed: in one pass, in two, or by slopes known sooner."""
    game, _, critic = duel(form, labelled, penalty=penalty)
    torch.manual_seed(3)
    terms = game.discriminator_loss(batch_of(form, labelled))
    loss, gradient = by_hand(form, labelled, penalty=penalty)
    torch.testing.assert_close(terms["loss"].detach(), loss, rtol=1e-10, atol=1e-12)
    assert apart(pulled(terms["loss"], critic), gradient) < 1e-9
    for twin in [name for name in ("r1", "r2") if name in penalty] + ["labels"] * labelled:
        assert apart(by_hand(form, labelled, twin, penalty=penalty)[1], gradient) > 1e-4, twin


def test_a_slope_of_the_whole_batch_is_another_penalty() -> None:
    """The known trap, one norm for all rows, is seen."""
    _, right = by_hand("mlp", False)
    assert apart(by_hand("mlp", False, "batch slope")[1], right) > 1e-2


@pytest.mark.parametrize(("form", "pack"), [*product(("mlp", "gru"), (2, 3))])
def test_packs_are_penalised_as_one(form: str, pack: int) -> None:
    """A sample is a pack: one logit and one slope for its rows together."""
    game, _, critic = duel(form, pack=pack)
    torch.manual_seed(3)
    terms = game.discriminator_loss(batch_of(form))
    loss, gradient = by_hand(form, False, pack=pack)
    torch.testing.assert_close(terms["loss"].detach(), loss, rtol=1e-10, atol=1e-12)
    assert apart(pulled(terms["loss"], critic), gradient) < 1e-9


@pytest.mark.parametrize("objective", list(GAN_LOSSES))
@pytest.mark.parametrize("form", FORMS)
def test_no_gradient_leaks(objective: str, form: str) -> None:
    """The discriminator's loss gives the generator none; the generator moves through rows that are not detached."""
    game, generator, _ = duel(form, objective=objective)
    batch = batch_of(form)
    loss = game.discriminator_loss(batch)["loss"]
    loss.backward()
    assert all(weight.grad is None for weight in generator.parameters())
    assert any(size > 0 for size in _sizes(pulled(game.generator_loss(batch)["loss"], generator)))


def _sizes(gradient: list[Tensor]) -> list[float]:
    return [float(each.abs().max()) for each in gradient]


def test_the_twin_that_does_not_detach_leaks() -> None:
    """What the test above would see: without detach() the discriminator's loss pulls at the generator."""
    generator, critic = nets("mlp")
    batch = batch_of("mlp")
    fake = generator(torch.randn(B, Z))
    GAN_LOSSES["relativistic"].discriminator(critic(batch.x), critic(fake)).backward()
    assert all(weight.grad is not None for weight in generator.parameters())


@pytest.mark.parametrize("objective", list(GAN_LOSSES))
def test_the_generators_loss(objective: str) -> None:
    """By its formula on the same rows that the discriminator saw, with the discriminator as it is now."""
    game, generator, critic = duel(objective=objective)
    batch = batch_of("mlp")
    torch.manual_seed(3)
    game.discriminator_loss(batch)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(1.1)  # it has moved
    found = pulled(game.generator_loss(batch)["loss"], generator)
    torch.manual_seed(3)
    logit = critic(generator(torch.randn(B, Z)))
    wanted = pulled(GAN_LOSSES[objective].generator(critic(batch.x).detach(), logit), generator)
    assert apart(found, wanted) < 1e-9


def test_each_batch_has_its_own_rows() -> None:
    """Both players see the same generated rows of one batch, and others of the next; also when only one moves."""
    seen: list[Tensor] = []

    def say(outputs: Tensor) -> Tensor:
        seen.append(outputs)
        return outputs

    game, _, _ = duel(say=say)
    first, second = batch_of("mlp"), batch_of("mlp")
    game.discriminator_loss(first)
    game.generator_loss(first)
    assert len(seen) == 1
    game.generator_loss(first)  # the same batch again, after the generator moved: its rows are others now
    game.discriminator_loss(second)
    game.discriminator_loss(first)
    assert len(seen) == 4
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize(
    ("objective", "both"), [("relativistic", True), ("nonsaturating", False), ("wasserstein", False)]
)
def test_scores_of_both(objective: str, both: bool) -> None:
    """1 to 100; 50 for both where a flat discriminator cannot tell; the better told, the further apart."""
    game, _, critic = duel(objective=objective, penalty="none")
    batch = batch_of("mlp")
    told = game.discriminator_loss(batch)
    assert all(1 <= float(told[name]) <= 100 for name in ("score", "score_real"))
    assert ("score_real" in game.generator_loss(batch)) == both
    with torch.no_grad():
        for weight in critic.parameters():
            weight.zero_()
    flat = game.discriminator_loss(batch)
    assert (float(flat["score"]), float(flat["score_real"])) == (50.0, 50.0)
    assert float(told["score"]) != 50.0


def test_a_score_is_there_when_turns_ask_for_it() -> None:
    """Of logits that mean nothing alone the generator's score costs a pass, made only then."""
    batch = batch_of("mlp")
    plain, _, _ = duel(objective="wasserstein")
    asked, _, _ = duel(objective="wasserstein", turns="scores")
    assert "score" not in plain.generator_loss(batch)
    assert 1 <= float(asked.generator_loss(batch)["score"]) <= 100


def test_least_squares_scores_have_their_middle_at_a_half() -> None:
    """Its labels are 0 and 1: a logit of 1/2 is a guess."""
    game, _, critic = duel(objective="least_squares", penalty="none")
    with torch.no_grad():
        for weight in critic.parameters():
            weight.zero_()
        list(critic.parameters())[-1].fill_(0.5)
    assert float(game.discriminator_loss(batch_of("mlp"))["score"]) == pytest.approx(50)


def test_instance_noise_is_on_both_and_leaves_the_rows() -> None:
    """Its deviation is the one asked for, and the data are not changed by it."""
    seen: list[Tensor] = []
    game, _, critic = duel(instance_noise=0.5, penalty="none", objective="nonsaturating")
    critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    big = RowBatch(torch.zeros(4000, E), None, None)
    game.discriminator_loss(big)
    game.generator_loss(big)
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
        terms = GANLosses(generator, Straight(slope), lambda x: x, rules).discriminator_loss(batch_of("mlp"))
        assert float(terms["penalty"].detach()) == pytest.approx(penalty, abs=1e-12)


def test_followed() -> None:
    """With a half-life an average samples, without one the net itself does."""
    net = nn.Linear(2, 2)
    followed, plain = EMAGenerator(net, 3.0), EMAGenerator(net, 0.0)
    assert followed.sampler is not net and plain.sampler is net
    before = followed.sampler.weight.clone()
    with torch.no_grad():
        net.weight.add_(1.0)
    followed.update()
    plain.update()
    assert not torch.equal(before, followed.sampler.weight)
    assert not any(weight.requires_grad for weight in followed.sampler.parameters())


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
def test_penalties_through_every_kernel(cell: str) -> None:
    """Compiled or reference, a recurrent discriminator's penalised loss and its gradient are the same."""
    found = []
    for backend in ("reference", "auto"):
        torch.manual_seed(1)
        generator, critic = make_gan_nets(cell, features=E, outputs=E, code=Z, hidden=5, backend=backend)
        rules = Game().rules(DEFAULTS, batch_norm=False)
        torch.manual_seed(3)
        terms = GANLosses(generator, critic, lambda x: x, rules).discriminator_loss(batch_of("gru"))
        assert float(terms["penalty"].detach()) > 1e-6
        found.append((terms["loss"].detach(), pulled(terms["loss"], critic)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-9, atol=1e-12)
    assert apart(found[0][1], found[1][1]) < 1e-8
