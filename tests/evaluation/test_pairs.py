"""Minimal pairs: Zorro's published scores, minicons sentence by sentence, and what must not matter."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lilliput.architecture import ModelConfig
from lilliput.architecture.initialisation import Initialisation
from lilliput.core.errors import ConfigurationError, EmptyCorpusError, InputError
from lilliput.evaluation import PairSettings, evaluate_pairs, read_scores, write_babylm_pairs
from lilliput.evaluation.encoding import SequenceEncoder, TokenizedText
from lilliput.evaluation.pairs.likelihood import masked_copies, score_sentences
from lilliput.evaluation.pairs.reading import Pair, find_paradigms, read_all_pairs, read_paradigm
from lilliput.evaluation.pairs.record import mean_over_paradigms
from lilliput.evaluation.scores.score import pair_hits
from lilliput.models import build_model, export_model
from lilliput.tokenization import SpecialIds
from lilliput.training import load_model

SPECIAL = SpecialIds(bos=0, pad=1, eos=2, mask=4)

# Accuracy of RoBERTa-base in percent, from its published cross-entropies
# (github.com/phueb/Zorro, 687ba43): the mean over 23 paradigms and six of them.
ZORRO_MEAN = 82.489
ZORRO = {
    "agreement_determiner_noun-across_1_adjective": 92.65,
    "anaphor_agreement-pronoun_gender": 91.00,
    "argument_structure-dropped_argument": 52.90,
    "case-subjective_pronoun": 75.15,
    "irregular-verb": 99.90,
    "quantifiers-superlative": 87.90,
}


@pytest.fixture(scope="module")
def zorro_hits(golden):
    table = pq.read_table(golden / "zorro_roberta_base.parquet").to_pandas()
    sides = table.pivot_table("cross_entropy", ["paradigm", "pair"], "grammatical")
    return {
        # The published figures count a tie as a miss.
        name: (part[True].to_numpy() < part[False].to_numpy()).astype(float)
        for name, part in sides.groupby("paradigm")
    }


def test_zorro_cross_entropies_give_the_published_accuracies(zorro_hits):
    assert len(zorro_hits) == 23
    assert all(len(found) == 2000 for found in zorro_hits.values())
    for name, expected in ZORRO.items():
        assert 100 * zorro_hits[name].mean() == pytest.approx(expected, abs=1e-9)
    (mean,) = mean_over_paradigms(
        "zorro", [{"trained": found} for found in zorro_hits.values()], resamples=200
    )
    assert 100 * mean.value == pytest.approx(ZORRO_MEAN, abs=5e-4)
    # 46,000 pairs: the interval of the mean is a third of a point wide at most on either side.
    assert 0 < mean.value - mean.low < 0.004
    assert 0 < mean.high - mean.value < 0.004


def test_a_tie_counts_one_half():
    good, bad = np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.0, 1.0])
    assert pair_hits(good, bad).tolist() == [0.5, 1.0, 0.0]


def _model(layout, **fields):
    config = ModelConfig.for_layout(
        layout,
        vocab_size=300,
        embedding_size=32,
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_seq_length=64,
        **fields,
    )
    # Far from uniform, so that a wrong position or mask shows.
    return build_model(config, 0, Initialisation(std=0.3)).eval()


@pytest.fixture(scope="module")
def sentences(corpus):
    table = pq.read_table(corpus / "shards" / "00000.parquet")
    texts = [s for text in table["text"].to_pylist() for s in text.split(".") if s.strip()]
    return [f"{s.strip()}'s end, twice." for s in texts[:200]]


@pytest.mark.parametrize(
    "layout",
    [
        "roberta",
        pytest.param("electra", marks=pytest.mark.slow),
        pytest.param("modernbert", marks=pytest.mark.slow),
    ],
)
def test_pseudo_log_likelihoods_equal_minicons_for_an_exported_model(
    layout, line, sentences, tmp_path
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries we do not steer
        from minicons import scorer

        model = _model(layout)
        export_model(model, tmp_path / "model", tokenizer=line.tokenizer)
        peer = scorer.MaskedLMScorer(str(tmp_path / "model"), "cpu")
        # minicons calls a method that transformers 5 has dropped; calling the tokenizer is the same.
        peer.tokenizer.batch_encode_plus = peer.tokenizer.__call__
        encoder = SequenceEncoder.load(line.tokenizer)
        tokenised = encoder.tokenised(sentences)
        assert len(sentences) == 200
        for method, name in (("plain", "original"), ("within_word_l2r", "within_word_l2r")):
            ours = score_sentences(model, tokenised, encoder.special, PairSettings(method=method))
            theirs = [
                float(value)
                for i in range(0, 200, 20)
                for value in peer.sequence_score(
                    sentences[i : i + 20], reduction=lambda x: x.sum(0), PLL_metric=name
                )
            ]
            np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_causal_scores_equal_the_plain_sum_of_log_softmax():
    model = _model("llama")
    sentence = TokenizedText((10, 20, 30, 40), (0, 1, 2, 3))
    (score,) = score_sentences(model, [sentence], SPECIAL, PairSettings(method="causal"))
    with torch.no_grad():
        hidden = model.encode(torch.tensor([[0, 10, 20, 30, 40]]))[0]
        found = model.logits(hidden).log_softmax(-1)
    expected = sum(float(found[i, token]) for i, token in enumerate(sentence.ids))
    assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", ["plain", "within_word_l2r", "masked_once", "causal"])
def test_company_and_batch_size_change_nothing(method):
    model = _model("llama" if method == "causal" else "roberta")
    rng = np.random.default_rng(0)
    sentences = [
        TokenizedText(tuple(rng.integers(5, 300, n)), tuple(np.arange(n) // 2))
        for n in (1, 2, 3, 9, 9, 17, 40)
    ]
    together = score_sentences(model, sentences, SPECIAL, PairSettings(method=method))
    small = PairSettings(method=method, batch_tokens=60)
    np.testing.assert_allclose(
        score_sentences(model, sentences, SPECIAL, small), together, rtol=1e-5
    )
    alone = [
        score_sentences(model, [s], SPECIAL, PairSettings(method=method))[0] for s in sentences
    ]
    np.testing.assert_allclose(alone, together, rtol=1e-5)
    per_token = score_sentences(
        model, sentences, SPECIAL, PairSettings(method=method, normalise=True)
    )
    np.testing.assert_allclose(per_token * [len(s.ids) for s in sentences], together, rtol=1e-12)


def test_masked_once_with_a_pass_a_token_is_plain():
    model = _model("roberta")
    sentences = [TokenizedText((9, 8, 7, 6, 5), (0, 0, 1, 2, 2))]
    once = PairSettings(method="masked_once", masked_once_parts=64)
    np.testing.assert_allclose(
        score_sentences(model, sentences, SPECIAL, once),
        score_sentences(model, sentences, SPECIAL, PairSettings()),
        rtol=1e-6,
    )


def _copies(words, settings):
    """Masked and scored positions of each copy, as sets of numbers."""
    copies = masked_copies(words, settings)
    lengths = [len(words[sentence]) + 2 for sentence in copies.sentence]
    for row, length in enumerate(lengths):
        masked = np.flatnonzero(copies.is_masked(np.array([row]), length)[0])
        _, scored = copies.scored(np.array([row]), length)
        yield int(copies.sentence[row]), masked.tolist(), scored.tolist()


def test_within_word_masks_the_rest_of_the_word():
    words = [(0,), (0, 0, 0, 1, 2, 2)]
    first, *found = _copies(words, PairSettings(method="within_word_l2r"))
    assert first == (0, [1], [1])
    assert [masked for _, masked, _ in found] == [[1, 2, 3], [2, 3], [3], [4], [5, 6], [6]]
    assert [scored for _, _, scored in found] == [[1], [2], [3], [4], [5], [6]]


@pytest.mark.parametrize("method", ["plain", "within_word_l2r", "masked_once"])
def test_every_token_is_scored_once(method):
    counts = (1, 5, 6, 7, 20)
    found = list(_copies([[0] * count for count in counts], PairSettings(method=method)))
    for number, count in enumerate(counts):
        scored = [place for sentence, _, places in found if sentence == number for place in places]
        assert sorted(scored) == list(range(1, count + 1))


def _token_by_token(model, sentence, settings):
    """The oracle: each scored token from a pass of its own over the whole sentence."""
    total = 0.0
    for _, masked, scored in _copies([sentence.word_numbers], settings):
        ids = torch.tensor([[SPECIAL.bos, *sentence.ids, SPECIAL.eos]])
        shown = ids.clone()
        shown[0, masked] = SPECIAL.mask
        with torch.no_grad():
            found = model.logits(model.encode(shown)[0]).log_softmax(-1)
        total += sum(float(found[place, ids[0, place]]) for place in scored)
    return total


@pytest.mark.parametrize("layout", ["roberta", "electra", "modernbert", "mini-bert"])
@pytest.mark.parametrize("method", ["plain", "within_word_l2r", "masked_once"])
def test_shared_copies_and_chosen_rows_change_nothing(layout, method):
    model = _model(layout)
    rng = np.random.default_rng(1)
    good = [tuple(rng.integers(5, 300, n).tolist()) for n in (1, 4, 9, 9, 13, 20)]
    # The second of each pair differs in its last token: one masked copy says the same.
    bad = [(*ids[:-1], 7) for ids in good]
    sentences = [TokenizedText(ids, tuple(np.arange(len(ids)) // 2)) for ids in (*good, *bad)]
    settings = PairSettings(method=method)
    found = score_sentences(model, sentences, SPECIAL, settings)
    expected = [_token_by_token(model, sentence, settings) for sentence in sentences]
    # Up to 20 log-probabilities of size 10, each with a few hundred roundings of 6e-8.
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def _write_pairs(folder, name, pairs):
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in pairs]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("method", ["plain", "causal"])
def test_bfloat16_rounds_and_no_more(method):
    model = _model("llama" if method == "causal" else "electra")
    rng = np.random.default_rng(2)
    sentences = [TokenizedText(tuple(rng.integers(5, 300, 9).tolist()), tuple(range(9)))] * 2
    exact, rounded = (
        score_sentences(model, sentences, SPECIAL, PairSettings(method=method, dtype=dtype))
        for dtype in ("float32", "bfloat16")
    )
    assert rounded.tolist() != exact.tolist()
    # Logits near 10 with 8 bits of mantissa: 0.04 a token, nine tokens, some layers of rounding.
    np.testing.assert_allclose(rounded, exact, atol=9 * 0.04 * 5)


def test_files_of_all_forms_are_read_and_identical_pairs_are_counted(tmp_path):
    _write_pairs(tmp_path, "blimp", [("a b", "b a"), ("same", "same"), ("c", "d")])
    (tmp_path / "zorro.txt").write_text("bad one .\ngood one .\nbad two .\ngood two .\n")
    blimp, zorro = (read_paradigm(path) for path in find_paradigms(tmp_path))
    assert (blimp.total, blimp.identical, blimp.numbers) == (3, 1, (0, 2))
    assert [(p.good, p.bad) for p in zorro.pairs] == [
        ("good one .", "bad one ."),
        ("good two .", "bad two ."),
    ]


# Paradigms, pairs, and pairs whose sentences are the same, of the released files: BLiMP (Warstadt et al. 2020,
# 67 x 1,000; counted: 2 in passive_1, 5 in principle_A_case_2), Zorro (Huebner et al. 2021, 23 x 2,000), and the
# supplement of the BabyLM challenge of 2023.
BENCHMARKS = {
    "blimp": (67, 67_000, 7),
    "zorro": (23, 46_000, 0),
    "blimp_supplement": (5, 5_218, 0),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_pair_of_the_benchmarks_is_read(name, data_folder):
    found = [read_paradigm(path) for path in find_paradigms(data_folder / "blimp" / name)]
    totals = [sum(counts) for counts in zip(*((p.total, p.identical) for p in found), strict=True)]
    assert (len(found), *totals) == BENCHMARKS[name]


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("a.jsonl", '{"sentence_good": "x"}\n', "line 1.*sentence_bad"),
        ("a.jsonl", '{"sentence_good": "x", "sentence_bad": "y"}\nnot json\n', "line 2"),
        ("a.txt", "one\ntwo\nthree\n", "3 lines"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_place(tmp_path, name, text, shown):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=shown):
        read_paradigm(tmp_path / name)


def test_a_missing_paradigm_is_named(tmp_path):
    _write_pairs(tmp_path, "one", [("a", "b")])
    with pytest.raises(InputError, match=r"no two in.*There are: one"):
        find_paradigms(tmp_path, ["two"])


def test_a_run_is_scored_from_both_starts(line, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    _write_pairs(data, "order", [(f"the cat sees {w}", f"cat the {w} sees") for w in "abcdefg"])
    _write_pairs(data, "same", [("we like", "like we"), ("dog", "dog")])
    out = tmp_path / "out"
    scores = evaluate_pairs(line.run, data, line.tokenizer, out)
    assert {(s.task, s.weights) for s in scores} == {
        (t, s) for t in ("order", "same", "mean") for s in ("trained", "untrained")
    }
    by_name = {s.task: s for s in scores if s.weights == "trained"}
    assert "1 of 2 pairs are identical" in by_name["same"].note
    assert by_name["mean"].value == pytest.approx(
        (by_name["order"].value + by_name["same"].value) / 2
    )
    table = pq.read_table(out / "predictions.parquet").to_pandas()
    for score in scores:
        if score.task != "mean":
            rows = table[(table["task"] == score.task) & (table["weights"] == score.weights)]
            assert (rows["good"] > rows["bad"]).mean() == score.value
    assert evaluate_pairs(line.run, data, line.tokenizer, out) == read_scores(out)


def test_pairs_are_filtered_by_the_vocabulary(line, tmp_path):
    _write_pairs(tmp_path, "x", [("the cat", "cat the"), ("the zyx", "zyx the")])
    words = tmp_path / "words.csv"
    words.write_text("word,frequency\nthe,2\ncat,1\n")
    data = tmp_path / "x.jsonl"
    (score, _) = evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "out", vocabulary=words)
    assert score.details["kept"] == 1
    assert score.details["pairs"] == 2
    words.write_text("word,frequency\nnothing,2\n")
    with pytest.raises(EmptyCorpusError, match="0 of 2 pairs"):
        evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "none", vocabulary=words)


def test_a_method_for_the_other_kind_of_model_is_refused(line, tmp_path):
    _write_pairs(tmp_path, "x", [("the cat", "cat the")])
    with pytest.raises(InputError, match="'causal'"):
        evaluate_pairs(
            line.run,
            tmp_path / "x.jsonl",
            line.tokenizer,
            tmp_path / "out",
            settings=PairSettings(method="causal"),
        )


def test_a_sentence_too_long_for_the_model_is_refused_with_its_length(line):
    model = load_model(line.run)
    with pytest.raises(InputError, match="62 tokens.*got 70"):
        score_sentences(model, [TokenizedText((9,) * 70, (0,) * 70)], SPECIAL, PairSettings())
    with pytest.raises(InputError, match="empty sentence"):
        score_sentences(model, [TokenizedText((), ())], SPECIAL, PairSettings())


def test_a_tokenizer_of_another_size_is_refused(line, corpus, tmp_path):
    from lilliput.tokenization import TokenizerSettings, train_tokenizer

    _write_pairs(tmp_path, "x", [("the cat", "cat the")])
    settings = TokenizerSettings(kind="byte-bpe", vocab_size=320)
    other = train_tokenizer(corpus, tmp_path / "other", settings)
    with pytest.raises(ConfigurationError, match="with 3[12][0-9] ids"):
        evaluate_pairs(line.run, tmp_path / "x.jsonl", other, tmp_path / "out")


ODD = ["the man was good", "the man were good", "he made the house", "he maked the house"]


def _as_zorro(mark: str = "") -> str:
    return mark + "\n".join([ODD[1], ODD[0], ODD[3], ODD[2]]) + "\n"


def _as_json_lines(mark: str = "", end: str = "\n") -> str:
    rows = [(ODD[0], ODD[1]), (ODD[2], ODD[3])]
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in rows]
    return mark + end.join(lines) + end


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_byte_order_mark_and_other_line_ends_are_no_text(tmp_path, name, end):
    plain = _as_zorro() if name == "a.txt" else _as_json_lines()
    for mark in ("", "\ufeff"):
        path = tmp_path / name
        path.write_bytes((mark + plain.replace("\n", end)).encode())
        assert read_all_pairs(path) == [Pair(ODD[0], ODD[1]), Pair(ODD[2], ODD[3])]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c"])
def test_only_a_line_feed_ends_a_line(tmp_path, separator):
    good, bad = f"one{separator}two", f"two{separator}one"
    record = {"sentence_good": good, "sentence_bad": bad}
    if separator >= "\x80":  # JSON allows it as it stands.
        (tmp_path / "a.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", newline="")
        assert read_all_pairs(tmp_path / "a.jsonl") == [Pair(good, bad)]
    (tmp_path / "a.txt").write_text(f"{bad}\n{good}\n", newline="")
    assert read_all_pairs(tmp_path / "a.txt") == [Pair(good, bad)]


@pytest.mark.parametrize("bad", [None, 3, "", "  ", ["a"]])
def test_what_is_no_sentence_is_refused_with_its_line_in_the_file(tmp_path, bad):
    broken = json.dumps({"sentence_good": "a b", "sentence_bad": bad})
    (tmp_path / "a.jsonl").write_text(_as_json_lines() + "\n\n" + broken + "\n")
    with pytest.raises(InputError, match="line 5 of .*sentence_bad"):
        read_all_pairs(tmp_path / "a.jsonl")


def test_hidden_files_are_no_pairs_and_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text(_as_json_lines())
    (tmp_path / "._a.jsonl").write_bytes(b"\x00\xff")
    assert [path.name for path in find_paradigms(tmp_path)] == ["a.jsonl"]
    (tmp_path / "a.txt").write_text(_as_zorro())
    with pytest.raises(InputError, match="name of its own"):
        find_paradigms(tmp_path)


def _long_and_short(folder):
    folder.mkdir()
    long = "the cat sees the dog and " * 40
    rows = [("the cat", "cat the"), (long + "now", long + "then"), ("a dog", "dog a")]
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in rows]
    (folder / "long.jsonl").write_text("\n".join(lines))
    (folder / "short.jsonl").write_text(lines[0])
    return folder


def test_a_sentence_that_is_too_long_is_set_aside_and_counted(line, tmp_path):
    data = _long_and_short(tmp_path / "pairs")
    scores = evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "out")
    found = {score.task: score for score in scores if score.weights == "trained"}
    assert found["long"].n == 2
    assert found["long"].details["unfit"] == 1
    assert "1 of 3 pairs have a sentence that is too long" in found["long"].note
    assert found["mean"].n == 3
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    kept = table[(table.task == "long") & (table.weights == "trained")]
    assert kept.example.tolist() == [0, 2]
    with pytest.raises(InputError, match="too long"):
        write_babylm_pairs(tmp_path / "out", data, tmp_path / "sent", model="m")


def test_pairs_that_are_all_too_long_are_refused_in_words(line, tmp_path):
    data = _long_and_short(tmp_path / "pairs")
    text = (data / "long.jsonl").read_text().splitlines()[1]
    (data / "long.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"tokens for this model.*no pair"):
        evaluate_pairs(line.run, data / "long.jsonl", line.tokenizer, tmp_path / "out")


def test_an_interrupted_evaluation_goes_on_at_the_next_paradigm(line, tmp_path, monkeypatch):
    data = _long_and_short(tmp_path / "pairs")
    evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "whole")
    calls: list[int] = []

    def stops_at(most):
        def score(model, sentences, special, settings):
            calls.append(len(sentences))
            if len(calls) > most:
                raise KeyboardInterrupt
            return score_sentences(model, sentences, special, settings)

        return score

    module = "lilliput.evaluation.pairs.evaluate.score_sentences"
    monkeypatch.setattr(module, stops_at(2))  # Both weights of the first paradigm.
    with pytest.raises(KeyboardInterrupt):
        evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "out")
    calls.clear()
    monkeypatch.setattr(module, stops_at(9))
    evaluate_pairs(line.run, data, line.tokenizer, tmp_path / "out")
    assert calls == [2, 2]
    for name in ("scores.json", "predictions.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
