"""What goes on inside a model: plain values and labelled arrays out, with sentences that say what they mean.

Pictures of all of it are drawn by `figures`, which stands above; `regen.inspect` brings both together.
"""

from regen.inspection._finding import Finding, drawn
from regen.inspection._labelled import Labelled
from regen.inspection.ablation import Ablation, ablate
from regen.inspection.clamping import clamp
from regen.inspection.codes import CodeMap, Codes, Neighbours, Walk, codes
from regen.inspection.gates import Gates, gates, parts
from regen.inspection.gradients import GradientFlow, gradient_flow
from regen.inspection.imputation import Repair
from regen.inspection.losses import Cost, cost
from regen.inspection.moments import Moments, similar_moments
from regen.inspection.saliency import Saliency, saliency
from regen.inspection.training_game import Duel, Twins, duel

__all__ = [
    "Ablation",
    "CodeMap",
    "Codes",
    "Cost",
    "Duel",
    "Finding",
    "Gates",
    "GradientFlow",
    "Labelled",
    "Moments",
    "Neighbours",
    "Repair",
    "Saliency",
    "Twins",
    "Walk",
    "ablate",
    "clamp",
    "codes",
    "cost",
    "drawn",
    "duel",
    "gates",
    "gradient_flow",
    "parts",
    "saliency",
    "similar_moments",
]
