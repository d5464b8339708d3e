"""Pruning: what is kept is a matter of spans and scores, never of the order of shards; held-out text stays whole."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.language.conftest import WORDS, make_documents

from lilliput.core.errors import ConfigurationError
from lilliput.core.verification import verify
from lilliput.language import CorpusSettings, build_corpus, from_counts, iter_texts
from lilliput.language.scores import score_corpus
from lilliput.language.scores.pruning import chosen_spans, prune_corpus
from lilliput.language.scores.settings import PruningSettings

SETTINGS = CorpusSettings(validation_share=0.1, test_share=0.1, min_words=20, span_words=60)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    build_corpus(make_documents(60), from_counts(dict.fromkeys(WORDS, 10)), out, SETTINGS)
    return out


@pytest.fixture(scope="module")
def scores(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scores") / "rarity"
    score_corpus(corpus, "rarity", out)
    return out


def spans(corpus: Path, split: str = "train") -> set[tuple]:
    return {
        (row["source"], row["doc_id"], row["position"], row["text"])
        for batch in iter_texts(corpus, split)
        for row in batch.to_pylist()
    }


def settings(keep: str, rate: float = 1 / 3, seed: int = 0) -> PruningSettings:
    return PruningSettings(keep=keep, rate=rate, seed=seed)


def test_low_middle_and_high_thirds_partition_the_train_split(corpus, scores, tmp_path):
    kept = {}
    for keep in ("low", "middle", "high"):
        facts = prune_corpus(corpus, tmp_path / keep, settings(keep), scores=scores)
        kept[keep] = spans(tmp_path / keep)
        assert facts["kept_spans"] == len(kept[keep])
        assert not verify(tmp_path / keep).mismatches
        for split in ("validation", "test"):
            assert spans(tmp_path / keep, split) == spans(corpus, split)
    assert sum(map(len, kept.values())) == len(spans(corpus))
    assert set.union(*kept.values()) == spans(corpus)


@given(st.integers(1, 60), st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_spans(count, draw):
    ids = np.array(draw.sample(range(10**6), count), np.uint64)
    values = np.array([draw.choice([0.0, 1.0, 2.0, 3.5]) for _ in range(count)])
    moved = np.array(draw.sample(range(count), count))
    for keep in ("low", "middle", "high", "gumbel", "random"):
        chosen = set(ids[chosen_spans(ids, values, settings(keep))].tolist())
        again = set(ids[moved][chosen_spans(ids[moved], values[moved], settings(keep))].tolist())
        assert chosen == again


@given(st.integers(0, 200), st.randoms())
def test_thirds_are_a_partition_for_every_number_of_spans(count, draw):
    ids = np.arange(count, dtype=np.uint64)
    values = np.array([draw.random() for _ in range(count)])
    parts = [chosen_spans(ids, values, settings(keep)) for keep in ("low", "middle", "high")]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(count))


def test_gumbel_top_k_draws_without_replacement_in_proportion_to_exp_score():
    weights = np.array([1.0, 2.0, 3.0, 6.0])
    total = weights.sum()
    exact = np.zeros(4)  # Chance of each of four items to be among two drawn one after the other.
    for first, second in permutations(range(4), 2):
        chance = weights[first] / total * weights[second] / (total - weights[first])
        exact[[first, second]] += chance
    trials, found = 4000, np.zeros(4)
    ids = np.arange(4, dtype=np.uint64)
    for seed in range(trials):
        found[chosen_spans(ids, np.log(weights), settings("gumbel", 0.5, seed))] += 1
    # Five standard errors of a share.
    assert np.abs(found / trials - exact).max() < 5 * 0.5 / np.sqrt(trials)


def test_random_pruning_copies_the_mix_of_sources(corpus, scores, tmp_path):
    prune_corpus(corpus, tmp_path / "low", settings("low", 0.4), scores=scores)
    prune_corpus(corpus, tmp_path / "mix", settings("random-mix", 0.4), like=tmp_path / "low")

    def mix(folder: Path) -> Counter:
        return Counter(source for source, *_ in spans(folder))

    assert mix(tmp_path / "mix") == mix(tmp_path / "low")
    assert spans(tmp_path / "mix") != spans(tmp_path / "low")


def test_scores_of_another_corpus_and_missing_ones_are_refused(corpus, scores, tmp_path):
    other = tmp_path / "other"
    build_corpus(make_documents(30, seed=5), from_counts(dict.fromkeys(WORDS, 10)), other, SETTINGS)
    with pytest.raises(ConfigurationError, match="scores must be of the corpus that is pruned"):
        prune_corpus(other, tmp_path / "a", settings("low"), scores=scores)
    with pytest.raises(ConfigurationError, match="needs the scores of the corpus"):
        prune_corpus(corpus, tmp_path / "b", settings("low"))
    with pytest.raises(ConfigurationError, match="needs a pruned corpus whose mix"):
        prune_corpus(corpus, tmp_path / "c", settings("random-mix"))
    assert not list(tmp_path.glob("[abc]"))


def test_importance_prefers_the_target(corpus, tmp_path):
    target = tmp_path / "target"
    documents = [d for d in make_documents(60) if d.source == "first"]
    chosen = set(WORDS[:20])
    built = [d.__class__(" ".join(w for w in d.text.split() if w.strip(".") in chosen) + ".", d.doc_id, d.source)
             for d in documents]  # fmt: skip
    rules = SETTINGS.model_copy(update={"min_words": 5})
    build_corpus(built, from_counts(dict.fromkeys(WORDS, 10)), target, rules)
    score_corpus(corpus, {"name": "importance", "target": str(target)}, tmp_path / "dsir")
    prune_corpus(corpus, tmp_path / "near", settings("high", 0.2), scores=tmp_path / "dsir")

    def share(folder: Path) -> float:
        words = [w.strip(".") for *_, text in spans(folder) for w in text.split()]
        return sum(w in chosen for w in words) / len(words)

    assert share(tmp_path / "near") > share(corpus) + 0.02
