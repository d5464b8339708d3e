"""A layout is one module: its names, and both ways through config.json."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import CamembertConfig, CamembertForMaskedLM

from lilliput.architecture import LAYOUTS, ModelConfig
from lilliput.core.errors import InputError
from lilliput.models import build_model, load_hugging_face
from lilliput.models.hugging_face.layouts import base, foreign_layout, layout_of_type
from lilliput.models.hugging_face.layouts.roberta import ROBERTA

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_table_writes_itself_and_reads_what_it_wrote(layout):
    config = ModelConfig.for_layout(layout, max_seq_length=20, embedding_size=16, **SIZES)
    foreign = foreign_layout(config)
    assert foreign.native == layout
    assert foreign.read(foreign.to_config(config)) == config
    names = [name for name, _ in build_model(config, 0).named_parameters()]
    everything = [foreign_name for name in names for foreign_name in foreign.foreign_names(name)]
    assert len(everything) == len(set(everything)) >= len(names)


def test_what_a_layout_cannot_say_goes_to_our_own():
    config = ModelConfig.for_layout(
        "roberta", max_seq_length=20, embedding_size=16, hidden_act="geglu", **SIZES
    )
    assert foreign_layout(config).model_type == "lilliput"
    assert foreign_layout(config).brings_code


def test_an_unknown_layout_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="electra, lilliput, llama") as refused:
        layout_of_type("gpt2")
    assert "'gpt2'" in str(refused.value)
    with pytest.raises(InputError):
        layout_of_type(["roberta"])


def test_a_layout_from_outside_is_imported(monkeypatch, tmp_path):
    """CamemBERT has RoBERTa's tensors under RoBERTa's names, in a layout of its own."""
    monkeypatch.setattr(base.REGISTRY, "_items", base.REGISTRY.items())
    base.register_layout(
        replace(ROBERTA, model_type="camembert", class_prefix="Camembert", fits=lambda _: False)
    )
    twin = CamembertForMaskedLM(
        CamembertConfig(**SIZES, max_position_embeddings=22, pad_token_id=1, type_vocab_size=2)
    ).eval()
    twin.save_pretrained(tmp_path / "model")
    model = load_hugging_face(tmp_path / "model").eval()
    ids = torch.randint(5, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = twin(ids).logits
        torch.testing.assert_close(model.logits(model.encode(ids)), expected, rtol=1e-5, atol=1e-5)
    assert foreign_layout(model.config) is ROBERTA
