"""The loss of an autoencoder for cells in [0, 1]: a divergence, 0 at best, that grows beyond the ends."""

import torch
from torch.nn import functional as F

from regen.losses.likelihoods import LIKELIHOODS

BERNOULLI = LIKELIHOODS["bernoulli"]


def test_a_perfect_reconstruction_has_no_loss():
    """Grey or not: the loss is a divergence. Cross-entropy, a wrong twin, is positive for grey itself."""
    target = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64)
    logits = target.logit(1e-12)
    assert torch.allclose(BERNOULLI.loss(logits, target), torch.zeros(5, dtype=torch.float64), atol=1e-9)
    assert (F.binary_cross_entropy_with_logits(logits, target, reduction="none")[1:4] > 0.3).all()


def test_the_gradient_is_that_of_cross_entropy():
    """Within [0, 1] nothing changes for training."""
    logits = torch.randn(50, dtype=torch.float64, requires_grad=True)
    target = torch.rand(50, dtype=torch.float64)
    (mine,) = torch.autograd.grad(BERNOULLI.loss(logits, target).sum(), logits)
    (cross,) = torch.autograd.grad(
        F.binary_cross_entropy_with_logits(logits, target, reduction="sum"), logits
    )
    assert torch.allclose(mine, cross)
    assert (BERNOULLI.loss(logits, target) >= 0).all()


def test_beyond_the_ends_the_loss_is_larger():
    """A value outside [0, 1] never looks better than the end it is beyond, as cross-entropy, a wrong twin, has it."""
    logits = torch.linspace(-6, 6, 25)
    for end, beyond in ((1.0, 1.5), (1.0, 9.0), (0.0, -0.5), (0.0, -9.0)):
        inside, outside = (torch.full_like(logits, value) for value in (end, beyond))
        assert (BERNOULLI.loss(logits, outside) > BERNOULLI.loss(logits, inside)).all()
        cross = [F.softplus(logits) - logits * target for target in (outside, inside)]
        assert (cross[0] < cross[1]).any()
