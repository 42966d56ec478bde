"""Long-memory tasks of Hochreiter & Schmidhuber (1997), drawn as tensors. Letters: B batch, T steps."""

import torch
from torch import Tensor
from torch.nn import functional as F

# Reber's grammar: state -> (symbol, next state); -1 is the end. Symbols are B T S X P V E.
SYMBOLS = "BTSXPVE"
REBER = {
    0: [("T", 1), ("P", 2)],
    1: [("S", 1), ("X", 3)],
    2: [("T", 2), ("V", 4)],
    3: [("X", 2), ("S", 5)],
    4: [("P", 3), ("V", 5)],
    5: [("E", -1)],
}


def adding(B: int, T: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Values in [0, 1] and two marks, one in each half; the target is the sum of the marked values.

    x (B, T, 2), y (B, 1). Always predicting 1 has a mean squared error of 1/6.
    """
    values = torch.rand(B, T, generator=generator)
    first = torch.randint(0, T // 2, (B,), generator=generator)
    second = torch.randint(T // 2, T, (B,), generator=generator)
    marks = F.one_hot(first, T) + F.one_hot(second, T)
    return torch.stack([values, marks], 2).float(), (values * marks).sum(1, keepdim=True)


def temporal_order(B: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Task 6a: which of X and Y stood at steps 10-20, and which at 50-60, of 100-110 symbols: 4 classes.

    x (B, 110, 8) one-hot of E B a b c d X Y, lengths (B,), y (B,).
    """
    lengths = torch.randint(100, 111, (B,), generator=generator)
    symbols = torch.randint(2, 6, (B, 110), generator=generator)
    rows = torch.arange(B)
    which = torch.randint(0, 2, (B, 2), generator=generator)
    symbols[:, 0] = 0
    symbols[rows, torch.randint(10, 21, (B,), generator=generator)] = 6 + which[:, 0]
    symbols[rows, torch.randint(50, 61, (B,), generator=generator)] = 6 + which[:, 1]
    symbols[rows, lengths - 1] = 1
    return F.one_hot(symbols, 8).float(), lengths, which[:, 0] * 2 + which[:, 1]


def embedded_reber(generator: torch.Generator) -> tuple[str, list[str]]:
    """A string of the embedded grammar, and after each of its symbols but the last all that may follow.

    The second symbol, T or P, comes again as the last but one: that is what must be remembered.
    """
    outer = "TP"[int(torch.randint(2, (1,), generator=generator))]
    inner, follow, state = "B", ["TP"], 0
    while state != -1:
        symbol, state = REBER[state][int(torch.randint(len(REBER[state]), (1,), generator=generator))]
        inner += symbol
        follow.append("" if state == -1 else "".join(each for each, _ in REBER[state]))
    return f"B{outer}{inner}{outer}E", ["TP", "B", *follow[:-1], outer, "E"]


def reber_batch(strings: list[str], follow: list[list[str]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One-hot x (B, T, 7), lengths (B,), the symbol that came next (B, T), and all that could (B, T, 7)."""
    lengths = torch.tensor([len(each) - 1 for each in strings])
    x = torch.zeros(len(strings), int(lengths.max()), 7)
    following = torch.zeros(x.shape[:2], dtype=torch.int64)
    legal = torch.zeros_like(x)
    for b, (string, options) in enumerate(zip(strings, follow, strict=True)):
        for t, symbol in enumerate(string[:-1]):
            x[b, t, SYMBOLS.index(symbol)] = 1
            following[b, t] = SYMBOLS.index(string[t + 1])
            for each in options[t]:
                legal[b, t, SYMBOLS.index(each)] = 1
    return x, lengths, following, legal
