"""Multiple choice: likelihoods against transformers and lm-eval, ties, levels, examples, and tasks as data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.evaluation.conftest import Line, train_run
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ArtefactError, EmptyCorpusError, InputError
from lilliput.evaluation import ChoiceSettings, build_choice_probes, evaluate_choices
from lilliput.evaluation.choices.likelihood import (
    encode_continuations,
    score_continuations,
)
from lilliput.evaluation.choices.scoring import ChoiceLikelihoods, brier, chance, hits, majority
from lilliput.evaluation.choices.settings import ChoiceProbeSettings
from lilliput.evaluation.choices.tasks import ChoiceItem, find_choice_tasks, read_lm_eval_task
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.study.publishing.export import export_run
from lilliput.training import load_model

PROBES = ChoiceProbeSettings(question_words=6, choice_words=3, max_items=60)
ROWS = {
    "copa": {
        "premise": "The man broke his toe.",
        "question": "cause",
        "choice1": "He got a hole in his sock.",
        "choice2": "He dropped a hammer on his foot.",
        "label": 1,
    },
    "piqa": {"goal": "To see the sun", "sol1": "go out", "sol2": "go to bed", "label": 0},
    "arc_easy": {
        "question": "What shines?",
        "choices": {"text": ["a stone", "the sun", "a dog"], "label": ["A", "B", "C"]},
        "answerKey": "B",
    },
}


@pytest.fixture(scope="module")
def causal_run(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("causal") / "run"
    recipe = {"objective": "causal_lm", "max_steps": 40, "save_steps": (40,)}
    return train_run(out, line.tokens, layout="llama", **recipe)


@pytest.fixture(scope="module")
def probes(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("choices") / "probes"
    build_choice_probes(line.corpus, out, settings=PROBES)
    return out


def write_task(folder: Path, rows, **changes) -> Path:
    record = {
        "task": "mine",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": "v.jsonl", "train": "v.jsonl"}},
        "output_type": "multiple_choice",
        "validation_split": "validation",
        "training_split": "train",
        "doc_to_text": "{{question}}",
        "doc_to_target": "gold",
        "doc_to_choice": "{{choices}}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "v.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "mine.yaml"
    path.write_text(json.dumps(record | changes), encoding="utf-8")
    return path


def test_likelihoods_equal_those_of_transformers(line, causal_run, probes, tmp_path):
    transformers = pytest.importorskip("transformers")
    export_run(causal_run, tmp_path / "model", tokenizer=line.tokenizer)
    twin = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    (task, _) = find_choice_tasks(probes)
    pairs = [(i.question, " " + c) for i in task.items(task.scored)[:50] for c in i.choices]
    assert len(pairs) == 200
    encoder = SequenceEncoder.load(line.tokenizer)
    encoded = encode_continuations(encoder, pairs)
    found = score_continuations(load_model(causal_run), encoded, encoder.special, 256)
    for (question, choice), one, value in zip(pairs, encoded, found, strict=True):
        ids = tokenizer(question + choice, return_tensors="pt")["input_ids"]
        start = len(tokenizer(question)["input_ids"])
        assert tuple(ids[0, start:].tolist()) == one.ids
        with torch.no_grad():
            logs = twin(ids).logits[0].double().log_softmax(-1)
        expected = logs[range(start - 1, ids.shape[1] - 1), ids[0, start:]].sum()
        # Float32 logits of a few nats, a handful of tokens.
        assert value == pytest.approx(float(expected), abs=2e-5)


def test_scores_equal_those_of_lm_eval(line, causal_run, probes, tmp_path):
    lm_eval = pytest.importorskip("lm_eval", reason="the extra eval is not installed")
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    export_run(causal_run, tmp_path / "model", tokenizer=line.tokenizer)
    scores = evaluate_choices(
        causal_run, probes / "continuation", line.tokenizer, tmp_path / "out",
    )  # fmt: skip
    folder = tmp_path / "tasks"
    folder.mkdir()
    text = (probes / "continuation" / "continuation.yaml").read_text(encoding="utf-8")
    for name in ("train.jsonl", "validation.jsonl"):
        text = text.replace(f'"{name}"', json.dumps(str(probes / "continuation" / name)))
    (folder / "continuation.yaml").write_text(text, encoding="utf-8")
    found = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(tmp_path / "model"), add_bos_token=True, device="cpu"),
        tasks=["continuation"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        limit=50,
        bootstrap_iters=0,
    )
    kept = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    kept = kept[kept["weights"] == "trained"]
    ours = {row.example: row.choices for row in kept.itertuples()}
    items = {
        i.number: i for t in find_choice_tasks(probes / "continuation") for i in t.items(t.scored)
    }
    samples = found["samples"]["continuation"]
    assert len(samples) == 50
    for sample in samples:
        gold = items[sample["doc_id"]].gold
        theirs = [response[0] for response in sample["filtered_resps"]]
        right_first = [theirs[gold], *theirs[:gold], *theirs[gold + 1 :]]
        assert np.allclose(ours[sample["doc_id"]], right_first, rtol=0, atol=1e-4)
    assert {score.metric for score in scores} == {"choice_accuracy", "choice_accuracy_by_length"}


def test_masked_models_score_each_token_of_a_choice_masked_alone(line: Line):
    encoder, model = SequenceEncoder.load(line.tokenizer), load_model(line.run)
    pairs = [("the old", " king0 sees"), ("", "we"), ("the", " dog")]
    encoded = encode_continuations(encoder, pairs)
    found = score_continuations(model, encoded, encoder.special, 64)
    for one, value in zip(encoded, found, strict=True):
        ids = [encoder.special.bos, *one.before, *one.ids, encoder.special.eos]
        total = 0.0
        for k, token in enumerate(one.ids):
            place = 1 + len(one.before) + k
            masked = torch.tensor([[*ids[:place], encoder.special.mask, *ids[place + 1 :]]])
            with torch.no_grad():
                logits = model.logits(model.encode(masked)[0, place : place + 1])
            total += float(logits.double().log_softmax(-1)[0, token])
        assert value == pytest.approx(total, abs=1e-5)


def test_a_tie_counts_one_half_and_levels_are_counted():
    totals = np.array([[[-1.0, -2.0, -np.inf], [-3.0, -3.0, -4.0], [-5.0, -4.0, -6.0]]])
    assert hits(totals).tolist() == [[1.0, 0.5, 0.0]]
    # The shares e^-1 and e^-2 of two choices: .731 and .269.
    assert brier(totals)[0, 0] == pytest.approx(2 * 0.2689414**2, abs=1e-6)
    items = [
        ChoiceItem("", ("a", "b"), 1, (), 0),
        ChoiceItem("", ("a", "b", "c", "d"), 1, (), 1),
        ChoiceItem("", ("a", "b"), 0, (), 2),
    ]
    assert chance(items) == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert majority(items) == pytest.approx(2 / 3)
    # Two nats a character against one: the longer choice wins by length.
    found = ChoiceLikelihoods(np.array([[[-8.0, -6.0]]]), np.array([[8.0, 3.0]]))
    assert (hits(found.totals)[0, 0], hits(found.by_length)[0, 0]) == (0.0, 1.0)


def test_the_studys_own_choices_have_nothing_that_gives_them_away(probes: Path):
    tasks = {task.name: task for task in find_choice_tasks(probes)}
    assert set(tasks) == {"continuation", "next_word"}
    for task in tasks.values():
        scored, train = task.items(task.scored), task.items(task.train)
        assert len(scored) >= 40
        assert not {i.question for i in scored} & {i.question for i in train}
        words = {len(choice.split()) for item in scored for choice in item.choices}
        assert words == ({3} if task.name == "continuation" else {1})
        assert all(len(set(item.choices)) == 4 for item in scored)
        golds = np.bincount([item.gold for item in scored], minlength=4) / len(scored)
        assert golds.max() < 0.25 + 4 * np.sqrt(0.25 * 0.75 / len(scored))


def test_a_run_is_scored_with_levels_and_both_lengths(line: Line, causal_run, probes, tmp_path):
    scores = evaluate_choices(causal_run, probes, line.tokenizer, tmp_path / "out")
    by_name = {(s.task, s.weights): s for s in scores}
    one = by_name["continuation", "trained"]
    assert one.details["chance"] == 0.25
    assert one.chance_level == max(0.25, one.details["majority"])
    assert one.baseline == by_name["continuation", "untrained"].value
    assert one.low <= one.value <= one.high
    assert ("next_word_by_length", "trained") in by_name
    kept = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    part = kept[(kept["task"] == "continuation") & (kept["weights"] == "trained")]
    assert part["hit"].mean() == pytest.approx(one.value)
    assert part["margin"].mean() == pytest.approx(one.details["margin"])
    # The second call reads what is there.
    assert evaluate_choices(causal_run, probes, line.tokenizer, tmp_path / "out") == scores


def test_a_constant_model_scores_chance(line: Line, tmp_path: Path):
    rows = [{"question": "the", "choices": ["dog", "dog"], "gold": i % 2} for i in range(10)]
    write_task(tmp_path / "t", rows)
    scores = evaluate_choices(line.run, tmp_path / "t", line.tokenizer, tmp_path / "out")
    assert {score.value for score in scores} == {0.5}


def test_solved_examples_come_from_train_by_seed(probes: Path):
    (task, _) = find_choice_tasks(probes)
    train, scored = task.items(task.train), task.items(task.scored)
    first = task.solved_examples(train, scored[0], 2, seed=0)
    assert first == task.solved_examples(train, scored[0], 2, seed=0)
    draws = {
        tuple(i.number for i in task.solved_examples(train, scored[0], 2, s)) for s in range(9)
    }
    assert len(draws) > 1
    prompt = task.prompt(scored[0], first)
    lines = [f"{one.question} {one.choices[one.gold]}" for one in first]
    assert prompt == "\n".join([*lines, scored[0].question])


def test_examples_change_the_score_s_seeds(line: Line, causal_run, probes, tmp_path):
    settings = ChoiceSettings(shots=1, seeds=(0, 1), max_items=12)
    scores = evaluate_choices(
        causal_run, probes, line.tokenizer, tmp_path / "out", tasks=["next_word"], settings=settings
    )
    assert {(s.seeds, s.n) for s in scores} == {(2, 12)}
    many = ChoiceSettings(shots=1000)
    with pytest.raises(InputError, match="at least 1000 items"):
        evaluate_choices(causal_run, probes, line.tokenizer, tmp_path / "more", settings=many)


@pytest.mark.parametrize("name", ROWS)
def test_published_rows_are_asked_as_lm_eval_asks_them(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    (tmp_path / name / "validation.jsonl").write_text(json.dumps(ROWS[name]), encoding="utf-8")
    (task,) = find_choice_tasks(tmp_path)
    (item,) = task.items(task.scored)
    questions = {
        "copa": "The man broke his toe because",
        "piqa": "Question: To see the sun\nAnswer:",
        "arc_easy": "Question: What shines?\nAnswer:",
    }
    assert item.question == questions[name]
    right = {"copa": "he dropped a hammer on his foot.", "piqa": "go out", "arc_easy": "the sun"}
    assert item.choices[item.gold] == right[name]


def test_the_vocabulary_keeps_items_whose_texts_it_admits(line: Line, causal_run, tmp_path):
    rows = [
        {"question": "the dog", "choices": ["sees", "likes"], "gold": 0},
        {"question": "the zebra", "choices": ["sees", "likes"], "gold": 0},
    ]
    write_task(tmp_path / "t", rows, doc_to_text="Question: {{question}}")
    words = tmp_path / "words.csv"
    words.write_text("word,frequency\nthe,9\ndog,3\nsees,2\nlikes,1\n", encoding="utf-8")
    scores = evaluate_choices(
        causal_run, tmp_path / "t", line.tokenizer, tmp_path / "out", vocabulary=words
    )
    assert {score.n for score in scores} == {1}
    assert "1 are beyond the vocabulary" in scores[0].note
    words.write_text("word,frequency\nnothing,9\n", encoding="utf-8")
    with pytest.raises(EmptyCorpusError, match="0 of 2"):
        evaluate_choices(
            causal_run, tmp_path / "t", line.tokenizer, tmp_path / "none", vocabulary=words
        )


ROW = {"question": "q", "sol1": "a", "sol2": "b", "gold": 1, "choices": ["a", "b"], "key": "b"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"doc_to_choice": "{{[sol1, sol2]}}"},
        {"doc_to_choice": ["{{sol1}}", "{{ sol2 }}"]},
        {"doc_to_target": "{{choices.index(key)}}"},
        {"doc_to_target": "key"},
        {"doc_to_target": 1},
    ],
)
def test_lm_evals_plain_templates_are_read(tmp_path: Path, changes):
    task = read_lm_eval_task(write_task(tmp_path, [ROW], **changes))
    (item,) = task.items(task.scored)
    assert (item.question, item.choices, item.gold) == ("q", ("a", "b"), 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"doc_to_text": "{{question.upper()}}"}, "may only name fields"),
        ({"doc_to_text": "{% for a in b %}"}, "may only name fields"),
        ({"doc_to_choice": "{{choices | sort}}"}, "may only name fields"),
        ({"output_type": "generate_until"}, "output_type: multiple_choice"),
        ({"doc_to_choice": None}, "doc_to_choice"),
        ({"include": "other.yaml"}, "stands alone"),
        ({"validation_split": "test"}, "must name the files of its split 'test'"),
    ],
)
def test_what_is_more_than_data_is_refused(tmp_path: Path, changes, said):
    path = write_task(tmp_path, [ROW], **changes)
    with pytest.raises(InputError, match=said):
        read_lm_eval_task(path)


def test_nothing_of_a_yaml_file_is_executed_or_read_from_elsewhere(tmp_path: Path):
    path = write_task(tmp_path / "t", [ROW])
    path.write_text(path.read_text() + "\nx: 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="plain YAML"):
        read_lm_eval_task(path)
    path.write_text("task: !function utils.run\n", encoding="utf-8")
    with pytest.raises(InputError, match="!function run code"):
        read_lm_eval_task(path)
    (tmp_path / "secret.jsonl").write_text("{}", encoding="utf-8")
    kwargs = {"data_files": {"validation": "../secret.jsonl"}}
    with pytest.raises(ArtefactError, match="must stay inside"):
        read_lm_eval_task(write_task(tmp_path / "t", [ROW], dataset_kwargs=kwargs))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "gold": 2}, "row 0 of .*one of the 2 choices"),
        ({"question": "q"}, "no choices"),
        ({**ROW, "choices": "ab"}, "must be a list"),
    ],
)
def test_a_row_that_is_no_item_is_named(tmp_path: Path, row, said):
    task = read_lm_eval_task(write_task(tmp_path, [row]))
    with pytest.raises(InputError, match=said):
        task.items(task.scored)


def test_the_verb_scores_a_folder_of_tasks(line: Line, causal_run, probes, tmp_path):
    words = ["evaluate", "choices", str(causal_run), "--data", str(probes), "--tasks", "next_word"]
    words += ["--tokenizer", str(line.tokenizer), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(build_app(), [*words, "--set", "max_items=20"])
    assert done.exit_code == 0, done.output
    assert "next_word: choice_accuracy" in done.stdout
    assert "20 of" in done.stdout
    asked = CliRunner().invoke(build_app(), [*words, "--set", "max_items=20", "--json"])
    assert json.loads(asked.stdout)["scores"]["next_word"]["n"] == 20
