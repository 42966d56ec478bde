"""No line of the package draws from a global random generator, or sets the state of one."""

import ast
from collections.abc import Iterator, Mapping

import pytest

SEEDERS = {
    *("manual_seed", "manual_seed_all", "seed", "seed_all", "fork_rng", "set_rng_state", "get_rng_state"),
    *(
        "get_rng_state_all",
        "set_rng_state_all",
        "initial_seed",
        "default_generator",
        "set_state",
        "get_state",
    ),
}
"""Functions of the modules below; methods of a generator have the same names."""
TORCH = {"torch", "torch.random", "torch.cuda", "torch.mps", "torch.xpu"}
DRAWING = {
    *(
        "rand",
        "randn",
        "randint",
        "randperm",
        "rand_like",
        "randn_like",
        "randint_like",
        "normal",
        "bernoulli",
    ),
    *("multinomial", "poisson", "binomial"),
}
"""Functions of torch that take a generator; the ones ending in "like" do so in recent versions only."""
IN_PLACE = {
    *("normal_", "uniform_", "bernoulli_", "exponential_", "random_", "cauchy_", "geometric_", "log_normal_"),
}
INITIALISERS = {
    *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "trunc_normal_"),
    *("orthogonal_", "sparse_"),
}
NOISY = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *("gumbel_softmax", "rrelu", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "RReLU"),
}
"""Functions and modules of torch that know the global generator only."""
NUMPY = {"default_rng", "Generator", "RandomState", "SeedSequence", "PCG64", "BitGenerator"}
"""Names of numpy.random that make a generator."""
ALLOWED: Mapping[str, set[str]] = {
    # Outside a fit, modules draw as torch's own do: from the global generator.
    "src/regen/_random.py": {"F.dropout"},
    # The initial weights of a module: within a fit their draws are redirected to its generators.
    "src/regen/nets/mlp.py": {"weight.uniform_", "weight.normal_"},
    "src/regen/nets/dcgan.py": {"nn.init.normal_"},
    # A training of the user's own modules, which is no part of a fit: saved with its checkpoint.
    "src/regen/training/rng.py": {
        *("torch.get_rng_state", "torch.set_rng_state", "torch.cuda.get_rng_state"),
        *("torch.cuda.set_rng_state", "torch.mps.get_rng_state", "torch.mps.set_rng_state"),
    },
}


def global_draws(tree: ast.AST) -> Iterator[str]:
    """Calls, and other uses of a name, that read or change a global generator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            owner, _, name = ast.unparse(node).rpartition(".")
            if owner in TORCH and name in SEEDERS:
                yield ast.unparse(node)
            if owner in ("np.random", "numpy.random") and name not in NUMPY:
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            banned = {"random": None, "numpy.random": NUMPY, "torch.random": set(), "torch.nn.init": set()}
            if module in banned:
                kept = banned[module] or set()
                yield from (f"{module}.{name.name}" for name in node.names if name.name not in kept)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in ("random", "numpy.random"))
        elif isinstance(node, ast.Call):
            yield from _unseeded(node)


def _unseeded(call: ast.Call) -> Iterator[str]:
    text = ast.unparse(call.func)
    owner, _, name = text.rpartition(".")
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    seeded = "generator" in keywords and not (
        isinstance(keywords["generator"], ast.Constant) and keywords["generator"].value is None
    )
    of_torch = owner == "torch" and name in DRAWING
    of_tensor = bool(owner) and name in IN_PLACE | INITIALISERS
    of_module = owner in ("F", "nn", "torch.nn", "torch.nn.functional", "nn.functional") and name in NOISY
    of_numpy = name in ("default_rng", "RandomState") and not call.args and not call.keywords
    if ((of_torch or of_tensor) and not seeded) or of_module or of_numpy:
        yield text


def test_no_draw_from_a_global_generator(package: dict[str, ast.Module]) -> None:
    """Every draw has a generator; seeds and states of the global ones are left alone. Exceptions are all in use."""
    found = {name: set(global_draws(tree)) for name, tree in package.items()}
    lines = [f"{name}: {text}" for name, texts in found.items() for text in texts - ALLOWED.get(name, set())]
    assert not lines, "\n".join(lines)
    for name, texts in ALLOWED.items():
        assert texts <= found[name], f"{name} no longer needs {texts - found[name]}"


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(0)",
        "with torch.random.fork_rng([]): pass",
        "state = torch.get_rng_state()",
        "torch.cuda.set_rng_state(state, device)",
        "rng = torch.default_generator",
        "z = torch.randn(3)",
        "z = torch.randn(3, generator=None)",
        "e = torch.rand_like(x)",
        "order = torch.randperm(n)",
        "x.normal_()",
        "torch.empty(3).uniform_(0, 1)",
        "nn.init.xavier_uniform_(weight)",
        "h = F.dropout(h, 0.1, self.training)",
        "self.drop = nn.Dropout(0.1)",
        "np.random.seed(0)",
        "x = np.random.normal(size=3)",
        "draw = map(np.random.normal, sizes)",
        "rng = np.random.default_rng()",
        "import random",
        "from random import shuffle",
        "from numpy.random import normal",
    ],
)
def test_a_global_draw_is_caught(line: str) -> None:
    """Each way to use a global generator is seen."""
    assert list(global_draws(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "rng = torch.Generator().manual_seed(0)",
        "state = self._generator.get_state()",
        "z = torch.randn(3, generator=rng)",
        "x.normal_(generator=rng)",
        "h = dropout(h, 0.1, self.training)",
        "rng = np.random.default_rng(0)",
        "check_random_state(random_state).randint(2**31 - 1)",
        "nn.init.zeros_(bias)",
    ],
)
def test_a_seeded_draw_passes(line: str) -> None:
    """What has a generator, or draws nothing, is let through."""
    assert not list(global_draws(ast.parse(line)))
