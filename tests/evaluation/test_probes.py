"""Probes: balanced, without leaks between train and dev, and without cues that give them away."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.errors import InputError
from lilliput.core.seeding import generator
from lilliput.evaluation import ProbeSettings, build_probes
from lilliput.evaluation.probes.makers import make_coherence, make_source, make_word_order
from lilliput.evaluation.probes.windows import DocumentWindows, Window, read_documents

words = st.lists(
    st.sampled_from(["we", "saw", "the", "old,", "dog.", "run", "And", "home"]),
    min_size=4,
    max_size=9,
)


def _document(number, label, windows, joiner=" "):
    name = f"doc-{number}"
    spans = tuple(tuple(Window(tuple(w), joiner, name, label) for w in span) for span in windows)
    return DocumentWindows(name, label, spans)


@given(st.lists(words, min_size=1, max_size=30, unique_by=tuple), st.booleans())
def test_a_swap_moves_two_inner_plain_words_and_nothing_else(windows, both_ways):
    documents = [_document(0, "a", [windows])]
    written = {" ".join(w) for w in windows}
    examples = make_word_order(documents, 40, generator(0), both_ways=both_ways)
    assert sum(e.label for e in examples) * 2 == len(examples)
    for example in examples:
        (text,) = example.texts
        if example.label == 1:
            assert text in written
            continue
        got = text.split(" ")
        origins = [w for w in windows if sorted(w) == sorted(got) and w != got]
        moved = [
            [i for i, (a, b) in enumerate(zip(w, got, strict=True)) if a != b] for w in origins
        ]
        fits = [m for m in moved if len(m) == 2 and m[1] == m[0] + 1]
        assert any(m[0] > 0 and m[1] < len(got) - 1 for m in fits)
        assert any(all(got[i].isalnum() for i in m) for m in fits)


@given(st.integers(0, 100), st.integers(2, 60), st.integers(1, 5))
def test_coherence_pairs_are_true_neighbours_or_other_documents(seed, count, documents):
    sentences = [[[f"d{d}", "s", str(i), "x"] for i in range(12)] for d in range(documents)]
    made = [_document(d, "same", [spans]) for d, spans in enumerate(sentences)]
    examples = make_coherence(made, count, generator(seed))
    assert len(examples) <= count
    assert sum(e.label for e in examples) * 2 == len(examples)
    for example in examples:
        first, second = (text.split(" ") for text in example.texts)
        if example.label == 1:
            assert first[0] == second[0]
            assert int(second[2]) == int(first[2]) + 1
        else:
            assert first[0] != second[0]
    assert len({e.texts[0] for e in examples}) == len(examples)


def test_a_false_pair_stays_within_its_source():
    made = [
        _document(d, "ab"[d % 2], [[["ab"[d % 2], str(d), str(i), "x"] for i in range(9)]])
        for d in range(8)
    ]
    false = [e for e in make_coherence(made, 100, generator(0)) if e.label == 0]
    assert len(false) > 10
    assert all(a[0] == b[0] for a, b in (example.texts for example in false))


def test_sources_are_balanced():
    made = [
        _document(d, label, [[[label, str(d), str(i), "x"] for i in range(10 * (d + 1))]])
        for d, label in enumerate("abc")
    ]
    examples = make_source(made, ["a", "b", "c"], 100, generator(0))
    assert np.bincount([e.label for e in examples]).tolist() == [10, 10, 10]
    assert all("abc"[e.label] == e.texts[0][0] for e in examples)


def test_train_and_dev_share_no_document_and_no_text(corpus, tmp_path):
    manifest = build_probes(corpus, tmp_path / "probes", seed=1)
    assert set(manifest.facts) == {"word_order", "coherence", "source"}
    for name, fact in manifest.facts.items():
        sets = [
            pq.read_table(tmp_path / "probes" / name / f"{s}.parquet") for s in ("train", "dev")
        ]
        assert [t.num_rows for t in sets] == [fact["train"], fact["dev"]]
        documents = [set(t["doc_id"].to_pylist()) for t in sets]
        assert not documents[0] & documents[1]
        fields = [c for c in sets[0].column_names if c.startswith("sentence")]
        texts = [set(zip(*(t[c].to_pylist() for c in fields), strict=True)) for t in sets]
        assert not texts[0] & texts[1]
        counts = [np.unique(t["label"].to_numpy(), return_counts=True)[1] for t in sets]
        assert all(c.max() - c.min() <= max(2, 0.1 * c.sum()) for c in counts)


def test_only_held_out_text_is_used(corpus, tmp_path):
    rows = pq.read_table(corpus / "shards" / "00000.parquet").to_pylist()
    held_out = {row["doc_id"] for row in rows if row["split"] != "train"}
    build_probes(corpus, tmp_path / "probes", seed=1)
    for path in (tmp_path / "probes").rglob("*.parquet"):
        assert set(pq.read_table(path)["doc_id"].to_pylist()) <= held_out


def test_the_same_seed_gives_the_same_probes_and_another_other_ones(corpus, tmp_path):
    first = build_probes(corpus, tmp_path / "a", seed=1)
    assert build_probes(corpus, tmp_path / "b", seed=1).content == first.content
    other = build_probes(corpus, tmp_path / "c", seed=2)
    assert other.content != first.content
    assert other.id != first.id
    assert build_probes(corpus, tmp_path / "a", seed=1).id == first.id


def test_the_label_can_be_a_prefix_of_another_column(corpus, tmp_path):
    settings = ProbeSettings(tasks=("source",), source_column="doc_id", source_prefix="/")
    manifest = build_probes(corpus, tmp_path / "probes", settings=settings)
    assert manifest.facts["source"]["classes"] == 3


def test_one_source_leaves_that_probe_out_and_says_why(make_corpus, tmp_path):
    corpus = make_corpus(sources=1)
    facts = build_probes(corpus, tmp_path / "probes").facts
    assert "1 source" in facts["source"]["left_out"]
    assert facts["word_order"]["train"] > 0


def test_a_script_without_spaces_is_cut_into_characters(make_corpus, tmp_path):
    corpus = make_corpus(space="")
    documents = read_documents(corpus, ProbeSettings(), seed=0)
    window = next(documents[0].windows)
    assert window.joiner == ""
    assert all(len(unit) == 1 for unit in window.units)
    assert build_probes(corpus, tmp_path / "probes").facts["word_order"]["dev"] > 0


def test_too_little_held_out_text_is_an_error_with_the_number(make_corpus, tmp_path):
    with pytest.raises(InputError, match="got 1 documents"):
        build_probes(make_corpus(held_out=1), tmp_path / "probes")
