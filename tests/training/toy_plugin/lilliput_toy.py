"""A package from outside: a training objective and a data order, as somebody else would write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveInt

from lilliput.training import DataOrder, ObjectiveSettings, register_objective, register_order
from lilliput.training.objectives.base import columns
from lilliput.training.objectives.masked_lm import MaskedLM


class SparseSettings(ObjectiveSettings):
    """How far apart predictions are."""

    stride: PositiveInt = Field(2, description="Only each so many-th position is predicted.")


@register_objective
class SparseMaskedLM(MaskedLM):
    """Masked LM that predicts only at every second position, or every third, and so on."""

    name = "sparse_masked_lm"
    description = "Masked LM that predicts only at every so many-th position."
    settings_type = SparseSettings

    @property
    def stride(self) -> int:
        return self.training.objective.model_dump()["stride"]

    def targets(self, ids_GL: Any, rows_G: Any, key: Any, facts: Any) -> Any:
        made = super().targets(ids_GL, rows_G, key, facts)
        is_here = columns(ids_GL) % self.stride == 0
        return made._replace(is_predicted_GL=made.is_predicted_GL & is_here)

    @property
    def predicted_share(self) -> float:
        return super().predicted_share / self.stride


@register_order
class Backwards(DataOrder):
    """The stored order, from the last sequence to the first."""

    name = "backwards"
    description = "The stored order, from the last sequence to the first."

    def sequences_at(self, step: int, first: int, count: int) -> Any:
        size = len(self.context.sequences)
        return size - 1 - np.arange(first, first + count) % size
