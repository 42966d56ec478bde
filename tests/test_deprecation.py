"""Old names resolve, warn with the new name and the release that removes them, and unknown ones are refused."""

from types import ModuleType

import pytest

from regen import losses, metrics, objectives, training
from regen._deprecation import moved


@pytest.mark.parametrize(
    ("target", "new", "resolved"),
    [("regen.losses:huber", "regen.losses.huber", losses.huber), ("regen.losses", "regen.losses", losses)],
    ids=["attribute", "module"],
)
def test_an_old_name_resolves_and_warns(target: str, new: str, resolved: object) -> None:
    """The object is the new one, and the warning names both names and the removal."""
    old = moved("regen.attic", {"old": target}, removed_in="regen 9")
    with pytest.warns(DeprecationWarning) as caught:
        assert old("old") is resolved
    assert [str(each.message) for each in caught] == [
        f"regen.attic.old is deprecated and will be removed in regen 9: use {new}."
    ]
    assert caught[0].filename == __file__


def test_other_names_are_refused() -> None:
    """As any module refuses them, without a warning."""
    with pytest.raises(AttributeError, match=r"^module 'regen.attic' has no attribute 'new'$"):
        moved("regen.attic", {"old": "regen.losses"})("new")


OBJECTIVES_BEFORE = [
    *("Adversarial", "Heads", "LIKELIHOODS", "LOSSES", "Likelihood", "Memorisation", "OBJECTIVES"),
    *("Quality", "Relaxed", "absolute_error", "active_units", "adversarial", "calibrate", "contractive"),
    *("cross_entropy", "draw_normal", "elbo_terms", "gaussian_kl", "gradient_penalty", "huber"),
    *("importance_bound", "importance_weights", "kl_sparsity", "l1", "log_normal", "mean", "mean_per_step"),
    *("memorisation", "mmd", "observed", "posterior", "prdc", "score", "squared_error"),
    *("two_sample_accuracy", "zero_centred_penalty"),
]


@pytest.mark.parametrize("name", OBJECTIVES_BEFORE)
def test_names_of_objectives_resolve(name: str) -> None:
    """`regen.objectives` keeps each name that it listed before, and names where it is now."""
    with pytest.warns(
        DeprecationWarning, match=rf"^regen.objectives.{name} is deprecated and will be removed in"
    ):
        assert getattr(objectives, name) is not None


@pytest.mark.parametrize(
    ("module", "name", "new"),
    [
        (objectives, "LOSSES", losses.GAN_LOSSES),  # the two tables had each other's names
        (objectives, "OBJECTIVES", losses.LOSSES),
        (objectives, "adversarial", losses.gan_loss),
        (objectives, "prdc", metrics.prdc),
        (training, "Feed", training.Batches),
        (training, "Memory", training.Stateful),
    ],
)
def test_an_old_name_is_the_new_object(module: ModuleType, name: str, new: object) -> None:
    """A renamed object, not one that happens to have the name."""
    with pytest.warns(DeprecationWarning, match=rf"{name} is deprecated"):
        assert getattr(module, name) is new
