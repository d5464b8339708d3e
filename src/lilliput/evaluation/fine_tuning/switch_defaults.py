"""Fine-tuning the way a run's own switches say, wherever the user has not said otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lilliput.core.settings import parse_settings
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.training.switches import Switches


def follow_switches(settings: FineTuningSettings, switches: Switches) -> FineTuningSettings:
    """Return `settings`, its fields that were not given set as `switches` say, so that none is left open.

    A field that was given, whatever its value, stays. A switch that is as under the profile `corrected`
    changes nothing: what is recorded of such a run is what it always was.

    Args:
        settings: As a recipe or a command line gave them; its `model_fields_set` names the keys that were given.
        switches: Of the run that is fine-tuned.

    Source: rows B2, B23, B24 and B26 of the defect list (docs/explanations/reference-defects.md).
    """
    asked = {
        name: value
        for name, value in _reference_ways(settings, switches)
        if name not in settings.model_fields_set
    }
    # From plain data: all fields count as given now, and following once more changes nothing.
    return parse_settings(FineTuningSettings, settings.model_dump() | asked)


def _reference_ways(settings: FineTuningSettings, switches: Switches) -> Iterator[tuple[str, Any]]:
    """Yield the settings that follow from the switches set as in the reference code."""
    if switches.attend_padding:
        # To a fixed length: else the pads that a text attends to would depend on its neighbours in the batch.
        yield from (("attend_to_padding", True), ("pad_to_max", True))
    if switches.classifier_head == "positions" and not _names_its_head(settings):
        yield from (("pooling", "positions"), ("pad_to_max", True))
        yield from (("head", "linear"), ("classifier_dropout", 0.0))
    if switches.regression_loss == "relu_mse":
        yield "regression", "relu"
    if switches.reported_epoch == "last":
        yield "selection", "last"


def _names_its_head(settings: FineTuningSettings) -> bool:
    """Return whether another head was asked for; without padding there is no weight for each position."""
    given = settings.model_fields_set
    return "pooling" in given or ("pad_to_max" in given and not settings.pad_to_max)
