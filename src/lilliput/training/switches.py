"""The one table of behaviours in which the published code and a corrected recipe differ.

Each field of `Switches` is a row: what it does to the numbers, its value under both profiles, the room
that obeys it and the row of the defect list it comes from (docs/training.md prints the table). A profile
sets all of them; any mixture is a recipe: `training.switches.score_padding = true`. Those of the room
`evaluation` change nothing in a run itself: the evaluation fine-tunes as they say, unless its own settings differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator

from lilliput.core.settings import Settings

Profile = Literal["reference", "corrected"]
SwitchRoom = Literal["training", "models", "evaluation"]


def _switch(reference: Any, corrected: Any, room: SwitchRoom, row: str, description: str) -> Any:
    """Return a field that is `corrected` unless a profile or a recipe says otherwise."""
    extra: Any = {"reference": reference, "room": room, "row": row}
    return Field(corrected, description=description, json_schema_extra=extra)


class Switches(Settings):
    """Behaviours that the profile sets; the defaults are the profile `corrected`."""

    score_padding: bool = _switch(
        True, False, "training", "B1",
        "Pads, plainly visible in the input, are predicted like masked tokens: the loss falls to about "
        "m L / (m + p) for m masked and p pad positions. Sequences are padded to max_seq_length.",
    )  # fmt: skip
    attend_padding: bool = _switch(
        True, False, "training", "B2",
        "No attention mask is given, in fine-tuning either: every token attends to the pads of its "
        "sequence, which is padded to max_seq_length.",
    )  # fmt: skip
    always_eight_heads: bool = _switch(
        True, False, "models", "B3",
        "Eight heads are built whatever num_attention_heads says; the FLOPs keep the recorded number.",
    )  # fmt: skip
    accumulation_off_by_one: bool = _switch(
        True, False, "training", "B5",
        "With k micro-batches to a step, the first step sees one of them at 1/k of its weight, all "
        "later groups are shifted and a last partial one is added: 35,476 steps where 35,475 are due. "
        "Each micro-batch is averaged alone.",
    )  # fmt: skip
    projection_norm_gain: PositiveFloat | None = _switch(
        0.01, None, "models", "B6",
        "Initial gain and bias of the LayerNorm behind the embedding projection: 0.01 shrinks what the "
        "first layer sees a hundredfold, so that attention starts uniform. 1 is the corrected start, as "
        "absent is: gain 1 and bias 0.",
    )  # fmt: skip
    initialization: Literal["xavier", "normal"] = _switch(
        "xavier", "normal", "models", "B7",
        "'xavier': Xavier-normal matrices (embeddings too, pads included) and biases of 0.01; 'normal': "
        "N(0, initializer_range) and zero biases.",
    )  # fmt: skip
    redraw_evaluation_masks: bool = _switch(
        True, False, "training", "B8",
        "Masks of the validation split are drawn anew at each evaluation, from (seed, evaluation "
        "number): noise between points. Otherwise all runs and points share one draw.",
    )  # fmt: skip
    mask_special_tokens: bool = _switch(
        True, False, "training", "B9",
        "`<s>` and `</s>` may be masked and predicted: nearly free targets that lower the loss.",
    )  # fmt: skip
    eval_average: Literal["batch", "token"] = _switch(
        "batch", "token", "training", "B10",
        "'batch': the mean over batches of batch means, in which a token of a short last batch weighs "
        "more; 'token': the mean over predicted tokens.",
    )  # fmt: skip
    shuffle: bool = _switch(
        False, True, "training", "B11",
        "A fresh permutation of the sequences each epoch; without it all seeds and epochs see the "
        "stored order.",
    )  # fmt: skip
    classifier_head: Literal["positions", "pooled"] = _switch(
        "positions", "pooled", "evaluation", "B23",
        "Head of fine-tuning. 'positions': one learned weight for each of max_seq_length positions, pads "
        "included, then one linear map, no dropout; 'pooled': the mean over the tokens.",
    )  # fmt: skip
    regression_loss: Literal["relu_mse", "mse"] = _switch(
        "relu_mse", "mse", "evaluation", "B24",
        "Of fine-tuning on values. 'relu_mse': a ReLU before the squared error, whose gradient dies where "
        "outputs are negative; 'mse': no ReLU, and values scaled to variance 1.",
    )  # fmt: skip
    reported_epoch: Literal["last", "best"] = _switch(
        "last", "best", "evaluation", "B26",
        "'last': fine-tuning reports the last epoch of its first learning rate; 'best': the epoch and rate, "
        "of those its settings offer, that are best on a part held out of train.",
    )  # fmt: skip
    max_grad_norm: NonNegativeFloat = _switch(
        0.0, 1.0, "training", "B33",
        "Gradients are scaled down to this norm; 0 leaves them alone.",
    )  # fmt: skip
    decay_all_parameters: bool = _switch(
        True, False, "training", "B33",
        "Weight decay acts on biases and norms too, not on matrices alone.",
    )  # fmt: skip
    dropout: float | None = _switch(
        0.1, 0.0, "models", "B33",
        "Dropout of hidden states and attention, in one under-fitting epoch a pure loss; \"model\" leaves "
        "it to the model's own settings.",
    )  # fmt: skip

    @field_validator("projection_norm_gain")
    @classmethod
    def _one_is_no_other_start(cls, gain: float | None) -> float | None:
        return None if gain == 1.0 else gain

    @field_validator("dropout", mode="before")
    @classmethod
    def _leave_it_to_the_model(cls, dropout: Any) -> Any:
        return None if dropout == "model" else dropout


@dataclass(frozen=True)
class SwitchRow:
    """Hold one row of the table."""

    name: str
    room: str
    reference: Any
    corrected: Any
    row: str
    effect: str


def switch_table() -> tuple[SwitchRow, ...]:
    """Return all switches in the order of the defect list."""
    rows: list[SwitchRow] = []
    for name, field in Switches.model_fields.items():
        extra: Any = field.json_schema_extra
        rows.append(
            SwitchRow(
                name,
                extra["room"],
                extra["reference"],
                field.default,
                extra["row"],
                field.description or "",
            )
        )
    return tuple(rows)


def profile_values(profile: Profile) -> dict[str, Any]:
    """Return the value of every switch under `profile`."""
    return {row.name: getattr(row, profile) for row in switch_table()}
