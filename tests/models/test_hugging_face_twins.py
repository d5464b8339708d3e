"""Each layout beside its Hugging Face twin: same weights, so same outputs and same gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.conftest import VOCABULARY, small_config
from torch.nn import functional

from lilliput.architecture import ModelConfig
from lilliput.models import (
    ClassificationHead,
    ExportedClassifier,
    LanguageModel,
    build_model,
    export_model,
    load_hugging_face,
    native_head_style,
    pool,
)
from lilliput.models.hugging_face.layouts import layout_of_type
from lilliput.models.hugging_face.names import to_foreign

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5  # float32

# RoBERTa has two names for the bias of its decoder, of which one is listed or gets a gradient.
TIED_COPIES = {"lm_head.bias", "lm_head.decoder.bias"}

TWINS: dict[str, tuple[str, dict[str, object]]] = {
    "roberta": ("roberta", {}),
    "roberta, untied": ("roberta", {"tie_word_embeddings": False}),
    "roberta, pre-norm": ("roberta", {"norm_position": "pre"}),
    "electra": ("electra", {}),
    "electra, E = H": ("electra", {"embedding_size": 24}),
    "modernbert": ("modernbert", {}),
    "modernbert, biases": (
        "modernbert",
        {"linear_bias": True, "norm_bias": True, "head_bias": True, "decoder_bias": False},
    ),
    "llama": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
}


def lively_model(name: str) -> LanguageModel:
    """A model whose biases and norms are not at their start, so that every one of them matters."""
    layout, fields = TWINS[name]
    model = build_model(small_config(layout, **fields), seed=1).eval()
    numbers = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=numbers), alpha=0.05)
    return model


def twin_of(model: LanguageModel, folder: Path) -> Any:
    export_model(model, folder)
    causal = model.config.is_causal
    loader = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForMaskedLM
    twin, loading = loader.from_pretrained(folder, output_loading_info=True)
    assert {what: names for what, names in loading.items() if names} == {}
    return twin.eval()


@pytest.mark.parametrize("name", TWINS)
def test_outputs_and_gradients_are_the_twins(
    name: str, tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]
):
    ids, mask = batch
    model = lively_model(name)
    twin = twin_of(model, tmp_path / "model")
    targets = torch.randint(5, VOCABULARY, (int(mask.sum()),), generator=torch.Generator())

    ours = model.logits(model.encode(ids, mask)[mask])
    theirs = twin(input_ids=ids, attention_mask=mask.long()).logits[mask]
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)

    functional.cross_entropy(ours, targets).backward()
    functional.cross_entropy(theirs, targets).backward()
    native = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    compared = to_foreign(native, layout_of_type(twin.config.model_type))
    expected = {key: p.grad for key, p in twin.named_parameters() if p.grad is not None}
    assert expected.keys() - TIED_COPIES == compared.keys() - TIED_COPIES
    for key, gradient in expected.items():
        torch.testing.assert_close(
            compared[key], gradient, atol=TOLERANCE, rtol=TOLERANCE, msg=f"gradient of {key}"
        )


@pytest.mark.parametrize("name", TWINS)
def test_without_a_mask_the_twin_agrees_too(
    name: str, tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]
):
    ids, _ = batch
    model = lively_model(name)
    twin = twin_of(model, tmp_path / "model")
    full = torch.ones_like(ids)  # transformers builds a mask from nothing but this
    with torch.no_grad():
        ours = model.logits(model.encode(ids).flatten(0, 1))
        theirs = twin(input_ids=ids, attention_mask=full).logits.flatten(0, 1)
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("name", ["roberta", "roberta, pre-norm", "electra", "modernbert", "llama"])
def test_classifiers_are_the_twins(
    name: str, tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]
):
    ids, mask = batch
    model = lively_model(name)
    style = native_head_style(model.config)
    torch.manual_seed(0)
    head = ClassificationHead(24, 3, style, norm_eps=model.config.layer_norm_eps).eval()
    pooling = "last" if name == "llama" else "first"
    exported = export_model(
        model,
        tmp_path / "model",
        classifier=ExportedClassifier(head, pooling, ("no", "maybe", "yes")),
    )
    twin, loading = transformers.AutoModelForSequenceClassification.from_pretrained(
        exported.path, output_loading_info=True
    )
    assert {what: names for what, names in loading.items() if names} == {}
    assert twin.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    with torch.no_grad():
        ours = head(pool(model.encode(ids, mask), mask, pooling))
        theirs = twin.eval()(input_ids=ids, attention_mask=mask.long()).logits
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


def test_modernbert_pools_by_mean_too(tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]):
    ids, mask = batch
    model = lively_model("modernbert")
    head = ClassificationHead(24, 2, "gelu+norm").eval()
    export_model(model, tmp_path / "m", classifier=ExportedClassifier(head, "mean", ("no", "yes")))
    twin = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "m").eval()
    with torch.no_grad():
        ours = head(pool(model.encode(ids, mask), mask, "mean"))
        theirs = twin(input_ids=ids, attention_mask=mask.long()).logits
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("name", TWINS)
def test_what_transformers_saves_can_be_trained_on_here(name: str, tmp_path: Path):
    model = lively_model(name)
    twin = twin_of(model, tmp_path / "exported")
    twin.save_pretrained(tmp_path / "saved")
    back = load_hugging_face(tmp_path / "saved")
    assert back.config == model.config
    state = model.state_dict()
    assert back.state_dict().keys() == state.keys()
    for key, tensor in back.state_dict().items():
        assert torch.equal(tensor, state[key]), key


class PublishedNetwork(torch.nn.Module):
    """The factorised model of arXiv 2305.17266, put together from transformers' RoBERTa as its authors did.

    RoBERTa's embeddings at width E; a linear map and a LayerNorm (called `emb2hidden` there); RoBERTa's
    encoder at width H; RoBERTa's head, untied.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        from transformers.models.roberta import modeling_roberta as roberta

        def sized(width: int) -> Any:
            return transformers.RobertaConfig(
                vocab_size=config.vocab_size,
                hidden_size=width,
                intermediate_size=config.intermediate_size,
                num_attention_heads=config.num_attention_heads,
                num_hidden_layers=config.num_hidden_layers,
                max_position_embeddings=config.max_position_embeddings,
                layer_norm_eps=1e-5,
                attn_implementation="eager",
            )

        self.embeddings = roberta.RobertaEmbeddings(sized(config.embedding_size))
        self.emb2hidden = torch.nn.Sequential(
            torch.nn.Linear(config.embedding_size, config.hidden_size),
            torch.nn.LayerNorm(config.hidden_size),
        )
        self.encoder = roberta.RobertaEncoder(sized(config.hidden_size))
        self.lm_head = roberta.RobertaLMHead(sized(config.hidden_size))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.emb2hidden(self.embeddings(input_ids=ids))
        return self.lm_head(self.encoder(hidden).last_hidden_state)


def test_mini_bert_is_the_published_network(batch: tuple[torch.Tensor, torch.Tensor]):
    ids, _ = batch  # no mask: the authors' code shows padding to the model
    model = build_model(small_config("mini-bert"), seed=1, init="reference").eval()
    published = PublishedNetwork(model.config).eval()
    bridge = {
        "projection.weight": "emb2hidden.0.weight",
        "projection.bias": "emb2hidden.0.bias",
        "projection_norm.weight": "emb2hidden.1.weight",
        "projection_norm.bias": "emb2hidden.1.bias",
    }

    def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        rest = {name: tensor for name, tensor in tensors.items() if name not in bridge}
        foreign = {
            k.removeprefix("roberta."): v
            for k, v in to_foreign(rest, layout_of_type("roberta")).items()
        }
        return foreign | {bridge[name]: tensors[name] for name in bridge}

    published.load_state_dict(renamed(model.state_dict()), strict=True)
    ours, theirs = model.logits(model.encode(ids).flatten(0, 1)), published(ids).flatten(0, 1)
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)

    targets = ids.flatten()
    functional.cross_entropy(ours, targets).backward()
    functional.cross_entropy(theirs, targets).backward()
    gradients = renamed({name: p.grad for name, p in model.named_parameters()})
    for name, parameter in published.named_parameters():
        if parameter.grad is not None:  # the head's second bias has none
            torch.testing.assert_close(
                gradients[name], parameter.grad, atol=TOLERANCE, rtol=TOLERANCE, msg=name
            )


def test_an_imported_model_learns(tmp_path: Path, batch: tuple[torch.Tensor, torch.Tensor]):
    ids, mask = batch
    twin_of(lively_model("electra"), tmp_path / "exported").save_pretrained(tmp_path / "saved")
    model = load_hugging_face(tmp_path / "saved").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses: list[float] = []
    for _ in range(60):
        loss = functional.cross_entropy(model.logits(model.encode(ids, mask)[mask]), ids[mask])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2, losses  # copying its own input is easy
