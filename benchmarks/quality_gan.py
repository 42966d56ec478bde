"""Modes that GAN finds in a ring of 8 and a grid of 25, default settings, with the published table.

Usage: python benchmarks/quality_gan.py [--seeds 10] [--steps 20000] [--data ring grid]

The protocol is that of PacGAN (Lin et al. 2018, section 4.1), after VEEGAN (Srivastava et al. 2017): 100,000 points
around centres, of deviation 0.01 on a ring of radius 1, of 0.05 on a grid 2 apart; 2,500 generated points are scored.
One is good when it lies within 3 deviations of a centre; a mode is found when one good point is nearest to it;
reverse KL is that of the good points' shares of the modes against equal shares. A perfect generator has 98.9 % good
points and a KL of 0.0014 (ring) or 0.0048 (grid) from sampling alone; a higher share means modes made too small.

The published rows are theirs (10 trials, standard errors): generators of 4 x 400, discriminators of 3 x 200 maxout
units with 5 pieces, 400 passes at batches of 100. Ours is `regen.GAN()` as it comes but for the number of steps. The
seed draws the points, the weights and the samples. The last column is the processor time of the fit on one thread.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
import torch

import regen

POINTS, SAMPLES = 100_000, 2_500
PUBLISHED = {
    "ring": {
        "GAN": (6.3, 0.982, 0.45),
        "ALI": (6.6, 0.976, 0.36),
        "PacGAN2": (7.9, 0.956, 0.07),
        "PacGAN3": (7.8, 0.977, 0.10),
        "PacGAN4": (7.8, 0.959, 0.07),
    },
    "grid": {
        "GAN": (17.3, 0.948, 0.70),
        "ALI": (24.1, 0.957, 0.14),
        "PacGAN2": (23.8, 0.913, 0.13),
        "PacGAN3": (24.6, 0.942, 0.06),
        "PacGAN4": (24.8, 0.936, 0.04),
    },
}
"""Modes found, share of good points, reverse KL; PacGAN, table 1."""
RESULTS = Path(__file__).parent / "results" / "quality_gan.csv"


def centres(data: str) -> tuple[np.ndarray, float]:
    """(modes, 2) centres, and the deviation around each."""
    if data == "ring":
        angle = np.arange(8) * np.pi / 4
        return np.stack([np.cos(angle), np.sin(angle)], 1), 0.01
    side = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), 0.05


def points(data: str, seed: int) -> np.ndarray:
    """(100000, 2) real points."""
    rng = np.random.default_rng(seed)
    middle, deviation = centres(data)
    found = middle[rng.integers(len(middle), size=POINTS)] + deviation * rng.normal(size=(POINTS, 2))
    return found.astype(np.float32)


def scored(made: np.ndarray, data: str) -> tuple[int, float, float]:
    """Modes found, share of good points, reverse KL."""
    middle, deviation = centres(data)
    away = np.linalg.norm(made[:, None] - middle, axis=2)
    good = away.min(1) < 3 * deviation
    share = np.bincount(away.argmin(1)[good], minlength=len(middle)) / max(1, good.sum())
    some = share[share > 0]
    return len(some), float(good.mean()), float((some * np.log(some * len(middle))).sum())


def run(data: str, seed: int, steps: int) -> dict:
    real = points(data, seed)
    start = time.process_time()
    model = regen.GAN(max_epochs=10**6, random_state=seed, training={"max_steps": steps}).fit(real)
    spent = time.process_time() - start
    modes, good, kl = scored(model.sample(SAMPLES, random_state=seed), data)
    return {
        "data": data,
        "seed": seed,
        "steps": int(model.history_["step"].iloc[-1]),
        "modes": modes,
        "good": good,
        "reverse_kl": kl,
        "coverage": model.quality_["coverage"],
        "two_sample": model.quality_["two_sample"],
        "fit_cpu_s": spent,
    }


def show(data: str, rows: list[dict]) -> None:
    """Means and standard errors with the published ones."""
    count = len(centres(data)[0])
    print(f"\n{data:20}{'modes of ' + str(count):>16}{'good points':>16}{'reverse KL':>16}{'CPU s':>8}")

    def cell(name: str, digits: int, scale: float = 1.0) -> str:
        values = [scale * row[name] for row in rows]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        return f"{statistics.mean(values):.{digits}f} +- {error:.{digits}f}"

    own = f"{cell('modes', 1):>16}{cell('good', 1, 100):>14} %{cell('reverse_kl', 3):>16}"
    print(f"{'regen.GAN':20}{own}{statistics.mean(row['fit_cpu_s'] for row in rows):8.0f}")
    for name, (modes, good, kl) in PUBLISHED[data].items():
        print(f"{name:20}{modes:16.1f}{100 * good:14.1f} %{kl:16.2f}")
    whole = sum(row["modes"] == count for row in rows)
    least, most = min(row["good"] for row in rows), max(row["reverse_kl"] for row in rows)
    print(
        f"all modes in {whole} of {len(rows)} seeds; worst share of good points {100 * least:.1f} %, KL {most:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--data", nargs="+", choices=tuple(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"regen {regen.__version__}, torch {torch.__version__}, 1 thread, {args.steps} steps", flush=True)
    found: list[dict] = []
    args.out.parent.mkdir(exist_ok=True)
    for data in args.data:
        for seed in range(args.first, args.first + args.seeds):
            found.append(run(data, seed, args.steps))
            print(", ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
            with args.out.open("w", newline="") as file:
                table = csv.DictWriter(file, found[0])
                table.writeheader()
                table.writerows(found)
        show(data, [row for row in found if row["data"] == data])
    print(f"\nwritten to {args.out}")


if __name__ == "__main__":
    main()
