"""Inspection of networks: values and labelled arrays, with sentences that summarise them.

Charts of them are drawn by `figures`, which stands above; `regen.inspect` brings both together.
"""

from regen._deprecation import moved
from regen.inspection.adversarial.training_game import NearestTraining, TrainingGame, training_game
from regen.inspection.finding import Finding
from regen.inspection.labelled import Labelled
from regen.inspection.latent.codes import Codes, codes
from regen.inspection.latent.repair import Repair
from regen.inspection.latent.views import CodeMap, LatentTraversal, Neighbours
from regen.inspection.recurrent.ablation import Ablation, ablate
from regen.inspection.recurrent.clamping import clamp
from regen.inspection.recurrent.gates import Gates, gates, parts
from regen.inspection.recurrent.gradients import GradientFlow, gradient_flow
from regen.inspection.recurrent.losses import LossPerCopy, loss_per_copy
from regen.inspection.recurrent.moments import Moments, similar_moments
from regen.inspection.recurrent.saliency import Saliency, saliency

__all__ = [
    "Ablation",
    "CodeMap",
    "Codes",
    "Finding",
    "Gates",
    "GradientFlow",
    "Labelled",
    "LatentTraversal",
    "LossPerCopy",
    "Moments",
    "NearestTraining",
    "Neighbours",
    "Repair",
    "Saliency",
    "TrainingGame",
    "ablate",
    "clamp",
    "codes",
    "gates",
    "gradient_flow",
    "loss_per_copy",
    "parts",
    "saliency",
    "similar_moments",
    "training_game",
]

__getattr__ = moved(
    __name__,
    {
        "Cost": "regen.inspection:LossPerCopy",
        "Duel": "regen.inspection:TrainingGame",
        "Twins": "regen.inspection:NearestTraining",
        "Walk": "regen.inspection:LatentTraversal",
        "cost": "regen.inspection:loss_per_copy",
        "drawn": "regen._drawing:chart_of",
        "duel": "regen.inspection:training_game",
    },
)
