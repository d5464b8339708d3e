"""Texts from causal models: transformers token for token, the cache against the slow twin, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.conftest import Line
from typer.testing import CliRunner

from lilliput.architecture import ModelConfig
from lilliput.cli._frame import build_app
from lilliput.core.errors import InputError
from lilliput.evaluation import GenerationSettings, generate_texts
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.generation.decoder import CachedDecoder, PlainDecoder
from lilliput.evaluation.generation.generate import encode_prompts, generate_tokens
from lilliput.evaluation.generation.kernel import _exponentials
from lilliput.evaluation.generation.sampling import choose, nucleus, probabilities
from lilliput.language import TextForm
from lilliput.models import build_model, export_model

PROMPTS = ("the", "we sees the old", "a", "you and the red dog takes", "now")
SHAPE = {
    "vocab_size": 300,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_seq_length": 32,
    "is_causal": True,
}


def spread(layout: str, **fields: object):
    """A model of random weights that are far enough apart for no two tokens to be almost tied."""
    model = build_model(ModelConfig.for_layout(layout, **(SHAPE | fields)), 0).eval()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return model


def prompts_of(count: int) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [[0, *rng.integers(5, 300, length % 7).tolist()] for length in range(1, count + 1)]


@pytest.mark.parametrize("tied", [False, True])
def test_greedy_equals_transformers_for_64_tokens(tmp_path: Path, tied: bool):
    transformers = pytest.importorskip("transformers")
    fields = {"embedding_size": 16, "max_seq_length": 80, "tie_word_embeddings": tied}
    model = spread("llama", **fields)
    export_model(model, tmp_path / "model")
    twin = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    prompts = prompts_of(6)
    for use_cache in (True, False):
        settings = GenerationSettings(max_new_tokens=64, use_cache=use_cache)
        found = generate_tokens(model, prompts, settings, end=2)
        assert len({ids[-8:] for ids, _ in found}) > 1
        for prompt, (ids, why) in zip(prompts, found, strict=True):
            given = torch.tensor([prompt])
            made = twin.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=64,
                do_sample=False,
                eos_token_id=2,
                pad_token_id=1,
            )
            assert [*ids, *[2] * (why == "end")] == made[0, len(prompt) :].tolist()


def test_a_run_writes_what_its_export_writes(line: Line, causal_run: Path, causal_export: Path):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(causal_export)
    twin = transformers.AutoModelForCausalLM.from_pretrained(causal_export).eval()
    settings = GenerationSettings(max_new_tokens=24)
    found = generate_texts(causal_run, PROMPTS, settings=settings, tokenizer=line.tokenizer).samples
    for one in found:
        given = tokenizer(one.prompt, return_tensors="pt")
        made = twin.generate(**given, max_new_tokens=24, do_sample=False, pad_token_id=1)
        new = made[0, given["input_ids"].shape[1] :].tolist()
        assert [*one.ids, *[2] * (one.stopped == "end")] == new
        assert one.text == tokenizer.decode(one.ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("layout", "fields"),
    [
        ("llama", {"embedding_size": 16}),
        ("llama", {"embedding_size": 16, "tie_word_embeddings": True, "linear_bias": True}),
        ("mini-bert", {"embedding_size": 8}),
        ("modernbert", {"embedding_size": 16}),
        ("electra", {"embedding_size": 8}),
        ("roberta", {"embedding_size": 16}),
    ],
)
def test_kept_keys_and_values_change_no_token_in_any_layout(layout, fields):
    model = spread(layout, **fields)
    prompts = prompts_of(6)
    for settings in (
        GenerationSettings(max_new_tokens=20),
        GenerationSettings(max_new_tokens=20, temperature=1.0, top_p=0.9, seed=3),
    ):
        plain = settings.model_copy(update={"use_cache": False})
        kept = generate_tokens(model, prompts, settings, end=2)
        assert kept == generate_tokens(model, prompts, plain, end=2)
        assert len({ids for ids, _ in kept}) > 2


def test_logits_of_ragged_texts_are_the_models_own():
    model = spread("llama", embedding_size=16)
    kept, plain = CachedDecoder(model), PlainDecoder(model)
    for decoder in (kept, plain):
        decoder.open(3, 32)
    for texts, added in (([0, 1, 2], [[0, 9], [0, 7, 8, 11], [0]]), ([2, 0], [[4, 5], [6]])):
        assert np.allclose(
            kept.advance(texts, added), plain.advance(texts, added), rtol=0, atol=2e-5
        )


def test_the_exponential_is_that_of_the_library():
    x = np.linspace(-86, 86, 100_001).astype(np.float32)
    found = x.copy()
    _exponentials(found, np.empty(len(x), np.int32))
    exact = np.exp(x.astype(np.float64))
    assert np.abs(found / exact - 1).max() < 2 * 2.0**-23
    _exponentials(far := np.array([-1e4, -100.0], np.float32), np.empty(2, np.int32))
    assert np.all(far < 1e-37)


def test_later_tokens_leave_earlier_logits_unchanged():
    model = spread("llama", embedding_size=16)
    decoder = CachedDecoder(model)
    decoder.open(2, 8)
    first = decoder.advance([0, 1], [[0, 9, 10], [0, 9, 10]])
    assert np.array_equal(first[0], first[1])
    assert not np.allclose(*decoder.advance([0, 1], [[5], [6]]))


def test_a_text_does_not_depend_on_its_batch():
    model = spread("llama", embedding_size=16)
    prompts = prompts_of(7)
    settings = GenerationSettings(max_new_tokens=12, temperature=0.8, samples=2, seed=5)
    whole = generate_tokens(model, prompts, settings, end=2)
    single = settings.model_copy(update={"batch_size": 1})
    assert whole == generate_tokens(model, prompts, single, end=2)
    assert whole[0] != whole[1]  # Two samples of one prompt.
    other = settings.model_copy(update={"seed": 6})
    assert whole != generate_tokens(model, prompts, other, end=2)


def test_a_text_ends_at_the_end_token_or_where_the_context_is_full():
    model = spread("llama", embedding_size=16)
    ((ids, why),) = generate_tokens(model, [[0, 9]], GenerationSettings(max_new_tokens=64), end=-1)
    assert (len(ids), why) == (30, "context")
    end = ids[4]
    ((short, why),) = generate_tokens(model, [[0, 9]], GenerationSettings(), end=end)
    assert (short, why) == (ids[: ids.index(end)], "end")
    ((few, why),) = generate_tokens(model, [[0, 9]], GenerationSettings(max_new_tokens=3), end=-1)
    assert (few, why) == (ids[:3], "length")


def test_the_nucleus_is_that_of_transformers():
    warpers = pytest.importorskip("transformers.generation.logits_process")
    rng = np.random.default_rng(0)
    for top_p in (0.1, 0.5, 0.9, 0.999):
        logits = (3 * rng.standard_normal((20, 50))).astype(np.float32)
        kept = warpers.TopPLogitsWarper(top_p)(None, torch.from_numpy(logits))
        for row, expected in zip(logits, kept, strict=True):
            found = nucleus(probabilities(row, 1.0), top_p)
            assert sorted(found.tolist()) == torch.isfinite(expected).nonzero().flatten().tolist()


def test_draws_follow_the_probabilities():
    logits = np.log(np.array([[0.5, 0.3, 0.2]], np.float32))
    rng = [np.random.default_rng(0)]
    settings = GenerationSettings(temperature=1.0, top_p=0.75)
    n = 4000
    drawn = [choose(logits, settings, rng)[0] for _ in range(n)]
    assert set(drawn) == {0, 1}
    share = drawn.count(0) / n
    assert abs(share - 0.625) < 4 * np.sqrt(0.625 * 0.375 / n)


def test_prompts_are_brought_into_the_form_of_the_corpus(line: Line):
    lower = SequenceEncoder.load(line.tokenizer, TextForm(characters="composed", lower_case=True))
    (shout, plain) = encode_prompts(lower, ["The DOG ", "the dog"], 64)
    assert shout == plain
    assert shout[0] == lower.special.bos


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([], "at least one prompt"),
        ([""], "must hold text"),
        (["the", " \t"], "prompt 2"),
        (["the dog " * 40], "at most 62 tokens"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_in_one_sentence(line, causal_run, prompts, said):
    with pytest.raises(InputError, match=said) as refusal:
        generate_texts(causal_run, prompts, tokenizer=line.tokenizer)
    assert "\n" not in str(refusal.value)


def test_a_prompt_of_unknown_tokens_alone_is_refused(tmp_path: Path, corpus: Path):
    from lilliput.tokenization import TokenizerSettings, train_tokenizer

    folder = train_tokenizer(corpus, tmp_path / "t", TokenizerSettings(kind="bpe", vocab_size=300))
    encoder = SequenceEncoder.load(folder)
    assert encode_prompts(encoder, ["the 猫"], 64)
    with pytest.raises(InputError, match="the tokenizer knows.*猫"):
        encode_prompts(encoder, ["猫"], 64)


def test_a_masked_run_is_sent_to_fill(line: Line):
    with pytest.raises(InputError, match="lilliput fill RUN"):
        generate_texts(line.run, ["the"], tokenizer=line.tokenizer)


def test_the_verb_reads_prompts_from_options_and_a_file(
    line: Line, causal_run: Path, tmp_path: Path
):
    (tmp_path / "prompts.txt").write_text("a\n\nnow the\n", encoding="utf-8")
    words = [
        "generate",
        str(causal_run),
        "--prompt",
        "the",
        "--prompts",
        str(tmp_path / "prompts.txt"),
    ]
    words += ["--tokenizer", str(line.tokenizer), "--max-new-tokens", "5"]
    done = CliRunner().invoke(build_app(), [*words, "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [one["prompt"] for one in record["samples"]] == ["the", "a", "now the"]
    assert all(len(one["ids"]) <= 5 for one in record["samples"])
    shown = CliRunner().invoke(build_app(), words).stdout
    assert record["samples"][2]["text"].splitlines()[0] in shown
    assert "Next: lilliput runs show" in shown
