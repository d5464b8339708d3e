"""Choose the initial weights by named switches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings

InitialisationName = Literal["corrected", "reference"]


class Initialisation(Settings):
    """Say how the weights are initialised; the defaults are the corrected ones. Norms begin with gain 1 and bias 0."""

    weights: Literal["normal", "xavier-normal"] = Field(
        default="normal",
        description="Matrices: N(0, std), or Xavier-normal with the fans of each matrix, embeddings included (std near 0.0102 for 19,010 x 256).",
    )
    std: NonNegativeFloat = Field(default=0.02, description="Standard deviation of `normal`.")
    bias: float = Field(
        default=0.0,
        description="Initial value of every bias but those of norms; 0.01 in the reference code.",
    )
    projection_norm_gain: float = Field(
        default=1.0,
        description="Gain of the norm after the projection. The reference code took it for a bias and started it at 0.01, which scales what the layers read down a hundredfold.",
    )
    projection_norm_bias: float = Field(
        default=0.0,
        description="Bias of the norm after the projection; 0.01 in the reference code.",
    )
    zero_padding_row: bool = Field(
        default=True,
        description="Start the embedding of padding at zero; the reference code overwrites it. It matters only where padding is attended to.",
    )

    @classmethod
    def named(cls, name: str) -> Initialisation:
        """Return the initialisation of a training profile.

        Raises:
            ConfigurationError: The name is neither "corrected" nor "reference".
        """
        if name not in _NAMED:
            raise ConfigurationError(
                "initialisation must be corrected or reference", got=repr(name)
            )
        return _NAMED[name]


_NAMED = {
    "corrected": Initialisation(),
    # Source: the authors' repository for arXiv 2305.17266, start of pre-training.
    "reference": Initialisation(
        weights="xavier-normal",
        bias=0.01,
        projection_norm_gain=0.01,
        projection_norm_bias=0.01,
        zero_padding_row=False,
    ),
}
