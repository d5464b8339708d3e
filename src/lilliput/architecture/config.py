"""Configure a model: its layout, its sizes, and every switch of the one transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lilliput.architecture._layouts import LAYOUT_DEFAULTS, Layout
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings, parse_settings

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_REFERENCE_HEADS = 8


class ModelConfig(Settings):
    """A transformer, up to its weights. Switches left out are filled in from the layout.

    Raises:
        ConfigurationError: The sizes do not fit together; the message names sizes that would.
    """

    layout: Layout = Field(..., description="Named family whose defaults fill the other switches.")
    vocab_size: PositiveInt = Field(..., description="Rows of the word-embedding table, in tokens.")
    embedding_size: PositiveInt = Field(default=256, description="Width E of the word embeddings.")
    hidden_size: PositiveInt = Field(default=256, description="Width H between the layers.")
    intermediate_size: PositiveInt = Field(
        default=1024, description="Width I inside the feed-forward."
    )
    num_attention_heads: PositiveInt = Field(default=8, description="Attention heads A a layer.")
    num_hidden_layers: PositiveInt = Field(default=8, description="Layers L.")
    max_position_embeddings: PositiveInt = Field(
        ..., description="Rows of the position table; for rotary positions the longest text."
    )
    position_offset: NonNegativeInt = Field(
        ...,
        description="Table row of the first token: 2 in RoBERTa, where padding has row pad_token_id.",
    )
    type_vocab_size: NonNegativeInt = Field(
        ..., description="Rows of the token-type table (only row 0 is read); 0 leaves it out."
    )
    embedding_norm: bool = Field(..., description="Normalise the summed embeddings.")
    projection: Literal["none", "linear", "linear+norm"] = Field(
        ...,
        description="How E becomes H: not at all (E = H), a linear map (left out where E = H), or a linear map and a norm (always there).",
    )
    norm_type: Literal["layer", "rms"] = Field(..., description="LayerNorm or RMSNorm.")
    norm_position: Literal["post", "pre"] = Field(
        ...,
        description="Normalise after each residual sum, or before each sublayer and at the end.",
    )
    skip_first_norm: bool = Field(
        ..., description="With pre-norm: no norm before the first attention (ModernBERT)."
    )
    position_embedding_type: Literal["learned", "rotary"] = Field(
        ..., description="A table added to the embeddings, or rotation of queries and keys."
    )
    rope_theta: PositiveFloat = Field(..., description="Base of the rotary wavelengths.")
    hidden_act: Literal["gelu", "geglu", "swiglu"] = Field(
        ..., description="Feed-forward: GELU with two matrices, or gated with three."
    )
    linear_bias: bool = Field(..., description="Biases in attention and feed-forward.")
    norm_bias: bool = Field(..., description="Biases in the LayerNorms.")
    head: Literal["hidden", "embedding", "none"] = Field(
        ...,
        description="Before the decoder: dense to H, GELU, norm (RoBERTa); dense to E, GELU, norm (ELECTRA); nothing.",
    )
    head_bias: bool = Field(..., description="A bias in the head's dense layer.")
    decoder_bias: bool = Field(..., description="One bias a token on the logits.")
    tie_word_embeddings: bool = Field(..., description="Decode with the word-embedding matrix.")
    is_causal: bool = Field(..., description="Each token sees only itself and the past.")
    hidden_dropout_prob: float = Field(
        ..., ge=0.0, lt=1.0, description="Dropout after embeddings, attention and feed-forward."
    )
    attention_probs_dropout_prob: float = Field(
        ..., ge=0.0, lt=1.0, description="Dropout on attention weights."
    )
    layer_norm_eps: PositiveFloat = Field(..., description="Added to the variance in norms.")
    pad_token_id: NonNegativeInt = Field(default=1, description="Id of padding.")
    always_eight_heads: bool = Field(
        default=False,
        description="Build 8 heads whatever num_attention_heads says, as the reference code did by a misspelt keyword; names and flops_reference keep the recorded number. Changes results wherever it is not 8.",
    )

    @classmethod
    def for_layout(
        cls, layout: str, *, max_seq_length: int | None = None, **fields: Any
    ) -> ModelConfig:
        """Return the configuration of a layout with these sizes and departures.

        Args:
            layout: One of `LAYOUTS`.
            max_seq_length: Longest text in tokens; sets `max_position_embeddings`.
            **fields: Any field of the class.

        Raises:
            ConfigurationError: The layout or a field is unknown, or the sizes do not fit.
        """
        values = {"layout": layout, **fields}
        if max_seq_length is not None:
            offset = values.get(
                "position_offset", LAYOUT_DEFAULTS.get(layout, {}).get("position_offset", 0)
            )
            # What is no number is refused below, with its name.
            values["max_position_embeddings"] = max_seq_length + (
                offset if isinstance(offset, int) else 0
            )
        return parse_settings(cls, values, where="the model")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_layout(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        defaults = LAYOUT_DEFAULTS.get(str(values.get("layout")), {})  # pyright: ignore[reportUnknownMemberType]
        return {**defaults, **values}

    @model_validator(mode="after")
    def _sizes_fit(self) -> ModelConfig:
        _check_heads(self)
        _check_embedding(self)
        if self.max_position_embeddings <= self.position_offset:
            raise ConfigurationError(
                f"max_position_embeddings must exceed position_offset {self.position_offset}",
                got=self.max_position_embeddings,
            )
        if self.pad_token_id >= self.vocab_size:
            raise ConfigurationError(
                "pad_token_id must be below vocab_size",
                got=f"{self.pad_token_id} and {self.vocab_size}",
            )
        return self

    @property
    def num_built_heads(self) -> int:
        """Return heads the model really has: `num_attention_heads`, or 8 with `always_eight_heads`."""
        return _REFERENCE_HEADS if self.always_eight_heads else self.num_attention_heads

    @property
    def head_width(self) -> int:
        """Return width of one attention head."""
        return self.hidden_size // self.num_built_heads

    @property
    def decoder_size(self) -> int:
        """Return width D of what the decoder multiplies."""
        return self.embedding_size if self.head == "embedding" else self.hidden_size

    @property
    def max_seq_length(self) -> int:
        """Return longest text, in tokens."""
        return self.max_position_embeddings - self.position_offset

    @property
    def has_projection(self) -> bool:
        """Return whether a linear map stands between embeddings and layers."""
        return self.projection == "linear+norm" or (
            self.projection == "linear" and self.embedding_size != self.hidden_size
        )

    @property
    def is_gated(self) -> bool:
        """Return whether the feed-forward has a gate, and so three matrices."""
        return self.hidden_act != "gelu"


def _check_heads(config: ModelConfig) -> None:
    hidden, heads = config.hidden_size, config.num_built_heads
    if hidden % heads:
        below, above = hidden // heads * heads, (hidden // heads + 1) * heads
        raise ConfigurationError(
            "hidden_size must be a multiple of num_attention_heads",
            got=f"{hidden} and {heads}",
            remedy=f"Use {below} or {above}." if below else f"Use {above}.",
        )
    if config.position_embedding_type == "rotary" and config.head_width % 2:
        raise ConfigurationError(
            "hidden_size / num_attention_heads must be even for rotary positions",
            got=f"{hidden} / {heads} = {config.head_width}",
            remedy=f"Use hidden_size {hidden + heads}, or learned positions.",
        )


def _check_embedding(config: ModelConfig) -> None:
    embedding, hidden = config.embedding_size, config.hidden_size
    if embedding != hidden and config.projection == "none":
        raise ConfigurationError(
            f"embedding_size must equal hidden_size in the layout {config.layout}",
            got=f"{embedding} and {hidden}",
            remedy="Use the layout electra or mini-bert, or make them equal.",
        )
    if config.tie_word_embeddings and config.decoder_size != embedding:
        raise ConfigurationError(
            "a tied decoder must have the embedding's width",
            got=f"{config.decoder_size} and embedding_size {embedding}",
            remedy="Set head to 'embedding', or tie_word_embeddings to false.",
        )
