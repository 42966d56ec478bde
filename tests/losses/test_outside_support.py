"""Targets outside the support of a likelihood: their log-density falls with the distance from it."""

from itertools import pairwise

import pytest
import torch

from regen.losses import LIKELIHOODS


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "rectified"])
def test_the_density_falls_outside_the_support(name: str) -> None:
    """Beyond the ends the log-density falls, whatever the outputs; formulas carried on beyond them rise."""
    member = LIKELIHOODS[name]
    outputs = torch.linspace(-4, 4, 17).repeat(member.width, 1).T
    beyond = (-0.01, -0.5, -3.0, -50.0)
    ends = [(0.0, beyond)] if name == "rectified" else [(0.0, beyond), (1.0, tuple(1 - x for x in beyond))]
    for end, outside in ends:
        found = [member.log_density(outputs, torch.full((17, 1), x)) for x in outside]
        for near, far in pairwise(found):
            # A rectified mean may itself lie below 0: its density falls from there on.
            falls = far < near if name != "rectified" else (far < near) | (outputs[:, :1] < 0)
            assert falls.all()
        assert (found[-1] < member.log_density(outputs, torch.full((17, 1), end))).all()
    twin = {
        "bernoulli": lambda x: outputs * x - torch.nn.functional.softplus(outputs),
        "continuous_bernoulli": lambda x: outputs * x,
        "rectified": lambda x: member.log_density(outputs, torch.zeros(17, 1)) + 0 * x,
    }[name]
    assert (twin(-50.0) >= twin(0.0)).any()
