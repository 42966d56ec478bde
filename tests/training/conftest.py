"""A small problem, the same in every training test: rows, a net with dropout, and a feed in shuffled order."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from regen.training import Player


@dataclass
class Rows:
    """A feed of shuffled rows."""

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
        self.feed = Rows(self.inputs, self.targets, 8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 2))
        self.generator = torch.Generator().manual_seed(seed)
        self.before = self.weights()

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean squared error."""
        return (self.net(batch[0]) - batch[1]).square().mean()

    def player(self) -> Player:
        """The net as the only player."""
        return Player("net", self.net, lambda batch: {"loss": self.loss(batch)})

    def validate(self) -> dict[str, float]:
        """The loss over all rows."""
        return {"loss": float(self.loss((self.inputs, self.targets)))}

    def weights(self) -> Tensor:
        """All weights, in one copy."""
        return nn.utils.parameters_to_vector(self.net.parameters()).detach().clone()


@pytest.fixture
def toy() -> type[Toy]:
    """The maker of toys."""
    return Toy


@pytest.fixture(autouse=True)
def random_state() -> Iterator[None]:
    """Tests here seed torch's global generator; it is given back."""
    with torch.random.fork_rng(devices=[]):
        yield
