"""What the network must do whatever its weights: counts, causality, masks, positions, kernels."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.conftest import VOCABULARY, small_config

from lilliput.architecture import LAYOUTS, ModelConfig, count_parameters
from lilliput.models import LanguageModel, build_model

FLOAT32_TOLERANCE = 1e-5  # a few hundred roundings of relative size 6e-8 on values near 1


def evaluated(config: ModelConfig, seed: int = 0, **options: object) -> LanguageModel:
    return build_model(config, seed, **options).eval()


def counted(model: LanguageModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_formula_and_built_model_have_the_same_parameters(data: st.DataObject):
    layout = data.draw(st.sampled_from(LAYOUTS))
    heads = data.draw(st.integers(1, 4))
    hidden = heads * 2 * data.draw(st.integers(1, 5))
    free = layout in {"mini-bert", "electra"}
    config = ModelConfig.for_layout(
        layout,
        vocab_size=data.draw(st.integers(5, 60)),
        embedding_size=data.draw(st.integers(1, 30)) if free else hidden,
        hidden_size=hidden,
        intermediate_size=data.draw(st.integers(1, 50)),
        num_attention_heads=heads,
        num_hidden_layers=data.draw(st.integers(1, 3)),
        max_seq_length=data.draw(st.integers(1, 20)),
        norm_position=data.draw(st.sampled_from(["pre", "post"])),
        norm_type=data.draw(st.sampled_from(["layer", "rms"])),
        hidden_act=data.draw(st.sampled_from(["gelu", "geglu", "swiglu"])),
        position_embedding_type=data.draw(st.sampled_from(["learned", "rotary"])),
        linear_bias=data.draw(st.booleans()),
        norm_bias=data.draw(st.booleans()),
        decoder_bias=data.draw(st.booleans()),
        skip_first_norm=data.draw(st.booleans()),
    )
    model = LanguageModel(config)
    count = count_parameters(config)
    assert counted(model) == count.total
    embedding = sum(parameter.numel() for parameter in model.embeddings.parameters())
    assert embedding == count.embedding
    hidden_states = torch.zeros(2, config.hidden_size)
    assert model.logits(hidden_states).shape == (2, config.vocab_size)


def test_all_42_published_models_have_their_published_size(golden: Path):
    with (golden / "paper_runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 42
    for row in rows:
        tied = row["tied_standard_roberta"] == "True"
        config = ModelConfig.for_layout(
            "roberta" if tied else "mini-bert",
            vocab_size=19_010,
            embedding_size=int(row["embedding_size"]),
            hidden_size=int(row["hidden_size"]),
            intermediate_size=int(row["intermediate_size"]),
            num_attention_heads=int(row["num_attention_heads_recorded"]),
            num_hidden_layers=int(row["num_hidden_layers"]),
            always_eight_heads=not tied,
        )
        with torch.device("meta"):
            model = LanguageModel(config)
        assert counted(model) == int(row["num_parameters"]), row["run"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", ["plain", "fused"])
def test_padding_changes_nothing(
    layout: str, kernel: str, batch: tuple[torch.Tensor, torch.Tensor]
):
    ids, mask = batch
    model = evaluated(small_config(layout), attention_kernel=kernel)
    with torch.no_grad():
        padded = model.encode(ids, mask)
        for row in range(len(ids)):
            length = int(mask[row].sum())
            alone = model.encode(ids[row : row + 1, :length])
            torch.testing.assert_close(
                padded[row, :length], alone[0], atol=FLOAT32_TOLERANCE, rtol=FLOAT32_TOLERANCE
            )


def test_without_a_mask_padding_is_seen(batch: tuple[torch.Tensor, torch.Tensor]):
    ids, mask = batch
    model = evaluated(small_config("mini-bert"), init="reference")
    with torch.no_grad():
        difference = model.encode(ids)[1, :9] - model.encode(ids, mask)[1, :9]
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_texts_packed_in_one_row_are_as_if_alone(layout: str):
    model = evaluated(small_config(layout))
    numbers = torch.Generator().manual_seed(0)
    texts = [torch.randint(5, VOCABULARY, (1, n), generator=numbers) for n in (7, 5, 4)]
    packed = torch.cat(texts, dim=1)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor([7, 5, 4]))
    positions = torch.cat([torch.arange(n) for n in (7, 5, 4)])[None]
    with torch.no_grad():
        together = model.encode(packed, (owner[:, None] == owner[None])[None], positions)
        alone = torch.cat([model.encode(text) for text in texts], dim=1)
    torch.testing.assert_close(together, alone, atol=FLOAT32_TOLERANCE, rtol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", ["plain", "fused"])
def test_gradients_show_who_sees_whom(layout: str, kernel: str):
    model = evaluated(small_config(layout), attention_kernel=kernel)
    length, place = 10, 6
    ids = torch.arange(5, 5 + length)[None]  # all differ, so each has its own embedding row
    model.encode(ids)[0, place, 0].backward()  # a sum over H would be constant after a LayerNorm
    gradient = model.embeddings.word.weight.grad
    assert gradient is not None
    seen = gradient[5 : 5 + length].abs().sum(1) > 0
    expected = torch.ones(length, dtype=torch.bool)
    if model.config.is_causal:
        expected[place + 1 :] = False
    assert seen.tolist() == expected.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("masked", [True, False])
def test_both_attention_kernels_agree(
    layout: str, masked: bool, batch: tuple[torch.Tensor, torch.Tensor]
):
    ids, mask = batch
    outputs: list[torch.Tensor] = []
    gradients: list[torch.Tensor] = []
    for kernel in ("plain", "fused"):
        model = evaluated(small_config(layout), attention_kernel=kernel)
        hidden = model.encode(ids, mask if masked else None)
        hidden[mask].square().sum().backward()
        outputs.append(hidden[mask].detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.layers.parameters()]))
    torch.testing.assert_close(*outputs, atol=FLOAT32_TOLERANCE, rtol=FLOAT32_TOLERANCE)
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)  # sums over 40 tokens


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "llama"])
@pytest.mark.parametrize("length", [9, 15, 16, 20])
@pytest.mark.parametrize("kernel", ["plain", "fused"])
def test_one_place_of_each_text_is_what_encoding_all_gives_there(
    layout: str, length: int, kernel: str
):
    # Lengths on either side of one vector of floats, where the plain kernel changes its softmax.
    model = evaluated(small_config(layout), attention_kernel=kernel)
    numbers = torch.Generator().manual_seed(length)
    ids = torch.randint(5, VOCABULARY, (6, length), generator=numbers)
    mask = torch.arange(length) < torch.tensor([length, 4, 7, length, 5, 6])[:, None]
    places = torch.tensor([0, 3, 1, length - 1, 4, 2])
    for seen in (None, mask):
        with torch.no_grad():
            everywhere = model.encode(ids.where(mask, model.plan.pad_token_id), seen)
            found = model.encode_at(ids.where(mask, model.plan.pad_token_id), places, seen)
        expected = everywhere[torch.arange(6), places]
        torch.testing.assert_close(found, expected, atol=FLOAT32_TOLERANCE, rtol=FLOAT32_TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", ["plain", "fused"])
def test_some_positions_are_what_encoding_all_gives_there(layout: str, kernel: str):
    numbers = torch.Generator().manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (5, 18), generator=numbers)
    owner = torch.arange(18) >= torch.tensor([18, 7, 9, 18, 12])[:, None]  # Two texts in a row.
    packed = owner[:, :, None] == owner[:, None, :]
    positions = torch.tensor([0, 3, 17, 18, 40, 41, 89, 3])  # Also twice, as spare ones are.
    # Three queries a text; what fills a text up is never looked at.
    queries = torch.tensor([[0, 3, 17], [18, 18, 18], [41, 40, 0], [0, 0, 0], [89, 72, 72]])
    slots = torch.tensor([0, 1, 2, 4, 7, 6, 12, 1])
    weights = torch.randn(len(positions), 1, generator=numbers)
    for mask in (None, packed):
        found: list[torch.Tensor] = []
        ways = ("all", "some", "asked")[: 2 if layout == "llama" else 3]
        for way in ways:
            model = evaluated(small_config(layout), attention_kernel=kernel)
            if way == "all":
                hidden = model.encode(ids, mask).flatten(0, 1)[positions]
            else:
                asked = (queries, slots) if way == "asked" else ()
                hidden = model.encode_some(ids, positions, mask, None, *asked)
            (hidden.square() * weights).sum().backward()
            gradients = torch.cat([p.grad.flatten() for p in model.layers.parameters()])
            found += [hidden.detach(), gradients]
        for way in range(1, len(ways)):
            torch.testing.assert_close(
                found[2 * way], found[0], atol=FLOAT32_TOLERANCE, rtol=FLOAT32_TOLERANCE
            )
            # Sums over 90 tokens.
            torch.testing.assert_close(found[2 * way + 1], found[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [3, 15, 16])
def test_attention_kernels_agree_for_short_texts(layout: str, length: int):
    numbers = torch.Generator().manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (4, length), generator=numbers)
    mask = torch.arange(length) < torch.tensor([length, 2, 3, 1])[:, None]
    gradients: list[torch.Tensor] = []
    for kernel in ("plain", "fused"):
        model = evaluated(small_config(layout), attention_kernel=kernel)
        model.encode(ids, mask)[mask].square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.layers.parameters()]))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)  # sums over 30 tokens at most


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_untrained_model_knows_nothing(layout: str):
    config = small_config(layout, vocab_size=2000)
    model = evaluated(config)
    numbers = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 2000, (8, 32), generator=numbers)
    targets = torch.randint(5, 2000, (256,), generator=numbers)
    with torch.no_grad():
        logits = model.logits(model.encode(ids).flatten(0, 1))
    loss = torch.nn.functional.cross_entropy(logits, targets)
    assert float(loss) == pytest.approx(math.log(2000), rel=0.02)


def test_dropout_acts_in_training_only(batch: tuple[torch.Tensor, torch.Tensor]):
    ids, _ = batch
    model = build_model(small_config("mini-bert"), seed=0).train()
    assert not torch.equal(model.encode(ids), model.encode(ids))
    model.eval()
    assert torch.equal(model.encode(ids), model.encode(ids))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", ["plain", "fused"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_position_that_sees_nothing_stays_finite(layout: str, kernel: str, dtype: torch.dtype):
    model = evaluated(small_config(layout), attention_kernel=kernel)
    ids = torch.arange(5, 13)[None]
    nobody = torch.zeros(1, 8, 8, dtype=torch.bool)
    nobody[:, :5, :5] = True  # the last three positions see nothing and are seen by nobody
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        hidden = model.encode(ids, nobody)
    hidden[:, :5].float().square().sum().backward()
    assert hidden.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.layers.parameters())


class Total(torch.nn.Module):
    """One number that depends on every weight."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids_BL: torch.Tensor) -> torch.Tensor:
        return self.model.logits(self.model.encode(ids_BL).flatten(0, 1)).logsumexp(-1).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stacked_models_compute_what_each_computes_alone(layout: str):
    config = small_config(layout)
    models = [evaluated(config, seed) for seed in range(3)]
    weights, _ = torch.func.stack_module_state(models)
    ids = torch.randint(5, VOCABULARY, (3, 2, 12), generator=torch.Generator().manual_seed(0))

    def stacked_total(state: dict[str, torch.Tensor], ids_BL: torch.Tensor) -> torch.Tensor:
        named = {f"model.{name}": tensor for name, tensor in state.items()}
        return torch.func.functional_call(Total(models[0]), named, (ids_BL,))

    gradients = torch.func.vmap(torch.func.grad(stacked_total))(weights, ids)
    for number, model in enumerate(models):
        Total(model)(ids[number]).backward()
        for name, parameter in model.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(
                gradients[name][number], expected, atol=1e-5, rtol=1e-5, msg=name
            )
