"""Numbers that evaluate what a model produced; none is trained on."""

from regen.metrics.generative import Memorisation, Quality, memorisation, mmd, prdc, two_sample_accuracy

__all__ = ["Memorisation", "Quality", "memorisation", "mmd", "prdc", "two_sample_accuracy"]
