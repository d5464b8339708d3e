"""The configuration of a run: model, recipe and seed, and the identity that follows from them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, NonNegativeInt, model_validator

from lilliput.architecture import Initialisation, ModelConfig, activation_floats
from lilliput.core.artefacts import Manifest, artefact_id
from lilliput.core.errors import ConfigurationError
from lilliput.core.hashing import content_id
from lilliput.core.settings import Settings, identity_values, parse_settings
from lilliput.training.config import TrainingConfig
from lilliput.training.data.orders import base as orders
from lilliput.training.data.orders.base import DataOrder
from lilliput.training.objectives import base as objectives
from lilliput.training.objectives.base import AUTO, Objective
from lilliput.training.objectives.causal_lm import CausalLM
from lilliput.training.objectives.masked_lm import MaskedLM
from lilliput.training.switches import switch_table

RUN_KIND = "run"
RUN_SCHEMA = 2
PLAN = "plan.json"
# A micro-batch on a processor: with fewer tokens, starting it costs too much; with more floats kept for the way
# back (4 bytes each, 2 in bfloat16), it leaves the caches. Of 16, 32 and 64 rows of 128, 64 were fastest at
# 2,000 to 7,000 floats a position, 32 at 11,000 to 15,000, and 16 at 50,000; by 2 to 13 %.
_MICRO_BATCH_TOKENS = 2048, 8192
_MICRO_BATCH_FLOATS = 1 << 26
# A share of a GPU's memory that leaves room for a few runs side by side.
_GPU_ACTIVATION_BYTES = 8 << 30
# Each takes memory of its own (up to 0.2 GB at the shapes above), and finds less to do.
MOST_REPLICAS = 16


class RunConfig(Settings):
    """One run: a model, a recipe and a seed."""

    model: ModelConfig = Field(description="Shape and layout.")
    training: TrainingConfig = Field(
        default_factory=lambda: parse_settings(TrainingConfig, {}),
        description="Recipe: data, optimizer, evaluation.",
    )
    seed: NonNegativeInt = Field(0, description="Of initial weights, data order, masks, dropout.")
    initial_weights: str = Field(
        default="",
        description="Hash of imported weights to start from; empty: drawn from the seed.",
    )

    @model_validator(mode="after")
    def _sequences_fit_the_model(self) -> Self:
        if self.training.max_seq_length > self.model.max_seq_length:
            raise ConfigurationError(
                f"training.max_seq_length must be at most the model's {self.model.max_seq_length}",
                got=self.training.max_seq_length,
                remedy="Raise model.max_position_embeddings.",
            )
        return self

    @model_validator(mode="after")
    def _suits_its_objective(self) -> Self:
        self.objective()
        return self

    @model_validator(mode="after")
    def _has_a_bias_to_start(self) -> Self:
        if self.training.decoder_bias_init == "log_unigram":
            if not self.model.decoder_bias:
                raise ConfigurationError(
                    "decoder_bias_init = 'log_unigram' needs a model with a bias on its logits",
                    got=f"layout {self.model.layout} with decoder_bias = false",
                    remedy="Set model.decoder_bias = true, or leave decoder_bias_init out.",
                )
            if self.initial_weights:
                raise ConfigurationError(
                    "decoder_bias_init must be 'drawn' for a run from imported weights",
                    got="log_unigram",
                    remedy="Leave it out: the imported weights have a bias of their own.",
                )
        return self

    def objective(self) -> Objective:
        """Return the training objective: the recipe's, or the one that follows from the layout."""
        name = self.training.objective.name
        if name == AUTO:
            name = CausalLM.name if self.model.is_causal else MaskedLM.name
        return objectives.REGISTRY.get(name, where="training.objective")(self.model, self.training)

    def order_type(self) -> type[DataOrder]:
        """Return the data order that the recipe names."""
        return orders.REGISTRY.get(self.training.order.name, where="training.order")

    def built_model(self) -> ModelConfig:
        """Return the model as it is built, with the switches of the room `models` applied."""
        switches = self.training.switches
        values = self.model.model_dump()
        values["always_eight_heads"] = self.model.always_eight_heads or switches.always_eight_heads
        if switches.dropout is not None:
            values["hidden_dropout_prob"] = switches.dropout
            values["attention_probs_dropout_prob"] = switches.dropout
        return ModelConfig(**values)

    @property
    def has_dropout(self) -> bool:
        """Return whether the model as it is built has any."""
        built = self.built_model()
        return built.hidden_dropout_prob + built.attention_probs_dropout_prob > 0

    @property
    def most_replicas(self) -> int:
        """Return how many micro-batches may be computed side by side; one with dropout, whose draws come from one generator."""
        return 1 if self.has_dropout else MOST_REPLICAS

    def max_cpu_rows(self, members: int = 1) -> int:
        """Return rows of a forward pass on a processor at most: of one run, or of each member of a stack."""
        training = self.training
        kept = activation_floats(self.built_model(), training.max_seq_length) * members
        fewest, most = _MICRO_BATCH_TOKENS
        tokens = min(most, max(fewest, _MICRO_BATCH_FLOATS // kept))
        return min(training.micro_batch_rows, max(1, tokens // training.max_seq_length))

    def max_gpu_rows(self, members: int = 1) -> int:
        """Return rows of a forward pass on a GPU: what the recipe says, or the global batch while memory allows.

        Every micro-batch costs the same few hundred launches, so that few large ones are faster than many small ones.
        A global batch that does not fit is cut into equal parts: 512 sequences of which 200 fit make three of 171.

        Args:
            members: Runs that are stacked.
        """
        training = self.training
        if training.per_device_train_batch_size != "auto":
            return min(training.per_device_train_batch_size, training.global_batch_size)
        kept = activation_floats(self.built_model(), training.max_seq_length) * members
        bytes_a_row = 4 * kept * training.max_seq_length
        most = max(1, _GPU_ACTIVATION_BYTES // bytes_a_row)
        parts = -(-training.global_batch_size // most)
        return -(-training.global_batch_size // parts)

    def initialisation(self) -> Initialisation:
        """Return how the weights start, with the switches of the room `models` applied."""
        switches = self.training.switches
        is_xavier = switches.initialization == "xavier"
        gain = switches.projection_norm_gain
        return Initialisation(
            weights="xavier-normal" if is_xavier else "normal",
            std=self.training.initializer_range,
            bias=0.01 if is_xavier else 0.0,
            projection_norm_gain=1.0 if gain is None else gain,
            projection_norm_bias=0.0 if gain is None else gain,
            zero_padding_row=not is_xavier,
        )

    def identity_settings(self) -> dict[str, Any]:
        """Return what affects the result, as plain data; devices, threads and saving are left out."""
        training = identity_values(self.training)
        training["objective"]["name"] = self.objective().name
        if not self.training.average_last:
            del training["average_last"]  # A run that averages nothing is the one of before.
        if self.training.switches.accumulation_off_by_one:
            training["micro_batches"] = self.training.micro_batches
        for row in switch_table():
            if row.room == "evaluation":
                del training["switches"][row.name]
        # Mixtures that end in the same switches are the same run, whatever profile they started from.
        del training["profile"]
        return {
            "model": self.model.model_dump(mode="json"),
            "training": training,
            "seed": self.seed,
            "initial_weights": self.initial_weights,
        }


def run_identity(config: RunConfig, tokens_manifest: Manifest) -> str:
    """Return the id of the run that `config` gives on this token store, before or after it is trained."""
    return artefact_id(
        RUN_KIND, RUN_SCHEMA, config.identity_settings(), {"tokens": tokens_manifest.id}
    )


def run_lineage(config: RunConfig, tokens_manifest: Manifest) -> str:
    """Return the identity of a run without its budget: equal for runs that differ in length alone."""
    settings = config.identity_settings()
    for name in ("max_steps", "num_train_epochs", "max_tokens"):
        del settings["training"][name]
    return content_id({"settings": settings, "tokens": tokens_manifest.id})
