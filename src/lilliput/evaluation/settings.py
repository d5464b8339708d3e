"""How models are fine-tuned and scored: every choice that can move a score has a name here, and its default follows the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings, parse_settings
from lilliput.training.switches import Switches

Pooling = Literal["first", "mean", "positions"]
WordRule = Literal["paper", "corrected"]
STACK_SIZE = 8
"""Classifiers computed at once; a step of eight takes 0.68 to 0.91 of the time of eight alone."""
MIN_ITEMS_TO_CONCLUDE = 100
"""Below this many development items no conclusion is drawn; filtered RTE has 14, MRPC and WNLI 39."""


class FineTuningSettings(Settings):
    """Set how a classifier or a regressor is fine-tuned on top of an encoder.

    The defaults are those of a run whose switches are as under the profile `corrected`; `follow_switches`
    sets what was not given as another run's switches say.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(1e-3,), min_length=1, description="Peak learning rates to choose from."
    )
    num_train_epochs: tuple[PositiveInt, ...] = Field(
        default=(4,),
        min_length=1,
        description="Numbers of passes over the training data to choose from.",
    )
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2),
        min_length=1,
        description="Seeds of head, dropout and order; one model each.",
    )
    batch_size: PositiveInt = Field(default=32, description="Examples per optimizer step.")
    weight_decay: NonNegativeFloat = Field(default=0.01, description="Decoupled, on matrices only.")
    warmup_ratio: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps with rising rate."
    )
    max_grad_norm: PositiveFloat | None = Field(
        default=1.0, description="Clip at this norm; none: never."
    )
    pooling: Pooling = Field(
        default="mean",
        description="What the head sees: the first token, the mean over tokens, or one learned weight a position (needs padding to the full length; the reference code's way).",
    )
    head: Literal["linear", "tanh"] = Field(
        default="linear", description="One linear map, or a dense layer with tanh before it."
    )
    classifier_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Dropout before the head."
    )
    encoder_dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Dropout of the encoder's activations and attention weights; none: as in pre-training.",
    )
    regression: Literal["linear", "relu"] = Field(
        default="linear",
        description="Output of a regression: as it is, or cut at zero (the reference code's way, whose gradient dies).",
    )
    selection_share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of train held out to choose among learning rates and epochs; unused when there is one choice.",
    )
    selection: Literal["held-out", "last"] = Field(
        default="held-out",
        description="Choose by the held-out part of train, or take the last epoch of the first rate.",
    )
    max_seq_length: PositiveInt = Field(
        default=128, description="Longest input in tokens, special ones too."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Of matrix products and activations; weights, gradients' sums and moments stay float32. bfloat16 is faster where the processor has it, and moves scores a little.",
    )
    pad_to_max: bool = Field(default=False, description="Pad every input to max_seq_length.")
    attend_to_padding: bool = Field(default=False, description="Let padding be attended to.")
    max_train_examples: PositiveInt | None = Field(
        default=None, description="Train on at most this many examples, drawn once for all seeds."
    )
    eval_batch_tokens: PositiveInt = Field(
        default=4096,
        description="Tokens of all stacked models per forward pass in prediction; speed and memory decide, results do not.",
    )
    resamples: PositiveInt = Field(
        default=1000, description="Bootstrap draws behind each interval."
    )

    @model_validator(mode="after")
    def _positions_need_padding(self) -> FineTuningSettings:
        if self.pooling == "positions" and not self.pad_to_max:
            raise ValueError("pooling 'positions' needs pad_to_max = true, one weight a position")
        return self

    @property
    def has_choice(self) -> bool:
        """Return whether anything is left to choose on the held-out part of train."""
        return self.selection == "held-out" and (
            len(self.learning_rates) * len(self.num_train_epochs) > 1
        )

    def require_effect(self) -> None:
        """Raise ValueError where a setting is given that decides nothing.

        Not a rule of the class: beside the switches of one run a setting may be idle that another run needs.
        """
        several = len(self.learning_rates) > 1 or len(self.num_train_epochs) > 1
        if self.selection == "last" and several:
            raise ValueError(
                "selection 'last' takes the first of learning_rates and of num_train_epochs: give one of each, "
                "or selection 'held-out'"
            )
        usual = type(self).model_fields["selection_share"].default
        if self.selection_share != usual and not self.has_choice:
            raise ValueError(
                f"selection_share = {self.selection_share:g} would do nothing: there is one learning rate and "
                "one number of epochs, and so nothing to choose"
            )

    @classmethod
    def named(cls, preset: str) -> FineTuningSettings:
        """Return the settings called "default", which leave to the run's switches what they rule, or "paper".

        Raises:
            ConfigurationError: There are none of that name.
        """
        if preset == "paper":
            return cls.paper()
        if preset != "default":
            raise ConfigurationError("the preset must be default or paper", got=repr(preset))
        return cls()

    @classmethod
    def paper(cls) -> FineTuningSettings:
        """Return the paper's recipe with the defects of the reference code switched on.

        Source: history of text-machine-lab/mini_bert: seeds 0-2, five epochs, batch 32, rate 2e-4
        without weight decay, padding to 128 that is attended to, a learned map over positions, ReLU on
        the regression, the last epoch reported. No warm-up, linear decay and clipping at 1 are the
        defaults of the trainer it used.
        """
        return cls(
            learning_rates=(2e-4,),
            num_train_epochs=(5,),
            weight_decay=0.0,
            warmup_ratio=0.0,
            pooling="positions",
            classifier_dropout=0.0,
            regression="relu",
            selection="last",
            pad_to_max=True,
            attend_to_padding=True,
        )


_OF_SOURCE = ("source_column", "source_prefix", "max_sources")


class ProbeSettings(Settings):
    """Probe tasks made from held-out text alone, and how models are fine-tuned on them."""

    tasks: tuple[Literal["word_order", "coherence", "source"], ...] = Field(
        default=("word_order", "coherence", "source"), min_length=1, description="Probes to make."
    )
    splits: tuple[Literal["train", "validation", "test"], ...] = Field(
        default=("validation", "test"),
        min_length=1,
        description="Splits of the corpus to take text from.",
    )
    min_words: int = Field(
        default=5, ge=4, description="Shortest window, in space-separated words."
    )
    max_words: int = Field(default=8, ge=5, description="Longest window; longer sentences are cut.")
    dev_share: float = Field(
        default=0.4, gt=0, lt=1, description="Share of documents kept for scoring."
    )
    max_train_examples: PositiveInt = Field(
        default=1000, description="Most training windows of a probe; an example of two takes two."
    )
    max_dev_examples: PositiveInt = Field(
        default=500, description="Most scored windows of a probe; an example of two takes two."
    )
    source_column: str = Field(
        default="source", description="Corpus column that holds the label of `source`."
    )
    source_prefix: str = Field(
        default="", description="When given, the label is the column's text before this separator."
    )
    max_sources: int = Field(
        default=4, ge=2, description="Number of sources to choose between; the largest are taken."
    )
    fine_tuning: FineTuningSettings = Field(
        default=FineTuningSettings(
            learning_rates=(2e-3,),
            num_train_epochs=(3,),
            seeds=(0, 1),
            max_seq_length=64,
            resamples=500,
        ),
        description="How the probes are learned, the same from trained and untrained weights; what is left out follows the switches of each run.",
    )

    @model_validator(mode="after")
    def _windows_exist(self) -> ProbeSettings:
        if self.max_words < self.min_words:
            raise ValueError(f"max_words must be at least min_words ({self.min_words})")
        return self

    @model_validator(mode="after")
    def _every_setting_acts(self) -> ProbeSettings:
        for name in () if "source" in self.tasks else _OF_SOURCE:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} = {value!r} would do nothing: the probe source is not among tasks"
                )
        self.fine_tuning.require_effect()
        return self


class PairSettings(Settings):
    """Set how minimal pairs are scored."""

    method: Literal["plain", "within_word_l2r", "masked_once", "causal"] = Field(
        default="plain",
        description="Masked models: each token masked alone; with the rest of its word masked too; or all tokens scored from one masked pass each 1/parts of them (an approximation). Causal models: left to right.",
    )
    masked_once_parts: PositiveInt = Field(
        default=6,
        description="With masked_once: passes a sentence; token i is masked in pass i mod parts.",
    )
    max_pairs: PositiveInt | None = Field(
        default=None,
        description="Most pairs of a paradigm that are scored, drawn by chance and the same for every run; absent, all.",
    )
    normalise: bool = Field(default=False, description="Divide each score by its number of tokens.")
    batch_tokens: PositiveInt = Field(
        default=2048,
        description="Tokens per forward pass; speed decides (2,048 stay in a processor's caches), results do not.",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Of the matrix products; bfloat16 is faster where the processor has it, and moves each score by some hundredths of a nat.",
    )
    resamples: PositiveInt = Field(
        default=1000, description="Bootstrap draws behind each interval."
    )

    @model_validator(mode="after")
    def _parts_are_read(self) -> PairSettings:
        usual = type(self).model_fields["masked_once_parts"].default
        if self.masked_once_parts != usual and self.method != "masked_once":
            raise ValueError(
                f"masked_once_parts = {self.masked_once_parts} would do nothing: only the method masked_once reads "
                f"it, and the method is {self.method}"
            )
        return self


def plain_pair_settings(is_causal: bool) -> PairSettings:
    """Return the plain method of a kind of model, causal or masked."""
    return PairSettings(method="causal" if is_causal else "plain")


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
