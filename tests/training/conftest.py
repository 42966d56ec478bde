"""A small problem, the same in every training test: rows, a net with dropout, and batches in shuffled order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.training import History, Player, Schedule, Training, alternate, solo, train


@dataclass
class ShuffledRows:
    """Batches of shuffled rows."""

    inputs: Tensor
    targets: Tensor
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.inputs) // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches in a new order."""
        for index in torch.randperm(len(self.inputs), generator=generator).split(self.batch_size):
            yield self.inputs[index], self.targets[index]


class Toy:
    """Makes the pieces of one run; two toys of one seed are equal."""

    def __init__(self, seed: int = 0, rows: int = 52, dropout: float = 0.25) -> None:
        draw = torch.Generator().manual_seed(seed + 100)
        self.inputs = torch.randn(rows, 3, generator=draw)
        self.targets = torch.stack([self.inputs.sum(1).sin(), self.inputs.prod(1)], 1)
        self.batches = ShuffledRows(self.inputs, self.targets, 8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 2))
        self.generator = torch.Generator().manual_seed(seed)
        self.before = self.weights()

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean squared error."""
        return (self.net(batch[0]) - batch[1]).square().mean()

    def player(self, loss: Callable[[Any], dict[str, Tensor]] | None = None, **fields: Any) -> Player:
        """The net as the only player, with its own loss or another."""
        return Player("net", self.net, loss or (lambda batch: {"loss": self.loss(batch)}), **fields)

    def train(
        self,
        *players: Player,
        turns: Schedule | None = None,
        max_epochs: int = 6,
        learning_rate: float = 0.02,
        validate: Callable[[], dict[str, float]] | None = None,
        generator: torch.Generator | None = None,
        **fields: Any,
    ) -> History:
        """Train `players`, by default the net alone, in these turns and with the training options `fields`."""
        players = players or (self.player(),)
        return train(
            list(players),
            turns or solo(players[0].name),
            self.batches,
            Training(**fields),
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            validate=validate,
            generator=generator or self.generator,
        )

    def validate(self) -> dict[str, float]:
        """The loss over all rows."""
        return {"loss": float(self.loss((self.inputs, self.targets)))}

    def weights(self) -> Tensor:
        """All weights, in one copy."""
        return nn.utils.parameters_to_vector(self.net.parameters()).detach().clone()


class Crash(Exception):
    """The process ends."""


class Carried:
    """A state that a loss carries from batch to batch."""

    def __init__(self) -> None:
        self.state = torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        """The state."""
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.state = state["state"]


class Experiment:
    """One run from scratch: fresh nets, fresh generators; `crash` is the move at which it ends."""

    def __init__(self, crash: int | None = None, players: int = 1, seed: int = 5) -> None:
        self.toys = [Toy(seed=number) for number in range(players)]
        self.carried = [Carried() for _ in self.toys]
        self.crash, self.moves, self.evaluations = crash, 0, 0
        self.generator = torch.Generator().manual_seed(seed)
        self.bad_moves: set[int] = set()
        torch.manual_seed(seed)

    def loss(self, number: int) -> Callable[[Any], dict[str, Tensor]]:
        """The loss of one player; it runs through the others, and carries its state."""

        def compute(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
            self.moves += 1
            if self.moves == self.crash:
                raise Crash
            carried = self.carried[number]
            output = sum(toy.net(batch[0]) for toy in self.toys) + 0.5 * carried.state
            carried.state = output.detach().mean(0)
            loss = (output - batch[1]).square().mean()
            return {
                "loss": loss * torch.nan if self.moves in self.bad_moves else loss,
                "half": loss / 2,
                "same": loss,
            }

        return compute

    def validate(self) -> dict[str, float]:
        """A loss with noise in it, so that torch's generator matters in validation as well."""
        return {
            "loss": float(self.toys[0].loss((self.toys[0].inputs, self.toys[0].targets)) + torch.rand(()))
        }

    def run(
        self, max_epochs: int = 5, fingerprint: str = "rows", learning_rate: float = 0.03, **fields: Any
    ) -> History:
        """Train."""
        players = [
            Player(f"p{n}", toy.net, self.loss(n), stateful=self.carried[n])
            for n, toy in enumerate(self.toys)
        ]
        schedule = solo("p0") if len(players) == 1 else alternate(p0=2, p1=1)
        return train(
            players,
            schedule,
            self.toys[0].batches,
            Training(**fields),
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            validate=self.validate,
            generator=self.generator,
            fingerprint=fingerprint,
        )

    def weights(self) -> Tensor:
        """All weights."""
        return torch.cat([toy.weights() for toy in self.toys])


@pytest.fixture
def toy() -> type[Toy]:
    """The maker of toys."""
    return Toy


@pytest.fixture
def experiment() -> type[Experiment]:
    """The maker of runs that can crash."""
    return Experiment


@pytest.fixture
def crash() -> type[Crash]:
    """What a run raises at its crash."""
    return Crash


@pytest.fixture(autouse=True)
def random_state() -> Iterator[None]:
    """Tests here seed torch's global generator; it is given back."""
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the numbers every 3 batches, and write every time."""
    monkeypatch.setattr("regen.training.loop.CHECK_EVERY", 3)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_EVERY", 0.0)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_SHARE", float("inf"))
