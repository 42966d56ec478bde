"""The gradient hook runs once per step, between the backward pass and clipping, on the gradients of its player."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam

from regen.training import Player, alternate, make_optimizer

EPOCHS, RATE = 3, 0.05


def trained(toy: Any, hook: Any, clip: float | None, optimizer: str = "adam") -> Tensor:
    """The weights of a toy after training with `hook`."""
    torch.manual_seed(5)
    options = {"max_epochs": EPOCHS, "learning_rate": RATE, "generator": torch.Generator().manual_seed(0)}
    toy.train(toy.player(gradient_hook=hook), clip=clip, optimizer=optimizer, **options)
    return toy.weights()


def by_hand(toy: Any, clip: float | None, optimizer: str, twin: str = "") -> Tensor:
    """A plain loop that halves the gradients after `backward`; `twin` names a mistake to make in it."""
    torch.manual_seed(5)
    rule = make_optimizer(optimizer, toy.net.parameters(), RATE)
    toy.net.train()
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for batch in toy.batches.epoch(generator):
            rule.zero_grad()
            toy.loss(batch).backward()
            if clip and twin == "after clipping":
                clip_grad_norm_(toy.net.parameters(), clip)
            for weight in toy.net.parameters():
                weight.grad.mul_(1.0 if twin == "without the hook" else 0.5)
            if clip and twin != "after clipping":
                clip_grad_norm_(toy.net.parameters(), clip)
            rule.step()
    return toy.weights()


def halve(gradients: Sequence[Tensor]) -> None:
    """Halve the gradients in place."""
    for gradient in gradients:
        gradient.mul_(0.5)


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_hook_changes_the_gradients_before_clipping(toy: Any, optimizer: str, clip: float | None) -> None:
    """Halved gradients give the bits of a plain loop that halves them; a hook that does nothing changes nothing."""
    weights = trained(toy(), halve, clip, optimizer)
    assert torch.equal(weights, by_hand(toy(), clip, optimizer))
    assert torch.equal(
        trained(toy(), lambda gradients: None, clip, optimizer), trained(toy(), None, clip, optimizer)
    )


@pytest.mark.parametrize(("twin", "clip"), [("after clipping", 0.1), ("without the hook", None)])
def test_wrong_loops_differ(toy: Any, twin: str, clip: float | None) -> None:
    """A loop that calls the hook after clipping, or not at all, gives other weights."""
    assert not torch.equal(trained(toy(), halve, clip, "sgd"), by_hand(toy(), clip, "sgd", twin))


def test_it_is_called_once_per_step_of_its_player(toy: Any) -> None:
    """With the gradients of its own parameters, in their order, and never on the steps of another player."""
    a, b = toy(), toy(seed=1)
    calls: dict[str, list[int]] = {"a": [], "b": []}

    def hook(name: str, net: nn.Module) -> Any:
        def check(gradients: Sequence[Tensor]) -> None:
            own = [weight.grad for weight in net.parameters()]
            assert all(gradient is grad for gradient, grad in zip(gradients, own, strict=True))
            calls[name].append(len(gradients))

        return check

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"loss": (a.net(batch[0]) + b.net(batch[0]) - batch[1]).square().mean()}

    players = [
        Player(name, toy_.net, loss, gradient_hook=hook(name, toy_.net))
        for name, toy_ in (("a", a), ("b", b))
    ]
    a.train(*players, turns=alternate(a=3, b=1), max_steps=9, max_epochs=100, learning_rate=0.01)
    assert calls == {"a": [4] * 9, "b": [4] * 3}


@pytest.mark.parametrize(
    "make", [lambda weights: Adam(weights, 0.1, fused=True), lambda weights: SGD(weights, 0.1)]
)
def test_parameters_without_a_gradient_are_left_out(toy: Any, make: Any) -> None:
    """A layer that the loss does not use has no gradient to change."""
    net, one = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)]), toy(rows=8)
    counts: list[int] = []
    player = Player(
        "net",
        net,
        lambda batch: {"loss": net[0](batch[0]).square().mean()},
        make(net.parameters()),
        gradient_hook=lambda gradients: counts.append(len(gradients)),
    )
    assert len(one.batches) == 1
    one.train(player, max_epochs=2, learning_rate=0.1)
    assert counts == [2, 2]
