"""Steps of GAN and DCGAN compared with the loops of tutorials, with equal nets, in one run.

dcgan  3 x 32 x 32, 64 channels, batch norm, batches of 64, non-saturating loss, Adam with beta1 0.5, discriminator
       and generator in turn: the loop of PyTorch's DCGAN example, with nets and a start that are ours, on a tensor
       and on a DataLoader. regen makes the same moves, with no penalty and no average; a third row has its average.
points a ring of 8 modes, 4 x 64 ReLU nets and batches of 128: relativistic loss, both penalties derived by autograd,
       an average of the generator, Adam: the loop that one writes after the paper (Huang et al. 2024).

First all are trained and compared: by the distance between the mean and deviation of generated and of real pixels,
and by the share of good points (see quality_gan.py). Then they take turns, round by round; seconds are those of the
processor, and what is compared is the median of the rounds' ratios, so that a load of the machine falls on all alike.

    python benchmarks/gan_speed.py [--rounds 5] [--what dcgan points] [--threads 1]
"""

import argparse
import copy
import csv
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from quality_gan import points, scored
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import regen
from regen.nets.adversarial import make_gan_nets

IMAGE, CHANNELS, CODE = (3, 32, 32), 64, 100
STEPS = {"dcgan": 8, "points": 400}
"""Moves of each player that are timed."""
LEARNED = {"dcgan": 60, "points": 3000}
"""Moves after which results are compared."""
BATCH = {"dcgan": 64, "points": 128}
NO_CHECK = 10**9
Batches = Callable[[Tensor, int], Iterator[Tensor]]


def on_tensor(x: Tensor, batch: int) -> Iterator[Tensor]:
    """Index batches for ever."""
    while True:
        for index in torch.randperm(len(x)).split(batch):
            if len(index) == batch:
                yield x[index]


def on_loader(x: Tensor, batch: int) -> Iterator[Tensor]:
    """Those of a DataLoader."""
    loader = DataLoader(TensorDataset(x), batch, shuffle=True, drop_last=True)
    while True:
        for (rows,) in loader:
            yield rows


def textures() -> np.ndarray:
    """(2048, 3, 32, 32) float32 in [0, 1]: waves of random direction, length and colour."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] / 32
    way, phase = rng.uniform(-12, 12, (2, 2048, 1, 1, 1)), rng.uniform(0, 6.3, (2048, 3, 1, 1))
    return (0.5 + 0.4 * np.sin(way[0] * y + way[1] * x + phase)).astype(np.float32)


IMAGES = textures()
POINTS = points("ring", 0)


def plain_dcgan(steps: int, batches: Batches) -> np.ndarray:
    """PyTorch's example; returns generated images."""
    torch.manual_seed(0)
    features = int(np.prod(IMAGE))
    netG, netD = make_gan_nets(
        "conv", features=features, outputs=features, code=CODE, shape=IMAGE, norm=True, channels=CHANNELS
    )
    optimizerD = torch.optim.Adam(netD.parameters(), 2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), 2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    rows = batches(torch.from_numpy(IMAGES).flatten(1) * 2 - 1, BATCH["dcgan"])
    for _ in range(steps):
        real = next(rows)
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        netD.zero_grad()
        criterion(netD(real), ones).backward()
        fake = netG(torch.randn(len(real), CODE)).tanh()
        criterion(netD(fake.detach()), zeros).backward()
        optimizerD.step()
        netG.zero_grad()
        criterion(netD(fake), ones).backward()
        optimizerG.step()
    with torch.no_grad():
        return (netG.eval()(torch.randn(256, CODE)).tanh().numpy() + 1) / 2


def our_dcgan(steps: int, average: float = 0.0) -> np.ndarray:
    """The same by regen; generated images."""
    game = {
        "objective": "nonsaturating",
        "penalty": "none",
        "ema_half_life": average,
        "quality_every": NO_CHECK,
    }
    model = regen.DCGAN(
        code=CODE,
        channels=CHANNELS,
        game=game,
        max_epochs=NO_CHECK,
        learning_rate=2e-4,
        random_state=0,
        training={"batch_size": BATCH["dcgan"], "max_steps": steps, "validation": 0.0, "clip": None},
    ).fit(IMAGES)
    return model.sample(256, random_state=0).reshape(256, -1)


def plain_points(steps: int, batches: Batches) -> np.ndarray:
    """A loop after the paper; generated points."""
    torch.manual_seed(0)
    middle, spread = POINTS.mean(0), POINTS.std(0)
    netG, netD = make_gan_nets("mlp", features=2, outputs=2, code=2, hidden=(64,) * 4)
    optimizerD = torch.optim.Adam(netD.parameters(), 4e-3, betas=(0.0, 0.99))
    optimizerG = torch.optim.Adam(netG.parameters(), 4e-3, betas=(0.0, 0.99))
    rates = [
        torch.optim.lr_scheduler.LambdaLR(each, lambda k: 1 / (1 + k / 1000))
        for each in (optimizerD, optimizerG)
    ]
    average = copy.deepcopy(netG)
    rows = batches(torch.from_numpy((POINTS - middle) / spread), BATCH["points"])
    for k in range(steps):
        real = next(rows).requires_grad_()
        fake = netG(torch.randn(len(real), 2)).detach().requires_grad_()
        optimizerD.zero_grad()
        real_logits, fake_logits = netD(real), netD(fake)
        (r1,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
        (r2,) = torch.autograd.grad(fake_logits.sum(), fake, create_graph=True)
        penalty = r1.square().sum(1).mean() + r2.square().sum(1).mean()
        (F.softplus(fake_logits - real_logits).mean() + 0.25 * penalty).backward()
        optimizerD.step()
        optimizerG.zero_grad()
        fake = netG(torch.randn(len(real), 2))
        F.softplus(netD(real).detach() - netD(fake)).mean().backward()
        optimizerG.step()
        for each in rates:
            each.step()
        with torch.no_grad():
            keep = 0.5 ** (1 / min(500, 0.05 * (k + 1)))
            for slow, fast in zip(average.parameters(), netG.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
    with torch.no_grad():
        return average(torch.randn(2500, 2)).numpy() * spread + middle


def our_points(steps: int) -> np.ndarray:
    """The same by regen."""
    model = regen.GAN(
        code=2,
        hidden=(64,) * 4,
        output="real",
        game={"penalty_weight": 0.5, "quality_every": NO_CHECK},
        max_epochs=NO_CHECK,
        learning_rate=4e-3,
        random_state=0,
        training={"batch_size": BATCH["points"], "max_steps": steps, "validation": 0.0, "clip": None},
    ).fit(POINTS)
    return model.sample(2500, random_state=0)


CONTESTANTS: dict[str, dict[str, Callable[[int], np.ndarray]]] = {
    "dcgan": {
        "regen.DCGAN": our_dcgan,
        "regen.DCGAN, average": lambda steps: our_dcgan(steps, 500.0),
        "tutorial loop, tensor": lambda steps: plain_dcgan(steps, on_tensor),
        "tutorial loop, DataLoader": lambda steps: plain_dcgan(steps, on_loader),
    },
    "points": {
        "regen.GAN": our_points,
        "plain loop, tensor": lambda steps: plain_points(steps, on_tensor),
        "plain loop, DataLoader": lambda steps: plain_points(steps, on_loader),
    },
}


def learned(what: str, made: np.ndarray) -> str:
    """What is compared before anything is timed."""
    if what == "points":
        modes, good, _ = scored(made, "ring")
        return f"{modes} modes, {100 * good:.0f} % good"
    real = IMAGES.reshape(len(IMAGES), -1)
    away = np.abs(made.mean(0) - real.mean(0)).mean(), np.abs(made.std(0) - real.std(0)).mean()
    return f"off by {away[0]:.3f}, {away[1]:.3f}"


def seconds(work: Callable[[int], np.ndarray], steps: int) -> float:
    """Processor time of that many steps, less that of what is done once."""

    def spent(count: int) -> float:
        start = time.process_time()
        work(count)
        return time.process_time() - start

    return spent(steps + 1) - spent(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", nargs="+", choices=tuple(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    print(
        f"regen {regen.__version__}, torch {torch.__version__}, {args.threads} thread(s), {args.rounds} rounds"
    )
    for what in args.what:
        steps = STEPS[what]
        words = {name: learned(what, run(LEARNED[what])) for name, run in CONTESTANTS[what].items()}
        times: dict[str, list[float]] = {name: [] for name in CONTESTANTS[what]}
        for _ in range(args.rounds):
            for name, run in CONTESTANTS[what].items():
                times[name].append(seconds(run, steps))
        own = next(iter(times.values()))
        with (results / f"gan_speed_{what}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["what", "steps_per_cpu_s", "regen_is_faster_by", "learned"])
            print(
                f"{what:30}{'steps a second':>16}{'over regen':>12}   after {LEARNED[what]} steps", flush=True
            )
            for name, taken in times.items():
                rate = steps / statistics.median(taken)
                slower = statistics.median(t / o for t, o in zip(taken, own, strict=True))
                table.writerow([name, rate, slower, words[name]])
                print(f"{name:30}{rate:16.1f}{slower:12.2f}   {words[name]}", flush=True)


if __name__ == "__main__":
    main()
