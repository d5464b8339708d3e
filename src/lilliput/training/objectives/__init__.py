"""Training objectives: what is predicted, and the loss of a prediction; one module each."""

from lilliput.training.objectives.base import (
    DrawKey,
    ModelLoader,
    Objective,
    ObjectiveSettings,
    Targets,
    TokenFacts,
    register_objective,
)

__all__ = [
    "DrawKey",
    "ModelLoader",
    "Objective",
    "ObjectiveSettings",
    "Targets",
    "TokenFacts",
    "register_objective",
]
