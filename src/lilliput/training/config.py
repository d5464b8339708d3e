"""The recipe of a run: what is predicted, of how much data, with which optimizer, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import OUTSIDE_IDENTITY, Settings, SettingsT, parse_settings
from lilliput.training.data.orders import base as orders
from lilliput.training.data.orders.base import CURRICULUM, SHUFFLED, OrderSettings
from lilliput.training.learning_rate import SchedulerType
from lilliput.training.objectives import base as objectives
from lilliput.training.objectives.base import AUTO, ObjectiveSettings, StudyRun
from lilliput.training.switches import Profile, Switches, profile_values

_MICRO_BATCH_ROWS = (
    64  # Where nothing else is said, on a processor at most so many sequences a forward pass.
)


class TrainingConfig(Settings):
    """The recipe of a run, in Hugging Face's words where they exist."""

    profile: Profile = Field("corrected", description="Sets every switch: reference or corrected.")
    switches: Switches = Field(
        default_factory=Switches, description="Single behaviours that depart from the profile."
    )

    objective: SerializeAsAny[ObjectiveSettings] = Field(
        default_factory=lambda: ObjectiveSettings(name=AUTO),
        description="What is predicted: the name of an objective, or a table with `name` and its own settings.",
    )
    order: SerializeAsAny[OrderSettings] = Field(
        default_factory=lambda: OrderSettings(name=SHUFFLED),
        description="Which sequences each step reads: the name of a data order, or a table with `name` and its own settings.",
    )
    max_seq_length: int = Field(128, ge=4, description="Tokens of a sequence with <s> and </s>.")
    mlm_probability: float = Field(0.15, gt=0, lt=1, description="Share of tokens predicted.")
    mask_replace_prob: float = Field(
        1.0, ge=0, le=1, description="Share of the predicted tokens shown as <mask>; BERT: 0.8."
    )
    random_replace_prob: float = Field(
        0.0, ge=0, le=1, description="Share of them shown as a random token; BERT: 0.1."
    )
    whole_word_mask: bool = Field(
        False, description="All tokens of a word are predicted together, none alone."
    )
    fixed_mask_count: bool = Field(
        False,
        description="Exactly round(p n) predictions per sequence, at least 1, not a draw each.",
    )

    global_batch_size: PositiveInt = Field(256, description="Sequences per step.")
    max_steps: PositiveInt | None = Field(
        None, description="Budget in steps; accumulation_off_by_one adds a partial one."
    )
    num_train_epochs: PositiveFloat | None = Field(
        None, description="Budget in epochs of the train split; 1 when no budget is given."
    )
    max_tokens: PositiveInt | None = Field(
        None,
        description="Budget in input tokens without pads, met to within one step on average.",
    )

    learning_rate: PositiveFloat = Field(5e-4, description="Peak of the schedule.")
    lr_scheduler_type: SchedulerType = Field("inverse_sqrt", description="Shape of the schedule.")
    warmup_ratio: float = Field(
        0.05, ge=0, le=1, description="Linear warm-up as a share of the steps; at most 4,000."
    )
    warmup_steps: NonNegativeInt | None = Field(
        None, description="Linear warm-up in steps; goes before warmup_ratio."
    )
    decay_ratio: float = Field(
        0.2, gt=0, le=1, description="Final decay of warmup_stable_decay as a share of the steps."
    )
    min_lr_ratio: float = Field(
        0.0, ge=0, le=1, description="Last learning rate as a share of the peak (not inverse_sqrt)."
    )
    num_cycles: PositiveFloat = Field(
        0.5,
        description="Waves of cosine after the warm-up, as in transformers' get_cosine_schedule_with_warmup: "
        "0.5 ends at min_lr_ratio, 0.25 halfway between it and the peak.",
    )
    average_last: float = Field(
        0.0, ge=0, le=1,
        description="Share of the last steps whose mean weights are the run's final ones; 0 keeps the last weights.",
    )  # fmt: skip
    weight_decay: NonNegativeFloat = Field(0.01, description="AdamW's decoupled decay.")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment.")
    adam_beta2: float = Field(0.95, ge=0, lt=1, description="Decay of the second moment.")
    adam_epsilon: PositiveFloat = Field(1e-8, description="Added to the root of the second moment.")
    initializer_range: PositiveFloat = Field(
        0.02,
        description="Standard deviation of initial matrices under switches.initialization normal.",
    )

    decoder_bias_init: Literal["drawn", "log_unigram"] = Field(
        "drawn",
        description="Bias of the logits at the start: as switches.initialization says, or the log frequency "
        "of each id in the train split, so that a run starts at the unigram entropy.",
    )

    eval_sequences: PositiveInt = Field(
        1000,
        description="Validation sequences predicted at each point; fewer if the split has fewer.",
    )
    eval_batch_size: PositiveInt = Field(
        256, description="Sequences of a batch where batch means are averaged (loss_reference)."
    )
    eval_points_per_decade: NonNegativeInt = Field(
        8, description="Evaluation points per factor of ten in steps, from the first one on."
    )
    eval_steps: tuple[NonNegativeInt, ...] = Field(
        (), description="More steps after which to evaluate."
    )
    save_steps: tuple[PositiveInt, ...] = Field(
        (), description="Steps whose weights are kept as checkpoints/step-N.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip

    per_device_train_batch_size: PositiveInt | Literal["auto"] = Field(
        "auto", description="Sequences of a micro-batch at most, which is one forward pass; results do not depend "
        "on it, but under accumulation_off_by_one. auto takes 64, and on a GPU the global batch while its "
        "activations fit.", json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip
    save_interval_s: PositiveFloat = Field(
        120.0, description="Seconds between checkpoints to resume from.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip
    save_total_limit: PositiveInt = Field(
        2,
        description="Checkpoints to resume from that are kept.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )
    threads: PositiveInt | None = Field(
        None, description="Threads of the processor; a short probe decides when absent.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of the matrix products; auto takes bfloat16 where the device multiplies it.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip
    fleet_size: PositiveInt | Literal["auto"] = Field(
        "auto", description="Runs of one shape that a study trains as one stacked computation at most; 1 "
        "trains each alone, auto takes what short trials found fastest.", json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to train; auto takes a GPU when there is one.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _let_the_profile_set_the_switches(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        _refuse_misplaced_switches(values)
        if values.get("profile", "corrected") not in get_args(Profile):
            return values
        given = values.get("switches", {})
        if isinstance(given, Switches):
            given = given.model_dump()
        if not isinstance(given, Mapping):
            return values
        base = profile_values(values.get("profile", "corrected"))
        return {**values, "switches": {**base, **given}}

    @field_validator("objective", mode="before")
    @classmethod
    def _find_the_objective(cls, given: Any) -> Any:
        def kind(name: str) -> type[ObjectiveSettings]:
            if name == AUTO:
                return ObjectiveSettings
            return objectives.REGISTRY.get(name, where="training.objective").settings_type

        return _named_settings(given, kind, "training.objective", AUTO)

    @field_validator("order", mode="before")
    @classmethod
    def _find_the_order(cls, given: Any) -> Any:
        def kind(name: str) -> type[OrderSettings]:
            return orders.REGISTRY.get(name, where="training.order").settings_type

        # A table that says what to sort by, without a name, means a curriculum.
        is_curriculum = isinstance(given, Mapping) and "by" in given
        default = CURRICULUM if is_curriculum else SHUFFLED
        return _named_settings(given, kind, "training.order", default)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        budgets = [self.max_steps, self.num_train_epochs, self.max_tokens]
        if sum(budget is not None for budget in budgets) > 1:
            raise ValueError("give one of max_steps, num_train_epochs and max_tokens, not several")
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ValueError(
                "mask_replace_prob + random_replace_prob must be at most 1, "
                f"not {self.mask_replace_prob + self.random_replace_prob:g}"
            )
        rows, total = self.micro_batch_rows, self.global_batch_size
        if self.switches.accumulation_off_by_one and rows < total and total % rows:
            raise ValueError(
                "with accumulation_off_by_one, global_batch_size must be a multiple of "
                f"per_device_train_batch_size, not {total} and {rows}"
            )
        return self

    def located(self, folder: Path, runs: Mapping[str, StudyRun] | None = None) -> Self:
        """Return the recipe with the paths of its objective and order resolved against `folder`.

        Args:
            folder: Where relative paths begin.
            runs: In a study, what is known of the runs that the objective names.
        """
        objective = (
            self.objective.located(folder)
            if runs is None
            else self.objective.located_in_study(folder, runs)
        )
        return self.model_copy(update={"objective": objective, "order": self.order.located(folder)})

    @property
    def micro_batch_rows(self) -> int:
        """Return the sequences of a micro-batch at most, where no GPU decides it."""
        given = self.per_device_train_batch_size
        return _MICRO_BATCH_ROWS if given == "auto" else given

    @property
    def micro_batches(self) -> int:
        """Return the number of micro-batches of `micro_batch_rows` sequences that make one global batch."""
        return -(-self.global_batch_size // self.micro_batch_rows)

    @property
    def begins_with_a_part(self) -> bool:
        """Return whether the first step reads one micro-batch of several, and a last one what it left."""
        return self.switches.accumulation_off_by_one and self.micro_batches > 1

    @property
    def pads_to_max(self) -> bool:
        """Return whether every sequence is padded to `max_seq_length`, because pads change the numbers."""
        return self.switches.score_padding or self.switches.attend_padding


def _named_settings(
    given: Any, kind_of: Callable[[str], type[SettingsT]], where: str, default: str
) -> Any:
    """Return the settings of a registered thing: `given` is its name, or a table with its name and settings."""
    if isinstance(given, str):
        given = {"name": given}
    elif isinstance(given, Settings):
        given = given.model_dump()
    if not isinstance(given, Mapping) or not isinstance(given.get("name", default), str):
        raise ConfigurationError(f"{where} must be a name, or a table with name", got=repr(given))
    name: str = given.get("name", default)
    return parse_settings(kind_of(name), {"name": name, **given}, where=where)


def _refuse_misplaced_switches(values: Mapping[str, Any]) -> None:
    for name in Switches.model_fields:
        if name in values:
            raise ConfigurationError(
                f"{name} is a switch and belongs under training.switches",
                got=f"training.{name}",
                remedy=f"Write training.switches.{name}.",
            )


def refuse_overridden_dropout(model: Mapping[str, Any], training: TrainingConfig) -> None:
    """Raise ConfigurationError where a recipe gives its model a dropout that the switch would set aside."""
    dropout = training.switches.dropout
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        if dropout is not None and model.get(name, dropout) != dropout:
            raise ConfigurationError(
                f"the switch training.switches.dropout, {dropout:g}, decides over model.{name}",
                got=model[name],
                remedy='Set training.switches.dropout to that, or to "model" to let the model\'s own settings hold.',
            )
