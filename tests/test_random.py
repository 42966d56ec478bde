"""The generators of a fit: the numbers of torch's global ones of the same seed, which are left alone."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regen._random import Generators, dropout, fit_generators, generator_of

CPU = torch.device("cpu")
X = torch.linspace(-1, 1, 12).view(3, 4)
DRAWS: dict[str, Callable[[], Any]] = {
    "linear": lambda: list(nn.Linear(3, 4).parameters()),
    "lstm": lambda: list(nn.LSTM(3, 4, 2).parameters()),
    "embedding": lambda: list(nn.Embedding(3, 4).parameters()),
    "attention": lambda: list(nn.MultiheadAttention(4, 2).parameters()),
    "spectral norm": lambda: list(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)).buffers()),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 3)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(3, 3)),
    "sparse": lambda: nn.init.sparse_(torch.empty(3, 3), 0.5),
    "dropout": lambda: F.dropout(X, 0.3),
    "dropout of channels": lambda: F.dropout1d(X, 0.5),
    "alpha dropout": lambda: F.feature_alpha_dropout(X, 0.5, True),
    "dropout within lstm": lambda: nn.LSTM(3, 4, 2, dropout=0.5)(torch.ones(5, 2, 3))[0],
    "dropout within attention": lambda: nn.MultiheadAttention(4, 2, dropout=0.5)(X, X, X)[0],
    "dropout of scores": lambda: F.scaled_dot_product_attention(X[None], X[None], X[None], dropout_p=0.5),
    "rrelu": lambda: F.rrelu(X, training=True),
    "gumbel": lambda: F.gumbel_softmax(X),
    "pool": lambda: nn.FractionalMaxPool2d(2, output_size=2)(torch.arange(25.0).view(1, 1, 5, 5)),
    "rand": lambda: torch.rand(3),
    "rand of float64": lambda: torch.rand(3, 2, dtype=torch.float64, device="cpu"),
    "randn": lambda: torch.randn(3, requires_grad=True),
    "randint": lambda: torch.randint(5, (4,)),
    "randint from": lambda: torch.randint(2, 5, (4,)),
    "randperm": lambda: torch.randperm(7),
    "rand_like": lambda: torch.rand_like(X),
    "randn_like": lambda: torch.randn_like(X.T),
    "randint_like": lambda: torch.randint_like(X, 9),
    "randint_like from": lambda: torch.randint_like(X, 2, 9),
    "normal": lambda: torch.normal(X, X.abs()),
    "normal of numbers": lambda: torch.normal(0.0, 2.0, (3,)),
    "bernoulli": lambda: torch.bernoulli(X.abs()),
    "poisson": lambda: torch.poisson(X.abs()),
    "binomial": lambda: torch.binomial(torch.full((3,), 5.0), torch.full((3,), 0.5)),
    "multinomial": lambda: torch.multinomial(X.abs(), 2),
    "exponential": lambda: torch.empty(3).exponential_(),
    "cauchy": lambda: torch.empty(3).cauchy_(),
    "geometric": lambda: torch.empty(3).geometric_(0.5),
    "log normal": lambda: torch.empty(3).log_normal_(),
    "integers": lambda: torch.empty(3).random_(7),
    "gamma": lambda: torch.distributions.Gamma(torch.ones(3), torch.ones(3)).sample(),
    "dirichlet": lambda: torch.distributions.Dirichlet(torch.ones(3)).sample(),
}


def numbers(drawn: Any) -> Tensor:
    """Everything drawn, in one tensor."""
    parts = drawn if isinstance(drawn, list) else [drawn]
    return torch.cat([part.detach().double().flatten() for part in parts])


@pytest.fixture(autouse=True)
def _restored() -> Any:
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("name", DRAWS)
def test_everything_that_torch_draws_is_redirected(name: str) -> None:
    """The numbers of the global generator after ``manual_seed``, twice in a row, and its state is as it was."""
    torch.manual_seed(7)
    expected = [numbers(DRAWS[name]()) for _ in range(2)]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    with Generators(7).redirecting():
        found = [numbers(DRAWS[name]()) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, found, expected))
    other = numbers(DRAWS[name]())
    assert not torch.equal(torch.get_rng_state(), before) and other.shape == found[0].shape, "it does draw"


def test_a_given_generator_is_kept() -> None:
    """A draw with a generator of its own is not redirected."""
    own, generators = torch.Generator().manual_seed(3), Generators(7)
    with generators.redirecting():
        found = torch.rand(3, generator=own)
    assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(generators.on(CPU).get_state(), torch.Generator().manual_seed(7).get_state())


def test_nothing_is_drawn_on_the_meta_device() -> None:
    """Networks without memory, which weights are compared with before they are loaded."""
    generators = Generators(7)
    with generators.redirecting(), torch.device("meta"):
        assert nn.LSTM(3, 4).weight_ih_l0.is_meta and torch.rand(3).is_meta
    assert torch.equal(generators.on(CPU).get_state(), torch.Generator().manual_seed(7).get_state())


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["plain", "transposed", "strided", "float64", "bfloat16"])
def test_dropout_is_torchs(kind: str, p: float) -> None:
    """The bits, the layout and the gradient of torch's dropout; without a fit, and in evaluation too."""
    kinds = {"transposed": X.T, "strided": X[:, ::2], "float64": X.double(), "bfloat16": X.bfloat16()}
    x = kinds.get(kind, X).detach().requires_grad_()
    torch.manual_seed(3)
    expected = F.dropout(x, p)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(dropout(x, p), expected) and torch.equal(torch.get_rng_state(), after)
    with Generators(3).serving():
        found = dropout(x, p)
        assert torch.equal(dropout(x, p, training=False), x)
    assert torch.equal(torch.get_rng_state(), after)
    assert torch.equal(found, expected) and found.stride() == expected.stride()
    (gradient,), (wanted,) = (torch.autograd.grad(each.sum(), x) for each in (found, expected))
    assert torch.equal(gradient, wanted)


def test_the_order_and_the_draws_do_not_share_a_stream() -> None:
    """Both start from the seed; drawing from one does not advance the other."""
    generators = Generators(5)
    first = torch.rand(4, generator=generators.order)
    assert torch.equal(torch.rand(4, generator=generators.on(CPU)), first)
    assert generators.on(CPU) is generators.on(CPU) and generators.on(CPU) is not generators.order


def test_a_fit_belongs_to_its_thread() -> None:
    """Within a fit another thread has none; a fit within a fit has its own, and the outer one follows it."""
    outer, inner, seen = Generators(1), Generators(2), []

    def look() -> None:
        seen.append((fit_generators(), generator_of(CPU)))
        state = torch.get_rng_state()
        torch.rand(3)
        seen.append(torch.equal(state, torch.get_rng_state()))

    assert fit_generators() is None and generator_of(CPU) is None
    with outer.redirecting():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with pytest.raises(ZeroDivisionError), inner.serving():
            assert generator_of(CPU) is inner.on(CPU)
            _ = 1 / 0
        assert generator_of(CPU) is outer.on(CPU)
    assert fit_generators() is None
    assert seen == [(None, None), False]
