"""Speed of regen.nn against torch.nn and against loops over steps, on a grid of cells, T, B, I and H.

float32; a pass is forward and backward (the gradients of all weights, and of x with --input-grad; a first layer needs
none), or forward alone without gradients for "inference". Results are compared before they are timed: the output, and
every gradient. Then the contestants run in turn, A B C, A B C, and a point's ratio is the median of the ratios within
a round. Families, and their peers:

  lstm, rnn tanh, rnn relu, gru (also inference)    torch.nn
  lstm peephole, diagonal, jordan, gru before       a loop over steps: regen's backend "reference", and torchrecurrent
  lstm, rnn, gru ragged                             torch.nn on a PackedSequence; lengths uniform in 1..T, a pass
                                                    starts and ends with padded rows

    python benchmarks/recurrent.py                          a part of the grid, in minutes
    python benchmarks/recurrent.py --full [--cells lstm,gru] [--T 24] [--B 1,16] [--I 1] [--H 32,64] [--append]
    python benchmarks/recurrent.py --table                  only the table, of what was measured last

The part: 14 of the 216 points, from (T, B, I, H) = (24, 1, 1, 64) to (100, 128, 8, 512), every value of each at least
once. Writes benchmarks/results/recurrent.csv, with --append in addition to what it holds.
"""

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from measuring import peak, results
from measuring.contestants import FAMILIES, Contestant, Family, Point, operations, ours, peer
from measuring.timing import describe_load, in_turn
from torch import Tensor

import regen

RESULTS = Path(__file__).parent / "results" / "recurrent.csv"
GRID = {"T": (24, 100, 512), "B": (1, 16, 32, 128), "I": (1, 8, 64), "H": (16, 32, 64, 128, 256, 512)}
PART = [
    (24, 1, 1, 64), (24, 32, 1, 32), (24, 128, 8, 128), (24, 32, 64, 256), (100, 1, 8, 16), (100, 16, 8, 64),
    (100, 32, 1, 32), (100, 32, 64, 128), (100, 128, 64, 256), (100, 16, 64, 512), (100, 128, 8, 512),
    (512, 1, 1, 32), (512, 32, 8, 64), (512, 1, 64, 256),
]  # fmt: skip
OUTPUT_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4
"""Largest difference to the peer, as a part of the largest value (at least 1 for outputs)."""


def points(args: argparse.Namespace) -> list[Point]:
    """The requested points."""
    every = itertools.product(*GRID.values()) if args.full else PART
    wanted = {name: getattr(args, name) or values for name, values in GRID.items()}
    return [
        Point(*p) for p in every if all(value in wanted[name] for name, value in zip(GRID, p, strict=True))
    ]


def one_pass(contestant: Contestant, family: Family, x: Tensor, seen: Tensor) -> Callable[[], list[Tensor]]:
    """A function that runs the pass: the output, and with training the gradients of `parameters`, then of x."""
    leaves = [*contestant.parameters.values(), *([x] if x.requires_grad else [])]

    def train() -> list[Tensor]:
        output = contestant.forward(x)
        return [output, *torch.autograd.grad(output, leaves, seen)]

    def infer() -> list[Tensor]:
        with torch.no_grad():
            return [contestant.forward(x)]

    return train if family.train else infer


def named(contestant: Contestant, found: list[Tensor]) -> dict[str, Tensor]:
    """What a pass returned, by regen's names."""
    output, *grads = found
    count = len(contestant.parameters) if grads else 0
    by_name = dict(zip(contestant.parameters, grads[:count], strict=False))
    outputs = {"output": output} | (contestant.split(by_name) if by_name else {})
    return outputs | ({"x": grads[-1]} if len(grads) > count else {})


def differences(own: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, float]:
    """Largest difference of the output and of any gradient, relative as the tolerances say."""
    if own.keys() != other.keys():
        raise RuntimeError(f"gradients of {sorted(own)} against {sorted(other)}")
    found = {}
    for name, value in own.items():
        scale = max(other[name].abs().max().item(), 1.0 if name == "output" else 1e-30)
        found[name] = (value - other[name]).abs().max().item() / scale
    return found.pop("output"), max(found.values(), default=0.0)


def measure(family: Family, point: Point, args: argparse.Namespace) -> Iterator[dict[str, str]]:
    """A row of the CSV for each peer at this point. ValueError: the backend cannot run the family."""
    torch.manual_seed(sum(point))
    lengths = torch.randint(1, point.T + 1, (point.B,)) if family.ragged else None
    own, net = ours(family, point, lengths, args.backend)
    peers = {kind: peer(kind, family, point, lengths, net) for kind in family.peers}
    peers = {kind: contestant for kind, contestant in peers.items() if contestant is not None}
    x = torch.randn(point.T * point.B * point.I).view(point.B, point.T, point.I)
    x.requires_grad_(family.train and args.input_grad)
    seen = torch.randn(point.B, point.T, point.H)
    passes = {"ours": one_pass(own, family, x, seen)}
    passes |= {kind: one_pass(contestant, family, x, seen) for kind, contestant in peers.items()}
    expected = named(own, passes["ours"]())
    errors = {kind: differences(expected, named(peers[kind], passes[kind]())) for kind in peers}
    wide = args.fma is not None and point.H >= 128 and point.B >= 64 and family.products[1]
    times = in_turn(passes | ({"peak": args.fma} if wide else {}), args.seconds)
    steps = point.T * point.B if lengths is None else int(lengths.sum())
    work = operations(family, point, steps, args.input_grad)
    speed = work / statistics.median(times["ours"])
    row = {"family": family.name, "input_grad": args.input_grad, "backend": net.backend_.partition(":")[0]}
    row |= point._asdict() | {"threads": torch.get_num_threads(), "rounds": len(times["ours"])}
    row |= {"ours_s": f"{statistics.median(times['ours']):.4g}", "gflops": f"{speed / 1e9:.4g}"}
    if wide:
        peaks = [args.fma_operations / seconds for seconds in times["peak"]]
        shares = [work / mine / most for mine, most in zip(times["ours"], peaks, strict=True)]
        row |= {
            "peak_gflops": f"{statistics.median(peaks) / 1e9:.4g}",
            "share": f"{statistics.median(shares):.4g}",
        }
    for kind, (output_error, gradient_error) in errors.items():
        ratios = [other / mine for other, mine in zip(times[kind], times["ours"], strict=True)]
        found = {"peer": kind, "peer_s": f"{statistics.median(times[kind]):.4g}"}
        found |= {"ratio": f"{statistics.median(ratios):.4g}"}
        found |= {"output_error": f"{output_error:.2g}", "gradient_error": f"{gradient_error:.2g}"}
        yield {column: str(value) for column, value in (row | found).items()}


def run(family: Family, args: argparse.Namespace, rows: dict[tuple[str, ...], dict[str, str]]) -> bool:
    """Measure all points of a family into `rows`, saying each; whether all results agreed."""
    agreed = True
    for point in points(args):
        try:
            measured = list(measure(family, point, args))
        except ValueError as problem:
            print(f"{family.name:15}left out: {problem}", flush=True)
            return agreed
        for row in measured:
            differs = float(row["output_error"]) > OUTPUT_TOLERANCE
            differs = differs or float(row["gradient_error"]) > GRADIENT_TOLERANCE
            agreed = agreed and not differs
            rows[tuple(row[column] for column in results.KEY)] = row
            line = f"{float(row['ours_s']) * 1e3:10.3f} ms{float(row['peer_s']) * 1e3:10.3f} ms"
            line += f"{float(row['ratio']):8.2f}" + ("   RESULTS DIFFER" if differs else "")
            print(f"{family.name:15}{row['peer']:15}{point!s:26}{line}", flush=True)
        results.write(RESULTS, rows)
    return agreed


def flags() -> argparse.Namespace:
    """The command line."""
    numbers = lambda text: tuple(int(part) for part in text.split(","))  # noqa: E731
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all 216 points a family: hours")
    parser.add_argument("--cells", help="families, such as 'lstm,gru ragged'")
    for name, values in GRID.items():
        parser.add_argument(f"--{name}", type=numbers, help=f"of {','.join(map(str, values))}")
    parser.add_argument("--input-grad", action="store_true", help="gradients to x as well")
    parser.add_argument("--backend", default="native", help="of regen: native, auto, torch or reference")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for both sides")
    parser.add_argument("--seconds", type=float, default=0.6, help="a point, after one pass of each")
    parser.add_argument("--append", action="store_true", help="keep the rows that stand in the file")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    return parser.parse_args()


def main() -> None:
    args = flags()
    known = {family.name: family for family in FAMILIES}
    chosen = args.cells.split(",") if args.cells else list(known)
    if unknown := [name for name in chosen if name not in known]:
        sys.exit(f"No family {unknown[0]!r}; there are {', '.join(known)}.")
    rows = results.read(RESULTS) if args.append or args.table else {}
    if args.table:
        return results.show(rows.values())
    torch.set_num_threads(args.threads)
    args.fma = peak.fma_loop(args.threads)
    args.fma_operations = args.fma() if args.fma else 0.0
    print(
        f"regen {regen.__version__}, backend {args.backend}; torch {torch.__version__}; {args.threads} threads"
    )
    print(describe_load(args.threads), end="")
    loop = f"{peak.rate(args.fma) / 1e9:.0f} GFLOP/s" if args.fma else "not measured, no C compiler"
    print(f"multiply-add loop {loop}; torch.mm of 2048 x 2048 {peak.rate(peak.product()) / 1e9:.0f} GFLOP/s")
    print(f"{'family':15}{'peer':15}{'':26}{'regen':>13}{'peer':>13}{'ratio':>8}", flush=True)
    agreed = [run(known[name], args, rows) for name in chosen]
    results.show(rows.values())
    if not all(agreed):
        sys.exit("Results differ by more than the tolerance; see above.")


if __name__ == "__main__":
    main()
