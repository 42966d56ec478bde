"""Stacked MNIST: how many of its 1,000 modes a generator finds, against steps, with the published figures.

Usage: REGEN_DATA=path python benchmarks/quality_dcgan.py [--nets tiny dcgan] [--steps 30000] [--every 2000]

An image of three channels shows a digit in each, 1,000 combinations; a net that reads digits, whose accuracy is
printed, names it. Modes are the combinations that 25,600 generated images show; KL is that of their shares against
equal ones, natural logarithm. A perfect sampler of real digits has 1,000 modes and a KL of 0.024.

tiny   the protocol of Metz et al. (2017) and of PacGAN (Lin et al. 2018), where the discriminator has a quarter of
       the generator's channels: convolutions of 3 x 3, in the generator 64-32-16-8 channels with batch norm, in the
       discriminator 2-4-8, code of 256, batches of 128. Published after 500,000 steps on digits drawn anew: DCGAN
       78.5 modes, KL 5.21; PacGAN4 667.4 and 1.81; unrolled GAN 327.2 and 4.66. Ours has no batch norm in the
       discriminator, and 60,000 triples, in which every training digit stands in every channel once.
dcgan  `regen.DCGAN` with --channels, as it comes otherwise; batches of 64. The published nets are 64 channels wide:
       after 100,000 steps DCGAN 78.9 modes and KL 4.50, PacDCGAN2 1,000 and 0.06; R3GAN's losses 1,000 and 0.078.

Measured, seed 0, on one thread: dcgan with 16 channels 367 modes and KL 2.77 after 1,000 steps, 950 and 0.88 after
3,000, 999 and 0.24 after 6,000, 1,000 and 0.125 after 8,000, 1,000 and 0.094 after 10,000, 11 minutes of processor
time. tiny goes up and down, between 6 and 61 modes until 14,000 steps, 14 minutes; 500,000 would take 9 hours.

A row is written whenever --every steps are done, with the time spent; a checkpoint lies under build/bench, and a run
that was cut off goes on from it, as one with more --steps does.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from measuring.curve import curve
from measuring.digits import folder, mnist, read, reader
from torch import Tensor, nn

import regen
from regen._check import Constraint
from regen.estimators._modalities import Modality, modality_of
from regen.estimators.adversarial._base import GAN_CONSTRAINTS, AdversarialEstimator
from regen.nets.mlp import init_weight

HERE = Path(__file__).parent
SAMPLES, BLOCK, SLOPE = 25_600, 3_200, 0.3
BATCH = {"tiny": 128, "dcgan": 64}
PUBLISHED = {"tiny": "PacGAN4 667.4 modes, KL 1.81", "dcgan": "PacDCGAN2 1,000 modes, KL 0.06"}


class TinyGenerator(nn.Module):
    """Code of 256 in, (B, 3 * 28 * 28) out: Lin et al.'s generator, 64-32-16-8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.code = 256
        self.spread = nn.Linear(256, 64 * 16)
        up = [nn.ConvTranspose2d(a, a // 2, 3, 2, 1, k) for a, k in ((64, 0), (32, 1), (16, 1))]
        rest = [part for each in up for part in (each, nn.BatchNorm2d(each.out_channels), nn.ReLU())]
        self.rest = nn.Sequential(nn.BatchNorm2d(64), nn.ReLU(), *rest, nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, z: Tensor, label: Tensor | None = None, steps: int | None = None) -> Tensor:
        return self.rest(self.spread(z).view(-1, 64, 4, 4)).flatten(1)  # type: ignore[no-any-return]


class TinyCritic(nn.Module):
    """(B, 3 * 28 * 28) in, logit out: 2-4-8 channels."""

    backend_ = "torch: convolutions"

    def __init__(self) -> None:
        super().__init__()
        wide = ((3, 2), (2, 4), (4, 8))
        layers = [nn.Conv2d(a, b, 3, 2, 1) for a, b in wide]
        for layer in layers:
            init_weight(layer.weight, "relu", 9 * layer.in_channels, layer.out_channels)
        self.rest = nn.Sequential(
            *(part for layer in layers for part in (layer, nn.LeakyReLU(SLOPE))), nn.Flatten()
        )
        self.logit = nn.Linear(8 * 16, 1)

    def forward(self, x: Tensor, label: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        return self.logit(self.rest(x.view(-1, 3, 28, 28)))[:, 0]  # type: ignore[no-any-return]


@final
class Tiny(AdversarialEstimator):
    """`regen.DCGAN` with these nets."""

    constraints: ClassVar[Mapping[str, Constraint]] = GAN_CONSTRAINTS
    default_learning_rate: ClassVar[float] = 1e-3
    default_game: ClassVar[Mapping[str, float]] = {
        "penalty_weight": 1.0,
        "ema_half_life": 500,
        "beta1": 0.0,
        "beta2": 0.99,
    }

    def __init__(
        self,
        code: int = 256,
        game: Any = None,
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Any = None,
    ) -> None:
        self.code, self.game = code, game
        self.max_epochs, self.learning_rate = max_epochs, learning_rate
        self.random_state, self.training = random_state, training

    def _modality_name(self, X: Any) -> str:
        return modality_of(X, "conv", None)

    def _networks(self, modality: Modality[Any]) -> tuple[nn.Module, nn.Module]:
        return TinyGenerator(), TinyCritic()


def stacked(digits: np.ndarray) -> np.ndarray:
    """(60000, 3, 28, 28) uint8: every digit once in every channel."""
    rng = np.random.default_rng(0)
    return np.stack([digits[rng.permutation(len(digits))] for _ in range(3)], 1)


def modes(model: Any, net: nn.Module) -> dict[str, float]:
    """How many combinations of digits the images of `model` show, and the KL of their shares."""
    count = np.zeros(1000)
    for seed in range(SAMPLES // BLOCK):
        images = torch.from_numpy(model.sample(BLOCK, random_state=seed)).float() / 255
        a, b, c = (read(net, images[:, k]).numpy() for k in range(3))
        count += np.bincount(100 * a + 10 * b + c, minlength=1000)
    share = count[count > 0] / count.sum()
    return {"modes": len(share), "kl": float((share * np.log(share * 1000)).sum())}


def competitor(nets: str, channels: int, **args: Any) -> Any:
    return Tiny(**args) if nets == "tiny" else regen.DCGAN(channels=channels, **args)


def run(nets: str, args: argparse.Namespace, images: np.ndarray, net: nn.Module) -> None:
    """Train for --every steps, count modes, and go on."""
    game = {"quality_every": 10**9} | ({} if args.penalty is None else {"penalty_weight": args.penalty})
    rate = args.rate if args.rate == "auto" else float(args.rate)
    plan = {"validation": 0.0, "batch_size": BATCH[nets], "schedule": args.schedule, "device": args.device}

    def fit(steps: int, kept: str) -> Any:
        training = {**plan, "checkpoint": kept, "max_steps": steps}
        options = {"game": game, "max_epochs": 10**6, "learning_rate": rate, "random_state": args.seed}
        return competitor(nets, args.channels, training=training, **options).fit(images)

    out = HERE / "results" / f"quality_dcgan_{nets}{args.name}.csv"
    steps = range(args.every, args.steps + 1, args.every)
    curve(fit, lambda model: modes(model, net), steps, out, {"nets": nets, "seed": args.seed})
    print(f"{nets}: published {PUBLISHED[nets]}; written to {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=tuple(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--every", type=int, default=2_000)
    parser.add_argument("--channels", type=int, default=16, help="of regen.DCGAN")
    parser.add_argument("--rate", default="auto")
    parser.add_argument("--penalty", type=float, default=None)
    parser.add_argument("--schedule", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="", help="of the run, in the names of its files")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    path = folder()
    net, accuracy = reader(path)
    print(
        f"regen {regen.__version__}, torch {torch.__version__}; digits are read with accuracy {accuracy:.4f}"
    )
    images = stacked(mnist(path)[0])
    for nets in args.nets:
        run(nets, args, images, net)


if __name__ == "__main__":
    main()
