"""Configurations: what a layout fills in, and what is refused in the user's words."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.architecture import LAYOUTS, ModelConfig, shape_name
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import parse_settings


def small(layout: str = "mini-bert", **fields: object) -> ModelConfig:
    return ModelConfig.for_layout(layout, **{"vocab_size": 100, **fields})


def test_heads_that_do_not_divide_are_refused_with_the_nearest_that_do():
    with pytest.raises(ConfigurationError) as raised:
        small(hidden_size=130, num_attention_heads=4)
    assert str(raised.value) == (
        "hidden_size must be a multiple of num_attention_heads: got 130 and 4. Use 128 or 132."
    )


@given(hidden=st.integers(1, 600), heads=st.integers(1, 32))
def test_the_sizes_named_in_the_message_work(hidden: int, heads: int):
    def build(hidden_size: int) -> ModelConfig:
        return small(hidden_size=hidden_size, num_attention_heads=heads)

    if hidden % heads == 0:
        assert build(hidden).head_width == hidden // heads
        return
    with pytest.raises(ConfigurationError, match=f"got {hidden} and {heads}") as raised:
        build(hidden)
    suggested = [int(w) for w in raised.value.remedy.replace(".", "").split() if w.isdigit()]
    assert suggested
    for size in suggested:
        assert build(size).hidden_size == size


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"layout": "roberta", "embedding_size": 64, "hidden_size": 128}, "64 and 128"),
        ({"layout": "llama", "embedding_size": 24, "hidden_size": 24}, "24 / 8 = 3"),
        ({"embedding_size": 64, "hidden_size": 128, "tie_word_embeddings": True}, "128 and"),
        ({"max_position_embeddings": 2}, "got 2"),
        ({"vocab_size": 1}, "1 and 1"),
        ({"hidden_sise": 64}, "hidden_size"),
        ({"layout": "robertta"}, "robertta"),
        ({"hidden_size": -8}, "-8"),
        ({"hidden_dropout_prob": 1.0}, "1.0"),
        ({"hidden_size": 12, "num_attention_heads": 4, "always_eight_heads": True}, "12 and 8"),
    ],
)
def test_bad_sizes_are_named(fields: dict[str, object], value: str):
    layout = str(fields.pop("layout", "mini-bert"))
    with pytest.raises(ConfigurationError, match=value):
        small(layout, **fields)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_configuration_survives_its_record(layout: str):
    config = small(layout, max_seq_length=64)
    assert config.max_seq_length == 64
    assert parse_settings(ModelConfig, config.model_dump(mode="json")) == config


def test_switches_left_out_come_from_the_layout():
    config = parse_settings(ModelConfig, {"layout": "electra", "vocab_size": 50})
    assert config == ModelConfig.for_layout("electra", vocab_size=50)
    assert config.layer_norm_eps == 1e-12


def test_shape_name_keeps_the_recorded_heads():
    sizes = {"embedding_size": 32, "hidden_size": 32, "intermediate_size": 128}
    config = small(**sizes, num_attention_heads=2, num_hidden_layers=2, always_eight_heads=True)
    assert shape_name(config) == "32/32/128/2/2"
    assert config.num_built_heads == 8


def test_every_field_is_described():
    fields = ModelConfig.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_the_room_never_imports_torch():
    code = "import sys, lilliput.architecture; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
