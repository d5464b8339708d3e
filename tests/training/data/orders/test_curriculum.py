"""Curricula: pacing by its formulas, epochs that are permutations, a control without an effect."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lilliput.core.artefacts import building
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.training import TrainingConfig
from lilliput.training.data.orders import OrderContext
from lilliput.training.data.orders.curriculum import Curriculum, CurriculumSettings
from lilliput.training.data.orders.pacing import offered_share
from lilliput.training.data.orders.shuffled import places_in_epochs
from lilliput.training.data.sequences import cut_sequences

DOCUMENTS = 90
E10 = math.exp(10)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path, np.ndarray]:
    """A token store of 90 documents, and their scores in another order than the store's."""
    root = tmp_path_factory.mktemp("curriculum")
    rng = np.random.default_rng(0)
    ids = rng.choice(2**60, DOCUMENTS, replace=False).astype(np.uint64)
    lengths = rng.integers(5, 60, DOCUMENTS)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    with building(root / "tokens", "tokens", 1, {}, {"tokenizer": "0" * 16}) as build:
        np.save(build.path("train.tokens.npy"), np.arange(offsets[-1]).astype(np.uint16) % 50 + 5)
        np.save(build.path("train.offsets.npy"), offsets)
        np.save(build.path("train.span_ids.npy"), ids)
        np.save(build.path("token_bytes.npy"), np.ones(60, np.int32))
        np.save(build.path("word_start.npy"), np.ones(60, np.bool_))
        build.facts["vocab_size"] = 60
    scores = rng.normal(size=DOCUMENTS)
    order = rng.permutation(DOCUMENTS)
    with building(root / "scores", "span-scores", 1, {"name": "x"}, {"corpus": "c"}) as build:
        table = {"span_id": ids[order], "split": ["train"] * DOCUMENTS, "score": scores[order]}
        parquet.write_table(pa.table(table), build.path("shards/00000.parquet"))
    return root / "tokens", root / "scores", scores


def order_of(folders, *, steps: int = 40, batch: int = 8, seed: int = 0, **settings) -> Curriculum:
    tokens, scores, _ = folders
    offsets = np.load(tokens / "train.offsets.npy")
    given = CurriculumSettings(by="x", **settings).model_copy(update={"scores": str(scores)})
    return Curriculum(
        OrderContext(
            settings=given,
            seed=seed,
            sequences=cut_sequences(np.load(tokens / "train.tokens.npy"), offsets, 32),
            max_steps=steps,
            places=steps * batch,
            shuffle=True,
            store=tokens,
        )
    )


def stream(order: Curriculum, batch: int = 8) -> np.ndarray:
    steps = order.context.max_steps
    return np.concatenate([order.sequences_at(t + 1, t * batch, batch) for t in range(steps)])


def score_of(order: Curriculum, folders) -> np.ndarray:
    return folders[2][order.context.sequences.documents]


@pytest.mark.parametrize(
    ("pacing", "expected"),
    [
        ("linear", [0.2, 0.4, 0.6, 1.0]),
        ("quadratic", [0.2, 0.25, 0.4, 1.0]),
        ("root", [0.2, 0.6, 0.2 + 0.8 * math.sqrt(0.5), 1.0]),
        ("exponential", [0.2, *(0.2 + 0.8 * (math.exp(10 * x) - 1) / (E10 - 1) for x in (0.25, 0.5)), 1.0]),
        ("logarithmic", [0.2, *(0.2 + 0.8 * (1 + 0.1 * math.log(x + math.exp(-10))) for x in (0.25, 0.5)), 1.0]),
    ],
)  # fmt: skip
def test_pacing_follows_its_formula(pacing, expected):
    found = [offered_share(pacing, x, 0.2) for x in (0, 0.25, 0.5, 1)]
    assert found == pytest.approx(expected, abs=1e-12)


@given(
    st.integers(0, 2**32),
    st.sampled_from(["up", "down", "shuffled", "interleaved"]),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_a_run_reads_what_the_shuffled_order_reads_in_another_order(
    folders, seed, direction, buckets, steps
):
    order = order_of(folders, steps=steps, seed=seed, direction=direction, buckets=buckets)
    found = stream(order)
    size = len(order.context.sequences)
    shuffled = places_in_epochs(size, seed, 0, steps * 8)
    for first in range(0, len(found), size):  # Each epoch by itself, the last one cut short.
        part = slice(first, first + size)
        assert np.array_equal(np.sort(found[part]), np.sort(shuffled[part]))


def test_scores_rise_fall_or_rise_again_and_again(folders):
    up = order_of(folders, steps=20, direction="up", buckets=10)
    size = len(up.context.sequences)
    first = stream(up)[:size]
    means = [part.mean() for part in np.array_split(score_of(up, folders)[first], 10)]
    assert (np.diff(means) > 0).all()
    down = order_of(folders, steps=20, direction="down", buckets=10)
    fallen = score_of(down, folders)[stream(down)[:size]]
    assert (np.diff([part.mean() for part in np.array_split(fallen, 10)]) < 0).all()
    waves = order_of(folders, steps=40, direction="interleaved", cycles=3, buckets=5)
    scores = score_of(waves, folders)[stream(waves)[:size]]
    for wave in np.array_split(scores, 3):
        assert wave[: len(wave) // 3].mean() < wave[-len(wave) // 3 :].mean()


def test_any_step_can_be_asked_for_alone(folders):
    for sampler in ("buckets", "competence"):
        order = order_of(folders, sampler=sampler)
        again = order_of(folders, sampler=sampler)
        for step in (40, 1, 17, 39):
            places = (step - 1) * 8
            asked = again.sequences_at(step, places, 8)
            assert np.array_equal(asked, order.sequences_at(step, places, 8))


def test_competence_offers_the_easiest_share_and_repeats_it(folders):
    order = order_of(folders, steps=400, sampler="competence", pacing="linear", start=0.1)
    ranks = np.argsort(np.argsort(score_of(order, folders), kind="stable"))
    size = len(order.context.sequences)
    for step in (1, 100, 200, 400):
        share = offered_share("linear", (step - 1) / 399, 0.1)
        read = order.sequences_at(step, (step - 1) * 8, 8)
        assert ranks[read].max() < max(8, round(share * size))
    counts = np.bincount(stream(order), minlength=size)
    easy, hard = counts[ranks < size // 5].mean(), counts[ranks >= size - size // 5].mean()
    assert easy > 3 * hard


def test_the_control_has_no_trend_in_the_scores_in_300_trials(folders):
    """A correlation of place and score is claimed at 5 %; more than 8 % false claims has probability 1 %."""
    claims = 0
    for seed in range(300):
        order = order_of(folders, steps=12, seed=seed, direction="shuffled", buckets=20)
        read = order.context.sequences.documents[stream(order)]
        scores = folders[2][read]
        # One value a document: its sequences stand together.
        first = np.unique(read, return_index=True)[1]
        n = len(first)
        places, values = np.argsort(np.argsort(first)), scores[first]
        r = np.corrcoef(places, values)[0, 1]
        claims += abs(r) * math.sqrt((n - 2) / (1 - r * r)) > 2.0
    assert claims / 300 < 0.08


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"by": "x", "sampler": "competence", "buckets": 5}, "order.buckets would do nothing"),
        ({"by": "x", "start": 0.5}, "order.start would do nothing"),
        ({"by": "x", "cycles": 2}, "order.cycles would do nothing"),
        ({"by": "x", "sampler": "competence", "direction": "interleaved"}, "needs sampler"),
        ({"by": "x", "sampler": "competence", "start": 0.0}, "greater than 0"),
        ({"by": "x", "direction": "upwards"}, "'up', 'down', 'shuffled' or 'interleaved'"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(order, message):
    with pytest.raises((ConfigurationError, ValueError), match=message):
        TrainingConfig.model_validate({"order": order})


def test_a_table_with_by_means_a_curriculum(folders):
    training = TrainingConfig.model_validate({"order": {"by": "x", "scores": "scores"}})
    assert training.order.name == "curriculum"
    located = training.located(folders[1].parent)
    assert located.order.scores_id
    with pytest.raises(InputError):
        training.located(folders[1])


def test_a_curriculum_without_scores_says_how_to_make_them(folders):
    context = order_of(folders).context
    bare = OrderContext(**(vars(context) | {"settings": CurriculumSettings(by="x")}))
    with pytest.raises(ConfigurationError, match="lilliput corpus score"):
        Curriculum(bare)
